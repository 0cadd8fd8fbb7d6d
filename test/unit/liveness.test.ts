import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PeerId } from '../../src/core/ids.ts';
import type { LinksWatcher, Neighbour } from '../../src/mesh/links.ts';
import { createLiveness, DOWN_AFTER, PUBLISH_UNHURRIED } from '../../src/mesh/liveness.ts';
import type { RecordEntry, Records } from '../../src/mesh/records.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';

const [self, a, b, c] = ['s', 'a', 'b', 'c'] as [PeerId, PeerId, PeerId, PeerId];

/** One peer; links and what others publish are set by the test. */
function createWorld({
  saved = [],
  failing = () => false,
}: {
  saved?: RecordEntry[];
  failing?: () => boolean;
} = {}) {
  const clock = createVirtualClock();
  const published: { at: number; links: unknown }[] = [];
  const events: string[] = [];
  let open: PeerId[] = [];
  let retired: PeerId | undefined;
  let watcher: LinksWatcher = {};
  let tell: (entry: RecordEntry) => void = () => {};
  const records: Records = {
    async put(_key, value) {
      if (failing()) throw new Error('disk full');
      published.push({ at: clock.now(), links: value });
    },
    putAll: async () => {},
    keep: async () => {},
    get: () => undefined,
    entries: () => saved,
    watch(_prefix, handler) {
      tell = handler;
      return () => {};
    },
  };
  const liveness = createLiveness({
    self,
    clock,
    records,
    links: {
      neighbours: () => open.map((peer) => ({ peer }) as Neighbour),
      lasting: () => open.filter((peer) => peer !== retired).map((peer) => ({ peer }) as Neighbour),
      watch(one) {
        watcher = one;
        return () => {};
      },
    },
    log: { debug() {}, info() {}, warn() {}, error() {} },
  });
  liveness.onPeerUp((peer) => events.push(`up ${peer}`));
  liveness.onPeerDown((peer) => events.push(`down ${peer}`));
  return {
    clock,
    liveness,
    published,
    events,
    /** These are the open links from now on; peers that are new have so many `others`, links that are lost end for that `reason`. */
    link(peers: readonly PeerId[], { others = 0, reason = 'broken: reset' } = {}) {
      const [lost, made] = [
        open.filter((one) => !peers.includes(one)),
        peers.filter((one) => !open.includes(one)),
      ];
      open = [...peers];
      for (const peer of lost) watcher.down?.({ peer } as Neighbour, reason);
      for (const peer of made) watcher.up?.({ peer, links: others } as Neighbour);
    },
    retire(peer: PeerId) {
      retired = peer;
      watcher.retired?.({ peer } as Neighbour);
    },
    hear: (author: PeerId, value: unknown, key = 'links') => tell({ author, key, value }),
  };
}

test('a peer is up from the moment a way leads to it', async () => {
  const { clock, liveness, events, link, hear } = createWorld();
  link([a]);
  assert.deepEqual(events, ['up a'], 'an own link needs no confirmation');
  hear(a, [self, b]);
  await clock.advance(100);
  assert.deepEqual(events, ['up a'], 'b has not said so itself');
  hear(b, [a]);
  await clock.advance(100);
  assert.deepEqual(events, ['up a', 'up b']);
  assert.deepEqual(liveness.up(), ['a', 'b', 's']);
  assert.equal(liveness.topology.nextHop(b), a);
  assert.equal(liveness.degree(a), 2);
});

test('a peer is down when the last of its neighbours has dropped it, and a second has passed', async () => {
  const { clock, liveness, events, link, hear } = createWorld();
  link([a, b]);
  hear(a, [self, c]);
  hear(b, [self, c]);
  hear(c, [a, b]);
  await clock.advance(100);
  events.length = 0;
  hear(a, [self]);
  await clock.advance(5_000);
  assert.deepEqual(events, [], 'b still has it');
  hear(b, [self]);
  await clock.advance(DOWN_AFTER);
  assert.equal(liveness.isUp(c), true);
  await clock.advance(100);
  assert.deepEqual(events, ['down c']);
  hear(a, [self, c]);
  await clock.advance(100);
  assert.deepEqual(events, ['down c', 'up c']);
});

test('a link that is lost and back within a second disturbs nobody', async () => {
  const { clock, events, link } = createWorld();
  link([a]);
  link([]);
  await clock.advance(900);
  link([a]);
  await clock.advance(5_000);
  assert.deepEqual(events, ['up a']);
});

test('own links are published soon after a quiet time, then at most once a second', async () => {
  const { clock, published, link } = createWorld();
  await clock.advance(10_000);
  published.length = 0;
  const start = clock.now();
  link([a]);
  await clock.advance(110);
  assert.deepEqual(published, [{ at: start + 100, links: [a] }]);
  for (let round = 0; round < 30; round++) {
    link(round % 2 === 0 ? [a, b] : [a]);
    await clock.advance(100);
  }
  await clock.advance(2_000);
  assert.ok(published.length <= 5, `${published.length} times`);
  assert.deepEqual(published.at(-1)?.links, [a], 'the last state is the one that others know');
});

test('links that nobody depends on are published together, some seconds later', async () => {
  const { clock, published, link, retire, hear } = createWorld();
  link([a]);
  await clock.advance(2_000);
  hear(a, [self, b]);
  hear(b, [a]);
  await clock.advance(100);
  published.length = 0;
  const start = clock.now();
  link([a, b]);
  await clock.advance(2_000);
  // A newcomer, of whom nothing is known yet: whom it is linked with tells.
  link([a, b, c], { others: 1 });
  retire(b);
  await clock.advance(PUBLISH_UNHURRIED);
  assert.deepEqual(published, [{ at: start + PUBLISH_UNHURRIED, links: [a, c] }], 'b is still linked');
  link([a, c], { reason: 'surplus: both peers have more links than they need' });
  await clock.advance(PUBLISH_UNHURRIED - 1);
  assert.equal(published.length, 1, 'nobody counts on that link any more');
});

test('a link that may decide who is up is published soon, with all that waited', async () => {
  for (const urgent of ['a newcomer without links', 'a lost peer', 'the end of a link'] as const) {
    const { clock, published, link, hear } = createWorld();
    link([a]);
    hear(a, [self, b]);
    hear(b, [a]);
    if (urgent === 'a lost peer') hear(c, ['d', 'e']);
    await clock.advance(2_000);
    link([a, b]);
    await clock.advance(2_000);
    published.length = 0;
    const start = clock.now();
    if (urgent === 'the end of a link') link([b]);
    else link([a, b, c], { others: urgent === 'a lost peer' ? 2 : 0 });
    await clock.advance(PUBLISH_UNHURRIED);
    const links = urgent === 'the end of a link' ? [b] : [a, b, c];
    assert.deepEqual(published, [{ at: start + 100, links }], urgent);
  }
});

test('a peer without links tells of its first one soon, whoever is at the other end', async () => {
  const { clock, published, link } = createWorld();
  await clock.advance(10_000);
  published.length = 0;
  const start = clock.now();
  link([c], { others: 7 });
  await clock.advance(1_000);
  assert.deepEqual(published, [{ at: start + 100, links: [c] }]);
});

test('a disk that fails for a while delays what is published, and does not lose it', async () => {
  let broken = true;
  const { clock, published, link } = createWorld({ failing: () => broken });
  link([a]);
  await clock.advance(3_000);
  assert.equal(published.length, 0);
  broken = false;
  await clock.advance(2_000);
  assert.deepEqual(published.at(-1)?.links, [a]);
});

test('what was known before a restart counts again as soon as there is a link', async () => {
  const saved: RecordEntry[] = [
    { author: a, key: 'links', value: [self, b] },
    { author: b, key: 'links', value: [a] },
    { author: self, key: 'links', value: [c] },
  ];
  const { clock, liveness, link } = createWorld({ saved });
  await clock.advance(2_000);
  assert.deepEqual(liveness.up(), [self], 'records alone are no link');
  link([a]);
  assert.deepEqual(liveness.up(), ['a', 'b', 's']);
});

test('nonsense in a record of links is no link', async () => {
  const { clock, liveness, link, hear } = createWorld();
  link([a]);
  hear(b, [a]);
  for (const nonsense of ['text', 5, null, { 0: b }, [5, null, 'x'.repeat(100)]]) hear(a, nonsense);
  hear(a, [self, b], 'links-of-mine');
  await clock.advance(2_000);
  assert.deepEqual(liveness.up(), ['a', 's']);
  hear(a, [self, b]);
  await clock.advance(100);
  hear(a, undefined);
  await clock.advance(2_000);
  assert.deepEqual(liveness.up(), ['a', 's'], 'a removed record is none either');
});
