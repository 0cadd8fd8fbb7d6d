import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSeededRandom } from '../../src/ports/memory/random.ts';
import { explore, follow, walk } from './explore.ts';
import { removals } from './removals.ts';
import { type Limits, REAL_RULES, type Rules } from './rules.ts';

/** What is searched in full here; `npm run model -- --full` searches more. */
const SEARCHES: readonly (readonly [string, Limits])[] = [
  [
    'three peers that donate, are removed and crash',
    { peers: 3, addresses: 1, donations: 2, removals: 1, crashes: true },
  ],
  [
    'three peers that donate parts of a range, are removed and crash',
    { peers: 3, addresses: 2, donations: 2, removals: 1, crashes: true, donors: 'AB' },
  ],
  [
    'four peers of which a donor and its heir are removed while they live',
    {
      peers: 4,
      addresses: 1,
      donations: 1,
      removals: 2,
      crashes: false,
      owner: 'D',
      receivers: 'A',
      removers: 'B',
      victims: 'CD',
    },
  ],
  [
    'two peers of which each may be left alone and let somebody in as its heir',
    { peers: 2, newcomers: 1, addresses: 1, donations: 1, removals: 2, crashes: false },
  ],
  [
    'three peers of which an heir hands its role over',
    { peers: 3, addresses: 1, donations: 1, removals: 1, handovers: 1, crashes: false },
  ],
];

for (const [name, limits] of SEARCHES) {
  test(`${name} never share an address`, (t) => {
    const { states, complete, violation } = explore(removals(REAL_RULES, limits), 500_000);
    t.diagnostic(`${states} states`);
    assert.equal(violation, undefined, violation?.trace.join('\n'));
    assert.ok(complete, 'the search did not reach every state');
  });
}

test('five peers that do all this at random never share an address', (t) => {
  const system = removals(REAL_RULES, { peers: 5, addresses: 2, donations: 8, removals: 3, crashes: true });
  let steps = 0;
  for (let seed = 0; seed < 60; seed += 1) {
    const random = createSeededRandom(`removals ${seed}`);
    const walked = walk(system, 120, () => random.fraction());
    assert.equal(walked.violation, undefined, `seed ${seed}\n${walked.violation?.trace.join('\n')}`);
    steps += walked.steps;
  }
  t.diagnostic(`${steps} steps`);
});

const SMALL: Limits = { peers: 3, addresses: 1, donations: 2, removals: 1, crashes: true };
const CHAIN: Limits = {
  peers: 4,
  addresses: 1,
  donations: 1,
  removals: 2,
  crashes: false,
  owner: 'D',
  receivers: 'A',
};

/** Who crashes has promised before. */
const CRASHES: Limits = { ...CHAIN, crashes: true, donors: 'D', removers: 'B', victims: 'CD' };
/** Both of a split remove each other, and go on with one of the others. */
const NAMES: Limits = {
  peers: 4,
  addresses: 1,
  donations: 4,
  removals: 2,
  crashes: false,
  donors: 'AB',
  receivers: 'CD',
  removers: 'AB',
  victims: 'AB',
};

/** B hands its role for C to D. */
const HANDOVER: Limits = {
  peers: 4,
  addresses: 1,
  donations: 1,
  removals: 2,
  handovers: 1,
  crashes: false,
  owner: 'C',
  donors: 'C',
  receivers: 'A',
  wards: 'C',
  heirs: 'D',
  victims: 'BC',
};

/** What happens when a rule is left out. Each must be found, or the search is worth nothing. */
const MUTATIONS: readonly (readonly [string, Partial<Rules>, Limits])[] = [
  ['uses a donation that no witness has stored', { witnessBeforeUse: false }, SMALL],
  ['forgets as a witness what it has signed', { witnessRemembers: false }, SMALL],
  ['removes others without being their heir', { onlyHeirRemoves: false }, SMALL],
  ['changes what it does not own', { ownerOnly: false }, SMALL],
  ['takes over down the line without the promises of all', { everybodyPromises: false }, CHAIN],
  ['takes late grants of a donor that is taken over', { lateGrantsRefused: false }, CHAIN],
  ['closes an account before it has heard all that was promised', { takerHearsAll: false }, CHAIN],
  ['loses its promises in a crash', { promisesAreKept: false }, CRASHES],
  ['names an heir while others are members', { onlyLastNames: false }, NAMES],
  ['hands over its role for whom it has removed', { onlyHeirHandsOver: false }, HANDOVER],
  ['promises once for all successors', { promisesAreRenewed: false }, { ...HANDOVER, removers: 'AD' }],
];

for (const [name, mutation, limits] of MUTATIONS) {
  test(`the search finds what happens when a peer ${name}`, (t) => {
    const { states, violation } = explore(removals({ ...REAL_RULES, ...mutation }, limits), 500_000);
    assert.ok(violation);
    t.diagnostic(`${states} states, ${violation.fault}: ${violation.trace.join('; ')}`);
  });
}

/** D's heir C takes over, gives to A, whose word B has witnessed, and is removed; A and B crash and hear of the removals only. */
const FORGETFUL = [
  'C removes D',
  'C takes over 0-0 weft C 1.0 D',
  'C intends 0-0 weft A 1.1 C',
  'B hears that C removed D',
  'B hears 0-0 weft C 1.0 D',
  'B witnesses 0-0 weft A 1.1 C',
  'C publishes 0-0 weft A 1.1 C (B)',
  'A hears that C removed D',
  'A hears 0-0 weft C 1.0 D',
  'A hears 0-0 weft A 1.1 C',
  'A crashes',
  'B crashes',
  'B removes C',
  'B hears that C removed D',
  'A hears that B removed C',
  'A hears that C removed D',
  'B closes D',
  'B takes over 0-0 weft B 2.0 D',
];

test('what own space rests on is promised after a crash as well, and would be given twice if it were forgotten', () => {
  const limits: Limits = { ...CHAIN, crashes: true, donors: 'C' };
  const kept = follow(removals(REAL_RULES, limits), FORGETFUL);
  assert.deepEqual(kept, { stopped: 'B closes D', fault: undefined }, 'B has to hear of the takeover first');
  const lost = follow(removals({ ...REAL_RULES, historyIsKept: false }, limits), FORGETFUL);
  assert.match(lost.fault ?? '', /may be used by A and B/);
});

/** Three in a line are removed one after the other; the second of them had given away by then what it took over from the first. */
const LINE = [
  'D removes E',
  'C removes D',
  ...['A', 'B'].flatMap((peer) => [`${peer} hears that D removed E`, `${peer} hears that C removed D`]),
  'C hears that D removed E',
  'C closes E',
  'C takes over 0-0 weft C 2.0 E',
  'C intends 0-0 weft A 2.1 C',
  'B hears 0-0 weft C 2.0 E',
  'B witnesses 0-0 weft A 2.1 C',
  'C publishes 0-0 weft A 2.1 C (B)',
  'A hears 0-0 weft C 2.0 E',
  'A hears 0-0 weft A 2.1 C',
  'B removes C',
  'A hears that B removed C',
  'B closes E',
  'B takes over 0-0 weft B 3.0 E',
];

test('each successor collects promises of its own, or would take what the one before it has given away', () => {
  const limits: Limits = {
    peers: 5,
    addresses: 1,
    donations: 1,
    removals: 3,
    crashes: false,
    owner: 'E',
    donors: 'C',
    receivers: 'A',
  };
  const renewed = follow(removals(REAL_RULES, limits), LINE);
  assert.deepEqual(
    renewed,
    { stopped: 'B takes over 0-0 weft B 3.0 E', fault: undefined },
    'nothing is left',
  );
  const old = follow(removals({ ...REAL_RULES, promisesAreRenewed: false }, limits), LINE);
  assert.match(old.fault ?? '', /may be used by A and B/);
});

/** D's heir C hands its role to A, which removes D, but is removed before it takes over; C is, too. Both have B as their heir. */
const TWICE = [
  'C hands D to A',
  'A hears that C handed D to A',
  'A removes D',
  'B removes C',
  'B hears that A removed D',
  'B hears that C handed D to A',
  'B removes A',
  'B closes D',
  'B takes over 0-0 weft B 65537.0 D',
];

test('who stands behind the old heir and behind the new one takes over from the later place', () => {
  const limits: Limits = { ...CHAIN, removals: 3, handovers: 1 };
  assert.deepEqual(follow(removals(REAL_RULES, limits), TWICE), { stopped: undefined, fault: undefined });
  const early = TWICE.filter((step) => step !== 'B hears that C handed D to A');
  const alone = follow(removals(REAL_RULES, limits), early);
  assert.equal(alone.stopped, 'B closes D', 'nobody has removed D, as far as it knows');
});
