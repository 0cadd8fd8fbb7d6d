import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex } from '../../src/core/bytes.ts';
import {
  chooseSuite,
  isSigned,
  readMessage,
  SUITES,
  type Suite,
  signMessage,
} from '../../src/core/session/wire.ts';
import { nodeCrypto } from '../../src/host/crypto.ts';
import { createPair, isUp, MESH, type Pair, type Side } from '../unit/support/session-pair.ts';

async function establish(pair: Pair): Promise<void> {
  pair.want();
  await pair.clock.runUntil(() => isUp(pair));
}

const kindOf = (bytes: Uint8Array) => readMessage(bytes)?.kind ?? 'none';

test('somebody in between who changes any byte of offer or answer gets no session (SECURITY.md 5)', async () => {
  const lengths = { offer: 128, answer: 160 };
  for (const kind of ['offer', 'answer'] as const) {
    for (let at = 0; at < lengths[kind]; at++) {
      const pair = createPair({ crypto: nodeCrypto, seed: `${kind} ${at}` });
      let changed = 0;
      pair.onMessage = (_from, bytes) => {
        if (kindOf(bytes) !== kind) return [bytes];
        changed++;
        return [bytes.map((byte, place) => (place === at ? byte ^ (1 << (at % 8)) : byte))];
      };
      pair.want();
      await pair.clock.advance(2_500);
      assert.ok(changed > 0);
      assert.ok(!isUp(pair), `${kind}, byte ${at}`);
      assert.equal(pair.offerer.keys.length, 0, `${kind}, byte ${at}`);
      assert.equal(
        pair.answerer.sendKey()?.send ?? false,
        kind === 'answer',
        'what is not answered is proven by nobody',
      );
      assert.equal(pair.answerer.proven.size, 0);
    }
  }
});

test('a member in between that signs with its own key gets no session (SECURITY.md 5)', async () => {
  const pair = createPair({ crypto: nodeCrypto });
  const thief = createPair({ crypto: nodeCrypto, seed: 'thief' }).offerer.identity;
  pair.onMessage = (from, bytes) => {
    const message = readMessage(bytes);
    assert.ok(message);
    const to = from === pair.offerer ? pair.answerer : pair.offerer;
    const parties = { mesh: MESH, from: from.identity.peer, to: to.identity.peer };
    const ephemeral = nodeCrypto.agreementPublicKey(new Uint8Array(32).fill(7));
    const own = 'ephemeral' in message ? { ...message, ephemeral } : message;
    return [signMessage(own, parties, thief, nodeCrypto)];
  };
  pair.want();
  await pair.clock.advance(60_000);
  assert.deepEqual([pair.offerer.keys, pair.answerer.keys], [[], []]);
  assert.ok(pair.offerer.session.status().rejected + pair.answerer.session.status().rejected > 0);
});

test('messages of another pair, another direction or another mesh are refused', () => {
  const { offerer, answerer } = createPair({ crypto: nodeCrypto });
  const [from, to] = [offerer.identity.peer, answerer.identity.peer];
  const other = createPair({ crypto: nodeCrypto, seed: 'other' }).offerer.identity.peer;
  const parties = { mesh: MESH, from, to };
  const ask = { kind: 'ask', boot: offerer.boot, toBoot: undefined, epoch: 0 } as const;
  const bytes = signMessage(ask, parties, offerer.identity, nodeCrypto);
  assert.ok(isSigned(bytes, parties, nodeCrypto));
  for (const change of [
    { from: to, to: from },
    { to: other },
    { from: other },
    { mesh: 'ef'.repeat(32) as typeof MESH },
  ]) {
    assert.ok(!isSigned(bytes, { ...parties, ...change }, nodeCrypto), JSON.stringify(change));
  }
});

test('nobody makes two peers that both have AES use the other cipher, nor any cipher that they lack (SECURITY.md 5)', async () => {
  const worse: readonly Suite[] = ['chacha20-poly1305'];
  const pair = createPair({ crypto: nodeCrypto });
  // Answers from a life in which the answerer had no AES, kept to be replayed.
  const kept: Uint8Array[] = [];
  pair.answerer.restart(worse);
  pair.onMessage = (from, bytes) => {
    if (from === pair.answerer) kept.push(bytes);
    return [bytes];
  };
  await establish(pair);
  assert.equal(pair.offerer.sendKey()?.suite, 'chacha20-poly1305');
  pair.answerer.restart(SUITES);
  pair.onMessage = (from, bytes) => (from === pair.answerer ? [...kept, bytes] : [bytes]);
  pair.answerer.step({ type: 'want' });
  await pair.clock.runUntil(() => isUp(pair) && pair.offerer.sendKey()?.suite === 'aes-256-gcm');
  await pair.clock.advance(600_000);
  assert.equal(pair.offerer.sendKey()?.suite, 'aes-256-gcm');

  assert.equal(chooseSuite([], SUITES), undefined);
  const { offerer, answerer } = pair;
  const parties = { mesh: MESH, from: answerer.identity.peer, to: offerer.identity.peer };
  for (const bits of [0, 4, 8, 128]) {
    const share = { index: 1, ephemeral: new Uint8Array(32), suites: SUITES };
    const offer = { kind: 'offer', boot: answerer.boot, toBoot: offerer.boot, epoch: 1, ...share } as const;
    const bytes = signMessage(offer, parties, answerer.identity, nodeCrypto);
    assert.equal(readMessage(bytes.with(62, bits)), undefined, 'no null cipher, no unknown one alone');
  }
});

test('an answer that names a worse suite than both have is refused even when it is signed (SECURITY.md 5)', async () => {
  const pair = createPair({ crypto: nodeCrypto });
  pair.onMessage = (from, bytes) => {
    const message = readMessage(bytes);
    if (from !== pair.answerer || message?.kind !== 'answer') return [bytes];
    const parties = { mesh: MESH, from: from.identity.peer, to: pair.offerer.identity.peer };
    return [signMessage({ ...message, suite: 'chacha20-poly1305' }, parties, from.identity, nodeCrypto)];
  };
  pair.want();
  await pair.clock.advance(10_000);
  assert.equal(pair.offerer.keys.length, 0);
});

test('replayed offers, answers and asks of any earlier time change nothing (SECURITY.md 18)', async () => {
  const pair = createPair({ crypto: nodeCrypto });
  const recorded: { readonly from: Side; readonly bytes: Uint8Array }[] = [];
  pair.onMessage = (from, bytes) => {
    recorded.push({ from, bytes });
    return [bytes];
  };
  await establish(pair);
  for (let minute = 0; minute < 10; minute++) {
    // A key that protects nothing is not renewed.
    pair.send(pair.offerer);
    await pair.clock.advance(60_000);
    if (minute === 3) pair.offerer.restart();
    if (minute === 6) pair.answerer.restart();
    pair.want();
  }
  await pair.clock.runUntil(() => isUp(pair));
  await pair.clock.advance(20_000);
  const before = [pair.offerer.keys, pair.answerer.keys];
  const old = recorded.splice(0);
  assert.ok(old.length > 10);
  for (const { from, bytes } of old) {
    const to = from === pair.offerer ? pair.answerer : pair.offerer;
    to.step({ type: 'message', bytes });
    assert.deepEqual(pair.answerer.keys, before[1], kindOf(bytes));
    assert.ok(isUp(pair), kindOf(bytes));
  }
  await pair.clock.advance(20_000);
  assert.ok(isUp(pair));
  assert.ok(recorded.length < 12, `${recorded.length} messages because of ${old.length} replayed ones`);
});

test('whoever replays old messages all the time does not keep two peers apart', async () => {
  const pair = createPair({ crypto: nodeCrypto, announce: false });
  const recorded = new Map<Side, Map<string, Uint8Array>>([
    [pair.offerer, new Map()],
    [pair.answerer, new Map()],
  ]);
  pair.onMessage = (from, bytes) => {
    const old = recorded.get(from);
    const replayed = [...(old?.values() ?? [])];
    old?.set(toHex(bytes), bytes);
    return [...replayed, bytes, ...replayed];
  };
  for (let life = 0; life < 6; life++) {
    const side = life % 2 === 0 ? pair.offerer : pair.answerer;
    side.restart();
    pair.want();
    await pair.clock.runUntil(() => isUp(pair), 60_000);
    await pair.clock.advance(130_000);
    assert.ok(isUp(pair), `life ${life}`);
  }
  assert.ok(pair.said.length < 300, `${pair.said.length} messages`);
});

test('a member that sends weak ephemeral keys gets no session', async () => {
  const zero = new Uint8Array(32);
  const one = zero.with(0, 1);
  for (const weak of [zero, one]) {
    for (const liar of ['offerer', 'answerer'] as const) {
      const pair = createPair({ crypto: nodeCrypto });
      pair.onMessage = (from, bytes) => {
        const message = readMessage(bytes);
        if (from !== pair[liar] || message === undefined || !('ephemeral' in message)) return [bytes];
        const to = from === pair.offerer ? pair.answerer : pair.offerer;
        const parties = { mesh: MESH, from: from.identity.peer, to: to.identity.peer };
        return [signMessage({ ...message, ephemeral: weak }, parties, from.identity, nodeCrypto)];
      };
      pair.want();
      await pair.clock.advance(5_000);
      const honest = liar === 'offerer' ? pair.answerer : pair.offerer;
      assert.equal(honest.keys.length, 0);
      assert.match(honest.session.status().lastError ?? '', /weak key/);
    }
  }
});

test('a hundred pairs have keys that are all different (SECURITY.md 4)', async () => {
  const seen = new Set<string>();
  let count = 0;
  for (let number = 0; number < 100; number++) {
    const pair = createPair({ crypto: nodeCrypto, seed: `pair ${number}` });
    await establish(pair);
    for (let epoch = 0; epoch < 3; epoch++) {
      await pair.clock.advance(1_000);
      pair.offerer.step({ type: 'rekey' });
      await pair.clock.advance(1_000);
    }
    for (const key of pair.offerer.everKeys.values()) {
      count += 2;
      seen.add(toHex(key.sendKey));
      seen.add(toHex(key.receiveKey));
    }
  }
  assert.equal(count, 100 * 4 * 2);
  assert.equal(seen.size, count);
});

test('ephemeral private keys are zeroed as soon as they have served', async () => {
  const secrets: Uint8Array[] = [];
  const crypto = {
    ...nodeCrypto,
    agreementPublicKey(secret: Uint8Array) {
      secrets.push(secret);
      return nodeCrypto.agreementPublicKey(secret);
    },
    agree(secret: Uint8Array, key: Uint8Array) {
      const shared = nodeCrypto.agree(secret, key);
      if (shared !== undefined) secrets.push(shared);
      return shared;
    },
  };
  const pair = createPair({ crypto });
  await establish(pair);
  for (let minute = 0; minute < 10; minute++) {
    pair.send(pair.offerer);
    await pair.clock.advance(60_000);
  }
  pair.onMessage = () => [];
  pair.offerer.step({ type: 'rekey' });
  pair.offerer.step({ type: 'pause' });
  assert.ok(secrets.length >= 20);
  for (const secret of secrets) assert.ok(secret.every((byte) => byte === 0));
});

test('random and mutilated bytes are counted and change nothing', async () => {
  const pair = createPair();
  await establish(pair);
  const before = [pair.offerer.keys, pair.answerer.keys];
  const real = pair.said.map(({ bytes }) => bytes);
  const mutilated = fc
    .tuple(fc.constantFrom(...real), fc.nat(), fc.nat({ max: 255 }), fc.nat({ max: 200 }))
    .map(([bytes, at, value, length]) => {
      const copy = bytes.slice(0, 26 + length);
      copy[at % copy.length] = value;
      return copy;
    });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutilated), (bytes) => {
      if (real.some((one) => Buffer.compare(one, bytes) === 0)) return;
      for (const side of [pair.offerer, pair.answerer]) side.step({ type: 'message', bytes });
      assert.deepEqual([pair.offerer.keys, pair.answerer.keys], before);
    }),
    { numRuns: 2_000 },
  );
  assert.ok(pair.offerer.session.status().rejected > 1_000);
  await pair.clock.advance(200_000);
  assert.ok(isUp(pair));
});

test('equal messages have equal bytes, and nothing in them is left over (SECURITY.md 27)', () => {
  const { offerer, answerer } = createPair({ crypto: nodeCrypto });
  const parties = { mesh: MESH, from: offerer.identity.peer, to: answerer.identity.peer };
  const share = { index: 9, ephemeral: new Uint8Array(32).fill(5), suites: SUITES };
  const offer = { kind: 'offer', boot: offerer.boot, toBoot: undefined, epoch: 3, ...share } as const;
  const bytes = signMessage(offer, parties, offerer.identity, nodeCrypto);
  assert.deepEqual(bytes, signMessage({ ...offer }, parties, offerer.identity, nodeCrypto));
  assert.deepEqual(readMessage(bytes), offer);
  const answer = {
    ...offer,
    kind: 'answer',
    suite: 'aes-256-gcm',
    offerHash: new Uint8Array(32).fill(6),
  } as const;
  assert.deepEqual(readMessage(signMessage(answer, parties, offerer.identity, nodeCrypto)), answer);
});
