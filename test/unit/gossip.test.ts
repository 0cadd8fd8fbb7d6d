import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Identity } from '../../src/core/crypto.ts';
import type { PeerId } from '../../src/core/ids.ts';
import { createReplica } from '../../src/core/replica.ts';
import { readU48, type VerifiedDelta } from '../../src/core/wire/delta.ts';
import type { LinkMessage } from '../../src/core/wire/messages.ts';
import { createWant } from '../../src/core/wire/vector.ts';
import { ONE_EVERY } from '../../src/mesh/comparisons.ts';
import { createGossip } from '../../src/mesh/gossip.ts';
import { openKeeper } from '../../src/mesh/keeper.ts';
import type { Links, LinksWatcher, Neighbour } from '../../src/mesh/links.ts';
import { createRecords } from '../../src/mesh/replicated.ts';
import { PATIENCE } from '../../src/mesh/requests.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';
import { createSeededRandom } from '../../src/ports/memory/random.ts';
import { createMemoryStore } from '../../src/ports/memory/store.ts';
import { crypto, delta, identity, MESH } from './support/replica-parts.ts';

const [self, alice, bob, carol] = [identity(0), identity(1), identity(2), identity(3)];

interface FakeNeighbour extends Neighbour {
  readonly sent: LinkMessage[];
  /** What it has room for. */
  space: number;
}

/** One peer whose neighbours are played by the test. */
async function createWorld(members: readonly Identity[] = [self, alice, bob, carol]) {
  const clock = createVirtualClock();
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const keeper = await openKeeper({ store: createMemoryStore() });
  const records = createRecords({ identity: self, mesh: MESH, crypto, clock, keeper, log });
  const known = new Set<PeerId>(members.map(({ peer }) => peer));
  const membershipWatchers: (() => void)[] = [];
  const neighbours: FakeNeighbour[] = [];
  const handlers = new Map<string, (from: Neighbour, message: never) => void>();
  let watcher: LinksWatcher = {};
  const links = {
    neighbours: () => neighbours,
    watch(one: LinksWatcher) {
      watcher = one;
      return () => {};
    },
    handle: (type: string, handler: (from: Neighbour, message: never) => void) =>
      void handlers.set(type, handler),
  } as unknown as Links;
  const gossip = createGossip({
    mesh: MESH,
    crypto,
    clock,
    random: createSeededRandom('gossip'),
    links,
    membership: {
      isMember: (peer) => known.has(peer),
      isRemoved: () => false,
      watch(handler) {
        membershipWatchers.push(handler);
        return () => {};
      },
    },
    records,
    log,
  });

  function neighbour(peer: PeerId, direction: Neighbour['direction'] = 'accepted'): FakeNeighbour {
    const sent: LinkMessage[] = [];
    const said = { nickname: '', release: '', boot: '', observed: '', address: '', links: 0, since: 0 };
    const fake: FakeNeighbour = {
      ...said,
      peer,
      direction,
      sent,
      space: 1 << 20,
      room: () => fake.space,
      send(message) {
        sent.push(message);
        if (message.type === 'deltas') fake.space -= bytesOf(message.deltas);
        return true;
      },
    };
    neighbours.push(fake);
    watcher.up?.(fake);
    return fake;
  }

  return {
    clock,
    records,
    gossip,
    neighbour,
    hear: (from: Neighbour, message: LinkMessage) => handlers.get(message.type)?.(from, message as never),
    bring: (from: Neighbour, ...deltas: VerifiedDelta[]) =>
      handlers.get('deltas')?.(from, { type: 'deltas', deltas } as never),
    grow(from: FakeNeighbour, space: number) {
      from.space = space;
      watcher.room?.(from);
    },
    lose(gone: FakeNeighbour) {
      neighbours.splice(neighbours.indexOf(gone), 1);
      watcher.down?.(gone, 'closed');
    },
    admit(one: Identity) {
      known.add(one.peer);
      for (const handler of membershipWatchers) handler();
    },
  };
}

const bytesOf = (deltas: readonly { body: Uint8Array }[]) =>
  deltas.reduce((sum, { body }) => sum + body.length, 0);
/** The seqs that were sent, message by message. */
const seqs = ({ sent }: FakeNeighbour) =>
  sent.flatMap((message) =>
    message.type === 'deltas'
      ? [message.deltas.map(({ body }) => (body[37] as number) * 256 + (body[38] as number))]
      : [],
  );

test('news goes to every neighbour but the one that brought it', async () => {
  const { clock, neighbour, bring } = await createWorld();
  const [a, b, c] = [alice, bob, carol].map(({ peer }) => neighbour(peer)) as [
    FakeNeighbour,
    FakeNeighbour,
    FakeNeighbour,
  ];
  bring(a, delta(alice, 1, { note: 'x' }));
  await clock.advance(100);
  assert.deepEqual([a, b, c].map(seqs), [[], [[1]], [[1]]]);
  bring(b, delta(alice, 1, { note: 'x' }));
  await clock.advance(100);
  assert.deepEqual([a, b, c].map(seqs), [[], [[1]], [[1]]], 'old news goes nowhere');
});

test('the first change after a quiet time leaves at once, those that follow in batches of 50 ms', async () => {
  const { clock, neighbour, bring } = await createWorld();
  const [a, b] = [neighbour(alice.peer), neighbour(bob.peer)];
  const times: number[] = [];
  const { send } = b;
  Object.assign(b, { send: (message: LinkMessage) => times.push(clock.now()) > 0 && send(message) });
  await clock.advance(1_000);
  for (let seq = 1; seq <= 20; seq++) {
    bring(a, delta(alice, seq, { [`key${seq}`]: 'x' }));
    await clock.advance(7);
  }
  await clock.advance(200);
  assert.ok((times[0] ?? 0) <= 1_010, `first after ${(times[0] ?? 0) - 1_000} ms`);
  times.slice(1).forEach((time, index) => {
    assert.ok(time - (times[index] ?? 0) >= 50);
  });
  assert.deepEqual(
    seqs(b).flat(),
    Array.from({ length: 20 }, (_, index) => index + 1),
  );
});

test('what was overwritten before it left is not sent', async () => {
  const { clock, neighbour, bring, grow } = await createWorld();
  const [a, slow] = [neighbour(alice.peer), neighbour(bob.peer)];
  slow.space = 0;
  for (let seq = 1; seq <= 50; seq++) {
    bring(a, delta(alice, seq, { links: `version ${seq}`, ...(seq === 10 ? { kept: 'x' } : {}) }));
    await clock.advance(30);
  }
  assert.deepEqual(seqs(slow), [], 'nothing is queued where nobody reads');
  grow(slow, 1 << 20);
  await clock.advance(150);
  assert.deepEqual(seqs(slow).flat(), [10, 50]);
});

test('what the neighbour turns out to have is not sent to it', async () => {
  const { clock, neighbour, bring } = await createWorld();
  const [a, b] = [neighbour(alice.peer), neighbour(bob.peer)];
  const news = delta(carol, 1, { note: 'x' });
  bring(a, news);
  bring(b, news);
  await clock.advance(100);
  assert.deepEqual([seqs(a), seqs(b)], [[], []]);
});

test('a large state goes out in messages of 64 KiB, no faster than it is read', async () => {
  const { clock, neighbour, bring, grow, hear } = await createWorld();
  const a = neighbour(alice.peer);
  for (let seq = 1; seq <= 100; seq++) bring(a, delta(alice, seq, { [`key${seq}`]: 'x'.repeat(20_000) }));
  await clock.advance(100);
  const reader = neighbour(bob.peer);
  reader.space = 500_000;
  hear(reader, { type: 'vector', from: 0, to: 2 ** 48 - 1, entries: new Uint8Array() });
  const [offer] = reader.sent.splice(0);
  assert.equal(offer?.type === 'offer' ? offer.entries.length : 0, 18, 'one author');
  hear(reader, {
    type: 'want',
    want: createWant([{ tag: readU48(alice.publicKey, 0), after: 0, seq: 100, sum: 0 }]),
  });
  const sizes = reader.sent.map((message) => (message.type === 'deltas' ? bytesOf(message.deltas) : 0));
  assert.ok(sizes.every((size) => size <= 64 << 10));
  assert.ok(sizes.reduce((sum, size) => sum + size, 0) <= 500_000 + (64 << 10));
  for (let more = 0; more < 4; more++) grow(reader, 500_000);
  assert.equal(seqs(reader).flat().length, 100);
});

test('a forged delta is counted under its author and goes no further; the link and the rest stay', async () => {
  const { clock, neighbour, bring, hear, records, gossip } = await createWorld();
  const [a, b] = [neighbour(alice.peer), neighbour(bob.peer)];
  const genuine = delta(carol, 1, { note: 'x' });
  const signature = genuine.signature.slice();
  signature.set([1, 2, 3], 20);
  hear(a, {
    type: 'deltas',
    deltas: [
      { body: genuine.body, signature },
      { body: Uint8Array.of(1, 2), signature },
      delta(alice, 1, { note: 'y' }),
    ],
  });
  await clock.advance(100);
  assert.equal(records.get(carol.peer, 'note'), undefined);
  assert.deepEqual(seqs(b), [[1]]);
  assert.deepEqual(
    records.quarantined().map(({ author, count, problem }) => [author, count, problem]),
    [
      [carol.peer, 1, 'bad-signature'],
      [undefined, 1, 'truncated'],
    ],
  );
  assert.equal(gossip.counters.rejected, 2);
  bring(a, genuine);
  assert.notEqual(
    records.replica.seq(carol.peer),
    0,
    'the forgery does not stand in the way of the real one',
  );
});

test('who is not known as a member yet is heard once its certificate is there', async () => {
  const { clock, neighbour, bring, admit, records } = await createWorld([self, alice, bob]);
  const [a, b] = [neighbour(alice.peer), neighbour(bob.peer)];
  const first = delta(carol, 1, { peer: 'x' });
  const forged = { ...first, signature: new Uint8Array(64).fill(9) } as VerifiedDelta;
  bring(a, forged, first, delta(carol, 2, { links: 'y' }));
  await clock.advance(100);
  assert.deepEqual([records.replica.seq(carol.peer), seqs(b)], [0, []]);
  admit(carol);
  await clock.advance(100);
  assert.equal(records.replica.seq(carol.peer), 2);
  assert.deepEqual(seqs(b), [[1, 2]]);
});

test('strangers cannot fill the memory: only some thousand of their deltas wait', async () => {
  const { clock, neighbour, bring, admit, records } = await createWorld([self, alice]);
  const a = neighbour(alice.peer);
  for (let seq = 1; seq <= 5_000; seq++) bring(a, delta(bob, seq, { [`key${seq}`]: 'x' }));
  admit(bob);
  await clock.advance(10);
  assert.equal(records.replica.digest().deltas, 4_096);
  const b = neighbour(bob.peer);
  for (let seq = 1; seq <= 100; seq++) bring(b, delta(carol, seq, { [`key${seq}`]: 'x'.repeat(60_000) }));
  admit(carol);
  await clock.advance(10);
  const kept = records.replica.deltas(carol.peer);
  assert.ok(bytesOf(kept) <= 4 << 20 && kept.length >= 60, `${kept.length} kept`);
  assert.equal(kept.at(-1)?.seq, 100, 'the latest are kept');
});

test('the dialler of a new link tells three numbers; what differs is compared, sent and asked for', async () => {
  const { neighbour, bring, hear } = await createWorld();
  const a = neighbour(alice.peer);
  bring(a, delta(alice, 1, { note: 'x' }), delta(bob, 3, { note: 'x' }));
  const accepted = neighbour(bob.peer, 'accepted');
  assert.deepEqual(accepted.sent, []);
  const dialled = neighbour(carol.peer, 'dialled');
  const other = await createWorld();
  const there = other.neighbour(self.peer);
  other.bring(there, delta(alice, 5, { later: 'x' }));
  const [summary] = dialled.sent.splice(0);
  assert.ok(summary?.type === 'summary');
  other.hear(there, summary);
  const [vector] = there.sent.splice(0);
  assert.ok(vector?.type === 'vector');
  hear(dialled, vector);
  assert.deepEqual(
    dialled.sent.map(({ type }) => type),
    ['deltas', 'want'],
  );
  assert.deepEqual(seqs(dialled), [[3]], 'of bob, who is unknown there');
  const want = dialled.sent[1];
  assert.ok(want?.type === 'want');
  other.hear(there, want);
  assert.deepEqual(seqs(there), [[5]], 'of alice, the newer');
});

test('many news at once are only offered, and asked of one of those that offer them', async () => {
  const { clock, neighbour, bring, hear, records } = await createWorld();
  const [a, b, c] = [neighbour(alice.peer), neighbour(bob.peer), neighbour(carol.peer)];
  const news = [alice, bob, carol].map((author) => delta(author, 1, { note: 'x'.repeat(8_000) }));
  bring(a, ...news);
  await clock.advance(100);
  assert.deepEqual(
    [b, c].map(({ sent }) => sent.map(({ type }) => type)),
    [['offer'], ['offer']],
  );
  const offer = b.sent[0] as LinkMessage & { type: 'offer' };

  const other = await createWorld();
  const [d, e] = [other.neighbour(bob.peer), other.neighbour(carol.peer)];
  other.hear(d, offer);
  other.hear(e, offer);
  assert.deepEqual(
    [d, e].map(({ sent }) => sent.map(({ type }) => type)),
    [['want'], []],
  );
  hear(b, d.sent[0] as LinkMessage);
  const given = b.sent.flatMap((message) => (message.type === 'deltas' ? message.deltas : []));
  other.hear(d, { type: 'deltas', deltas: given });
  assert.deepEqual(other.records.replica.digest(), records.replica.digest());
  other.hear(e, offer);
  assert.deepEqual(
    e.sent.map(({ type }) => type).filter((type) => type === 'want'),
    [],
    'nothing is lacking',
  );
});

test('no more is asked for at a time than can be on its way, and the rest as it arrives', async () => {
  const authors = Array.from({ length: 600 }, (_, number): Identity => {
    const seed = new Uint8Array(32).fill(number & 255, 0, 16).fill(1 + (number >> 8), 16);
    const publicKey = crypto.publicKey(seed);
    return { seed, publicKey, peer: crypto.peerId(publicKey) };
  });
  const { neighbour, hear, bring } = await createWorld([self, alice, ...authors]);
  const a = neighbour(alice.peer);
  const news = authors.map((author) => delta(author, 1, { note: 'x'.repeat(100) }));
  const reference = createReplica();
  for (const one of news) reference.merge(one);
  hear(a, { type: 'offer', entries: reference.offer(news) });
  const asked = () =>
    a.sent.flatMap((message) => (message.type === 'want' ? [...reference.wanted(message.want)] : []));
  assert.equal(asked().length, 256);
  bring(a, ...asked().slice(0, 56));
  assert.equal(asked().length, 312);
  for (let arrived = 56; arrived < 600; ) {
    const next = asked().slice(arrived);
    assert.ok(next.length > 0 && next.length <= 256);
    bring(a, ...next);
    arrived += next.length;
  }
  assert.equal(asked().length, 600, 'each once');
});

test('who offers and does not send is given up, and somebody else is asked', async () => {
  const { clock, neighbour, hear, bring } = await createWorld();
  const [liar, b] = [neighbour(alice.peer), neighbour(bob.peer)];
  const news = [delta(bob, 1, { note: 'x' }), delta(carol, 1, { note: 'x' })];
  const reference = createReplica();
  for (const one of news) reference.merge(one);
  const offer: LinkMessage = { type: 'offer', entries: reference.offer(news) };
  hear(liar, offer);
  hear(b, offer);
  const wants = ({ sent }: FakeNeighbour) => sent.filter(({ type }) => type === 'want').length;
  assert.deepEqual([liar, b].map(wants), [1, 0]);
  await clock.advance(PATIENCE + 10);
  hear(liar, offer);
  hear(b, offer);
  assert.deepEqual([liar, b].map(wants), [1, 1], 'it is not believed again at once');
  bring(liar, ...news);
  assert.deepEqual(seqs(b).flat().length, 0, 'not pushed yet');
});

test('what was asked of a neighbour that goes away is looked for with another', async () => {
  const { neighbour, hear, lose } = await createWorld();
  const [a, b] = [neighbour(alice.peer), neighbour(bob.peer)];
  const news = delta(carol, 1, { note: 'x' });
  const reference = createReplica();
  reference.merge(news);
  hear(a, { type: 'offer', entries: reference.offer([news]) });
  lose(a);
  assert.deepEqual(
    b.sent.map(({ type }) => type),
    ['summary'],
  );
});

test('links that come up together are compared one after the other', async () => {
  const { clock, neighbour, hear } = await createWorld();
  const [a, b] = [neighbour(alice.peer), neighbour(bob.peer)];
  const differs: LinkMessage = { type: 'summary', authors: 1, deltas: 1, sum: 1 };
  hear(a, differs);
  hear(b, differs);
  assert.deepEqual(
    [a, b].map(({ sent }) => sent.map(({ type }) => type)),
    [['vector'], []],
  );
  await clock.advance(ONE_EVERY + 10);
  assert.deepEqual(
    b.sent.map(({ type }) => type),
    ['summary'],
    'it may be the same by now',
  );
  hear(b, differs);
  assert.deepEqual(
    b.sent.map(({ type }) => type),
    ['summary', 'vector'],
  );
});

test('every ten seconds one neighbour hears three numbers, and answers with all it has only if its own differ', async () => {
  const { clock, neighbour, bring, hear, records, gossip } = await createWorld();
  const a = neighbour(alice.peer);
  bring(a, delta(alice, 1, { note: 'x' }));
  await clock.advance(30_000);
  const summaries = a.sent.filter(({ type }) => type === 'summary');
  assert.ok(summaries.length >= 2 && summaries.length <= 5, `${summaries.length} in 30 s`);
  a.sent.length = 0;
  hear(a, { type: 'summary', ...records.replica.digest() });
  assert.deepEqual(a.sent, []);
  hear(a, { type: 'summary', ...records.replica.digest(), sum: 5 });
  assert.deepEqual(
    a.sent.map(({ type }) => type),
    ['vector'],
  );
  assert.equal(gossip.counters.repairs, 1);
});

test('own records leave once they are written, and closing sends what still waits', async () => {
  const { clock, neighbour, records, gossip } = await createWorld();
  const a = neighbour(alice.peer);
  await records.put('note', 1);
  assert.deepEqual(seqs(a), []);
  gossip.close();
  assert.deepEqual(seqs(a), [[1]]);
  await clock.advance(60_000);
  assert.equal(a.sent.length, 1, 'and nothing more');
});
