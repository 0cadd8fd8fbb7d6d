import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RingEntry } from '../../src/core/ring-entry.ts';
import { donations, REAL_RULES, type Rules } from './donations.ts';
import { explore } from './explore.ts';

const LIMIT = 500_000;

for (const limits of [
  { donations: 3, leases: false },
  { donations: 2, leases: true },
]) {
  const also = limits.leases ? ' while they use and release addresses' : '';
  test(`three peers that make ${limits.donations} donations, lose messages and crash never share an address${also}`, (t) => {
    const { states, complete, violation } = explore(donations(REAL_RULES, limits), LIMIT);
    t.diagnostic(`${states} states`);
    assert.equal(violation, undefined, violation?.trace.join('\n'));
    assert.ok(complete, 'the search did not reach every state');
  });
}

/** Gives away whatever there is, whoever owns it. */
const giveAnything: Rules['give'] = (segments, self, intents) =>
  REAL_RULES.own(
    segments.map((segment) => ({ ...segment, entry: segment.entry && { ...segment.entry, owner: self } })),
    self,
    intents,
  );

/** For each address the newest entry, whoever wrote it. */
const newestWins: Rules['build'] = ({ range }, sources) => {
  const all = [...sources].map(({ entry }) => entry);
  const segments = [];
  for (let at = range.start; at <= range.last; at += 1) {
    const newest = all
      .filter(({ start, last }) => start <= at && at <= last)
      .reduce<RingEntry | undefined>((a, b) => (a === undefined || b.version > a.version ? b : a), undefined);
    if (newest === undefined) continue;
    const { epoch, version, donor } = newest;
    segments.push({ start: at, last: at, epoch, version, donor, entry: newest });
  }
  return { segments, refused: [] };
};

test('peers that give away what is not theirs are believed by nobody', (t) => {
  const rules = { ...REAL_RULES, give: giveAnything };
  const { states, complete, violation } = explore(donations(rules, { donations: 2, leases: false }), LIMIT);
  t.diagnostic(`${states} states`);
  assert.equal(violation, undefined, violation?.trace.join('\n'));
  assert.ok(complete, 'the search did not reach every state');
});

/** What the ring gives to a peer, intents or not. */
const ignoreIntents: Rules['own'] = (segments, self) => REAL_RULES.own(segments, self, []);

const MUTATIONS: readonly (readonly [string, Partial<Rules>])[] = [
  ['goes on with what it promised away', { own: ignoreIntents, give: ignoreIntents }],
  ['tells of a donation before it is on disk', { durableRecords: false }],
  ['believes whoever wrote last', { give: giveAnything, build: newestWins }],
];

for (const [name, mutation] of MUTATIONS) {
  test(`the search finds what happens when a peer ${name}`, (t) => {
    const rules = { ...REAL_RULES, ...mutation };
    const { violation } = explore(donations(rules, { donations: 3, leases: false }), LIMIT);
    assert.ok(violation);
    t.diagnostic(`${violation.fault}: ${violation.trace.join('; ')}`);
  });
}
