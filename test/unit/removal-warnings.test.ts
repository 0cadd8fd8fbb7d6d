import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HEIR_AWAY_AFTER, REMOVAL_RULES } from '../../src/daemon/status/removal-warnings.ts';
import type { Facts } from '../../src/daemon/status/warnings.ts';
import type { Warning } from '../../src/doors/control.ts';

const SELF = '12D3KooWself';
const HEIR = '12D3KooWheir';
const LOST = '12D3KooWlost';

interface Story {
  readonly removed?: readonly string[];
  readonly downSince?: number;
  readonly quarantine?: readonly object[];
  readonly waiting?: readonly object[];
  readonly owner?: string;
  readonly members?: readonly string[];
  readonly witness?: string | undefined;
  readonly outsiders?: readonly string[];
}

/** Of a host with one address in use, whose heir is another one. */
function warnings(story: Story, now: number) {
  const {
    removed = [],
    downSince,
    quarantine = [],
    waiting = [],
    owner = SELF,
    members = [SELF, HEIR],
    outsiders = [],
  } = story;
  const witness = 'witness' in story ? story.witness : HEIR;
  const mesh = {
    membership: {
      self: SELF,
      members: () => members,
      isRemoved: (peer: string) => removed.includes(peer),
      outsiders: () => outsiders,
      heirOf: (peer: string) => (peer === SELF ? HEIR : undefined),
      witnessOf: (peer: string) => (peer === SELF ? witness : undefined),
      needsHeir: () => witness === undefined && members.length === 1,
    },
    liveness: {
      downSince: (peer: string) => (peer === HEIR ? downSince : undefined),
      isUp: (peer: string) => peer !== HEIR || downSince === undefined,
    },
    records: { get: () => ({ nickname: 'blue' }) },
    space: {
      quarantine: () => quarantine,
      ring: () => [{ start: 0x0a200000, last: 0x0a20ffff, owner, network: 'weft' }],
      allocations: () => [{ address: '10.32.0.7' }],
      inheritance: { waiting: () => waiting },
    },
  };
  const facts = { network: { mesh }, now } as unknown as Facts;
  return REMOVAL_RULES.map((rule) => rule(facts)).filter(
    (warning): warning is Warning => warning !== undefined,
  );
}

const codes = (story: Story, now = 0) => warnings(story, now).map(({ code }) => code);

test('a healthy host has nothing to say about removals', () => {
  assert.deepEqual(codes({}), []);
  assert.deepEqual(REMOVAL_RULES.map((rule) => rule({ network: undefined } as Facts)).filter(Boolean), []);
});

test('an heir is named once it has been away for an hour, with the hosts that wait for it', () => {
  assert.deepEqual(codes({ downSince: 1_000 }, HEIR_AWAY_AFTER + 999), []);
  const [warning] = warnings({ downSince: 1_000 }, 2 * HEIR_AWAY_AFTER + 1_000);
  assert.equal(warning?.code, 'heir-away');
  assert.match(warning?.text ?? '', /blue \(…KooWheir\) has been away for 2 h; .* blue \(…KooWself\)/);
  assert.match(warning?.remedy ?? '', /weft remove/);
});

test('a removed host is told so, and what to do', () => {
  const [warning] = warnings({ removed: [SELF] }, 0);
  assert.equal(warning?.code, 'removed');
  assert.equal(warning?.severity, 'error');
  assert.match(warning?.remedy ?? '', /weft join TOKEN/);
});

test('who wrote what is set aside is named with the remedy, and what is only late is not', () => {
  const one = { author: LOST, key: 'ring/1', range: undefined };
  assert.deepEqual(
    codes({
      quarantine: [
        { ...one, reason: 'waiting' },
        { ...one, reason: 'late' },
      ],
    }),
    [],
  );
  const [warning] = warnings({ quarantine: [{ ...one, reason: 'disputed' }] }, 0);
  assert.equal(warning?.code, 'ring-disputed');
  assert.match(warning?.text ?? '', /1 changes .* blue \(…KooWlost\)/);
  assert.match(warning?.remedy ?? '', /weft remove KooWlost --yes/);
});

test('addresses that another host owns now, and takeovers that wait, are shown', () => {
  const [lost] = warnings({ owner: HEIR }, 0);
  assert.equal(lost?.code, 'addresses-lost');
  assert.match(lost?.text ?? '', /10\.32\.0\.7/);
  const [waits] = warnings({ waiting: [{ peer: LOST, taker: SELF, missing: [HEIR], unheard: 0 }] }, 0);
  assert.equal(waits?.code, 'takeover-waits');
  assert.match(waits?.text ?? '', /KooWlost.*missing: blue \(…KooWheir\)/);
});

test('a host whose addresses have not passed on is shown with whom that waits for: its taker, or the root key', () => {
  const waiting = [{ peer: LOST, taker: HEIR, missing: [], unheard: 0 }];
  assert.match(warnings({ waiting }, 0)[0]?.text ?? '', /missing: nobody, their answers are on the way/);
  const [away] = warnings({ waiting, downSince: 1 }, 2);
  assert.equal(away?.code, 'takeover-waits');
  assert.match(away?.text ?? '', /KooWlost.*missing: blue \(…KooWheir\)/);
  const [rootless] = warnings({ waiting: [{ ...waiting[0], taker: undefined }] }, 0);
  assert.equal(rootless?.code, 'takeover-needs-root');
  assert.match(rootless?.text ?? '', /Nobody is left who may take over the addresses of blue \(…KooWlost\)/);
  assert.match(rootless?.remedy ?? '', /weft recover KooWlost --key-file/);
});

test('a host whose heirs are all removed says that others must give addresses, unless it is the last one', () => {
  const gone = { removed: [HEIR], witness: undefined };
  assert.deepEqual(codes({ ...gone, members: [SELF] }), [], 'the next that joins becomes its heir');
  const [among] = warnings({ ...gone, members: [SELF, LOST] }, 0);
  assert.deepEqual([among?.code, among?.severity], ['no-witness', 'info']);
  assert.deepEqual(codes({ removed: [SELF, HEIR], witness: undefined, members: [] }), ['removed']);
});

test('a host that is no member is named with the remedy where it has addresses, and only there', () => {
  assert.deepEqual(codes({ outsiders: [LOST] }), []);
  const [warning] = warnings({ outsiders: [LOST], owner: LOST }, 0).filter(
    ({ code }) => code !== 'addresses-lost',
  );
  assert.equal(warning?.code, 'outsider-owns');
  assert.match(warning?.text ?? '', /blue \(…KooWlost\)/);
  assert.match(warning?.remedy ?? '', /weft remove KooWlost/);
});
