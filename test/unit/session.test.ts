import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { nodeCrypto } from '../../src/host/crypto.ts';
import { createPair, isUp, type Pair, type Side } from './support/session-pair.ts';

const MINUTE = 60_000;

async function establish(pair: Pair): Promise<void> {
  pair.want();
  await pair.clock.runUntil(() => isUp(pair));
}

test('two peers that want each other have a session after one exchange', async () => {
  const pair = createPair({ crypto: nodeCrypto });
  await establish(pair);
  assert.ok(pair.clock.now() < 10, `${pair.clock.now()} ms`);
  const { offerer, answerer } = pair;
  assert.equal(offerer.session.status().role, 'offers');
  assert.equal(answerer.session.status().role, 'answers');
  for (const { session, keys } of [offerer, answerer]) {
    const { state, epoch, suite, since, lastError } = session.status();
    assert.deepEqual(
      { state, suite, lastError },
      { state: 'established', suite: 'aes-256-gcm', lastError: undefined },
    );
    assert.equal(epoch, 1);
    assert.ok(since !== undefined && since <= pair.clock.now());
    assert.ok(keys.length >= 1 && keys.length <= 3);
  }
  const [one, two] = [offerer.sendKey(), answerer.sendKey()];
  assert.notDeepEqual(one?.sendKey, two?.sendKey, 'one key for each direction');
});

test('either side alone can bring the session about', async () => {
  for (const side of ['offerer', 'answerer'] as const) {
    const pair = createPair();
    pair[side].step({ type: 'want' });
    await pair.clock.runUntil(() => isUp(pair));
    assert.ok(pair.clock.now() < 10);
  }
});

test('peers that know nothing of each other yet find out', async () => {
  const pair = createPair({ announce: false });
  await establish(pair);
  assert.ok(pair.clock.now() < 2_000, `${pair.clock.now()} ms`);
});

test('keys are replaced every two minutes, without a moment in which packets are lost', async () => {
  const pair = createPair();
  await establish(pair);
  const epochs = new Set<number | undefined>();
  const begun = pair.clock.now();
  while (pair.clock.now() - begun < 60 * MINUTE) {
    await pair.clock.advance(997);
    assert.ok(pair.send(pair.offerer), `from offerer at ${pair.clock.now()}`);
    assert.ok(pair.send(pair.answerer), `from answerer at ${pair.clock.now()}`);
    epochs.add(pair.offerer.session.status().epoch);
    for (const { keys } of [pair.offerer, pair.answerer]) assert.ok(keys.length <= 3);
  }
  assert.ok(epochs.size >= 27 && epochs.size <= 34, `${epochs.size} keys in an hour`);
  const since = pair.offerer.session.status().since;
  assert.ok(since !== undefined && since <= begun, 'it is one session all the while');
});

test('a key that has protected nothing is kept, and replaced soon after its first packet', async () => {
  for (const side of ['offerer', 'answerer'] as const) {
    const pair = createPair();
    await establish(pair);
    await pair.clock.advance(MINUTE);
    const said = pair.said.length;
    await pair.clock.advance(60 * MINUTE);
    assert.equal(pair.said.length, said, 'there is nothing to protect');
    assert.ok(pair.send(pair[side]));
    await pair.clock.advance(15_000);
    for (const { session } of [pair.offerer, pair.answerer]) assert.equal(session.status().epoch, 2);
    await pair.clock.advance(60 * MINUTE);
    assert.equal(pair.offerer.session.status().epoch, 2, 'nor under the next one');
  }
});

test('an answerer whose key is used and old asks for another one where no offer comes', async () => {
  const pair = createPair();
  await establish(pair);
  pair.send(pair.answerer);
  // It has forgotten to.
  pair.offerer.step({ type: 'pause' });
  const asked = () => pair.said.filter(({ from }) => from === pair.answerer).length;
  const before = asked();
  await pair.clock.advance(4 * MINUTE);
  assert.ok(asked() > before);
});

test('the old key receives for a while and is then erased', async () => {
  const pair = createPair();
  await establish(pair);
  const old = pair.answerer.sendKey()?.receiveIndex;
  pair.answerer.step({ type: 'rekey' });
  await pair.clock.advance(2_000);
  for (const { keys } of [pair.offerer, pair.answerer]) assert.equal(keys.length, 2);
  assert.ok(pair.answerer.keys.some(({ receiveIndex, send }) => receiveIndex === old && !send));
  await pair.clock.advance(15_000);
  for (const { keys } of [pair.offerer, pair.answerer]) assert.equal(keys.length, 1);
  assert.ok(isUp(pair));
});

test('a data path that has used its key up gets a new one, on either side', async () => {
  for (const side of ['offerer', 'answerer'] as const) {
    const pair = createPair();
    await establish(pair);
    const before = pair[side].sendKey()?.receiveIndex;
    for (let repeat = 0; repeat < 5; repeat++) pair[side].step({ type: 'rekey' });
    await pair.clock.advance(10_000);
    assert.notEqual(pair[side].sendKey()?.receiveIndex, before);
    assert.equal(pair[side].session.status().epoch, 2, 'one new key, however often it was asked for');
  }
});

test('the answerer goes on sending under the old key until a packet has come under the new one', async () => {
  const pair = createPair();
  await establish(pair);
  const old = pair.answerer.sendKey()?.receiveIndex;
  pair.onPacket = (from) => from !== pair.offerer;
  pair.offerer.step({ type: 'rekey' });
  await pair.clock.advance(1_000);
  assert.equal(pair.answerer.sendKey()?.receiveIndex, old);
  assert.equal(pair.answerer.keys.length, 2, 'but it receives under both');
  pair.onPacket = () => true;
  pair.send(pair.offerer);
  await pair.clock.advance(10);
  assert.notEqual(pair.answerer.sendKey()?.receiveIndex, old);
});

test('a host behind a NAT makes the first packet when the other cannot reach it', async () => {
  for (const hidden of ['offerer', 'answerer'] as const) {
    const pair = createPair();
    let opened = false;
    pair.onPacket = (from) => {
      if (from === pair[hidden]) opened = true;
      return opened;
    };
    pair.want();
    // Any later packet stands for the ones that the application sends.
    while (!isUp(pair) && pair.clock.now() < 10_000) {
      await pair.clock.advance(100);
      pair.send(pair.offerer);
      pair.send(pair.answerer);
    }
    assert.ok(isUp(pair), hidden);
    assert.ok(pair.clock.now() <= 1_000, `${pair.clock.now()} ms`);
  }
});

test('when no packet gets through, status says so and other endpoints are tried', async () => {
  const pair = createPair();
  pair.onPacket = () => false;
  pair.want();
  await pair.clock.advance(30_000);
  const { state, lastError } = pair.offerer.session.status();
  assert.equal(state, 'agreed');
  assert.match(lastError ?? '', /UDP port/);
  assert.ok(pair.offerer.unanswered >= 2);
  assert.ok(pair.answerer.unanswered >= 1);
  assert.ok(pair.said.length < 30, `${pair.said.length} messages`);
  pair.onPacket = () => true;
  await pair.clock.runUntil(() => isUp(pair), 130_000);
  assert.equal(pair.offerer.session.status().lastError, undefined);
});

test('when a new key does not get through, packets go back to the old one, which still has its counters', async () => {
  const pair = createPair();
  await establish(pair);
  const old = pair.offerer.sendKey();
  pair.onPacket = (from) => from === pair.answerer;
  pair.offerer.step({ type: 'rekey' });
  await pair.clock.advance(4_000);
  assert.notEqual(pair.offerer.sendKey()?.receiveIndex, old?.receiveIndex);
  assert.ok(
    pair.offerer.keys.some(({ receiveIndex }) => receiveIndex === old?.receiveIndex),
    'kept all the while',
  );
  // One more offer is answered at once; its key is tried in turn.
  pair.onMessage = () => [];
  await pair.clock.advance(2_000);
  assert.equal(pair.offerer.sendKey()?.receiveIndex, old?.receiveIndex);
  pair.onMessage = (_from, bytes) => [bytes];
  pair.onPacket = () => true;
  await pair.clock.runUntil(() => isUp(pair) && pair.offerer.sendKey()?.receiveIndex !== old?.receiveIndex);
});

test('lost messages are sent again, ever more slowly', async () => {
  const pair = createPair();
  pair.onMessage = () => [];
  pair.want();
  await pair.clock.advance(10 * MINUTE);
  const offers = pair.said.filter(({ from }) => from === pair.offerer).length;
  assert.ok(offers >= 20 && offers < 70, `${offers} offers in ten minutes`);
  assert.match(pair.offerer.session.status().lastError ?? '', /does not answer/);
  assert.match(pair.answerer.session.status().lastError ?? '', /no offer/);
  pair.onMessage = (_from, bytes) => [bytes];
  await pair.clock.runUntil(() => isUp(pair), 40_000);
});

test('a peer that cannot be reached is left in peace, its keys stay, and it goes on when it is back', async () => {
  const pair = createPair();
  await establish(pair);
  const keys = pair.offerer.keys;
  for (const side of [pair.offerer, pair.answerer]) side.step({ type: 'pause' });
  const said = pair.said.length;
  await pair.clock.advance(30 * MINUTE);
  assert.equal(pair.said.length, said);
  assert.deepEqual(pair.offerer.keys, keys);
  assert.ok(pair.send(pair.offerer));
  pair.want();
  await pair.clock.runUntil(() => pair.offerer.session.status().epoch === 2);
});

test('a peer that starts anew has a new session at once, whichever side it is', async () => {
  for (const announce of [true, false]) {
    for (const side of ['offerer', 'answerer'] as const) {
      const pair = createPair({ announce });
      await establish(pair);
      await pair.clock.advance(30_000);
      const begun = pair.clock.now();
      pair[side].restart();
      pair[side].step({ type: 'want' });
      await pair.clock.runUntil(() => isUp(pair));
      assert.ok(pair.clock.now() - begun < (announce ? 10 : 2_000), `${pair.clock.now() - begun} ms`);
      assert.ok((pair.offerer.session.status().since ?? 0) >= begun === true || side === 'offerer');
    }
  }
});

test('restarts of both sides at any moment end in a session', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom('offerer', 'answerer'), fc.integer({ min: 0, max: 7_000 })), {
        maxLength: 8,
      }),
      fc.boolean(),
      async (restarts, announce) => {
        const pair = createPair({ announce });
        pair.want();
        for (const [side, later] of restarts) {
          await pair.clock.advance(later);
          pair[side as 'offerer' | 'answerer'].restart();
          pair[side as 'offerer' | 'answerer'].step({ type: 'want' });
        }
        await pair.clock.runUntil(() => isUp(pair), 70_000);
      },
    ),
    { numRuns: 60 },
  );
});

test('both sides agree on the best suite that both have', async () => {
  const both = ['aes-256-gcm', 'chacha20-poly1305'] as const;
  const plain = ['chacha20-poly1305'] as const;
  for (const [suites, expected] of [
    [[both, both], 'aes-256-gcm'],
    [[both, plain], 'chacha20-poly1305'],
    [[plain, both], 'chacha20-poly1305'],
    [[plain, plain], 'chacha20-poly1305'],
  ] as const) {
    const pair = createPair({ suites });
    await establish(pair);
    for (const side of [pair.offerer, pair.answerer]) assert.equal(side.sendKey()?.suite, expected);
  }
  const pair = createPair({ suites: [['aes-256-gcm'], plain] });
  pair.want();
  await pair.clock.advance(5_000);
  assert.equal(pair.offerer.keys.length, 0);
  assert.match(pair.answerer.session.status().lastError ?? '', /cipher/);
});

test('lost, repeated, late and swapped messages are harmless', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.integer({ min: 0, max: 60 }), async (seed, loss) => {
      const pair = createPair({ seed: `storm ${seed}` });
      const heap: { readonly from: Side; readonly bytes: Uint8Array }[] = [];
      let draw = seed >>> 0;
      const chance = () => {
        draw = (Math.imul(draw, 1_664_525) + 1_013_904_223) >>> 0;
        return draw / 2 ** 32;
      };
      pair.onMessage = (from, bytes) => {
        heap.push({ from, bytes });
        const again = heap[Math.floor(chance() * heap.length)];
        const repeated = again?.from === from ? [again.bytes] : [];
        return chance() * 100 < loss ? repeated : [bytes, ...repeated];
      };
      pair.onPacket = () => chance() * 100 >= loss;
      pair.want();
      for (let minute = 0; minute < 10; minute++) {
        await pair.clock.advance(MINUTE);
        if (minute === 4) pair.answerer.restart();
        if (minute === 4) pair.answerer.step({ type: 'want' });
        pair.send(pair.offerer);
        pair.send(pair.answerer);
      }
      pair.onPacket = () => true;
      pair.onMessage = (_from, bytes) => [bytes];
      await pair.clock.runUntil(() => isUp(pair), 130_000);
    }),
    { numRuns: 30 },
  );
});

test('an offer that was broken off after it had been answered is made anew', async () => {
  const pair = createPair();
  pair.want();
  await pair.clock.runUntil(() => isUp(pair));
  const old = pair.offerer.sendKey()?.receiveIndex;
  // The answerer agrees to a new key, and the offerer never hears of it.
  pair.onMessage = (from, bytes) => (from === pair.offerer ? [bytes] : []);
  pair.offerer.step({ type: 'rekey' });
  await pair.clock.advance(1_000);
  pair.offerer.step({ type: 'pause' });
  pair.onMessage = (_from, bytes) => [bytes];
  await pair.clock.advance(30_000);
  pair.want();
  await pair.clock.runUntil(() => isUp(pair) && pair.offerer.sendKey()?.receiveIndex !== old, 5_000);
});
