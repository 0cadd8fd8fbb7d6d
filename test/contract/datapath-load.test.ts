import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import type { SessionKey } from '../../src/ports/datapath.ts';
import { createNativeRig, missing, until } from './datapath-native-rig.ts';
import { drops, HERE, key, mirrored, packet, ROUTES, ROUTES_THERE, SLOT, THERE } from './datapath-rig.ts';

/** Tables change while packets are under way. Meant to be run with the thread sanitizer as well: native/test/sanitize.sh tsan. */

const reason = missing();
const ROUNDS = 60;
const PER_ROUND = 40;

function keyOf(round: number, send: boolean): SessionKey {
  const bytes = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
  const [receiveKey, sendKey] = [bytes(2 * round + 1), bytes(2 * round + 2)];
  const suite = round % 2 === 0 ? 'aes-256-gcm' : 'chacha20-poly1305';
  return key({ receiveIndex: 1000 + round, sendIndex: 9000 + round, receiveKey, sendKey, suite, send });
}

describe('datapath: changes under load', { skip: reason ?? false }, () => {
  const rig = createNativeRig();
  afterEach(() => rig.end());

  test('keys and routes are replaced again and again, and no packet is lost', async () => {
    const [a, b] = [await rig.openNative(), await rig.openNative()];
    b.datapath.setRoutes(ROUTES_THERE);
    a.datapath.setRoutes(ROUTES);
    for (const host of [a, b]) host.datapath.setPeer(SLOT, null);
    for (let round = 0; round < ROUNDS; round++) {
      const past = round === 0 ? [] : [keyOf(round - 1, false)];
      const still = round === 0 ? [] : [keyOf(round - 1, true)];
      // Both can open the new key before either seals with it.
      b.datapath.setKeys(SLOT, [...still, keyOf(round, false)].map(mirrored));
      a.datapath.setKeys(SLOT, [keyOf(round, true), ...past]);
      b.datapath.setKeys(SLOT, [keyOf(round, true), ...past].map(mirrored));
      a.datapath.setPeer(SLOT, b.endpoint);
      b.datapath.setPeer(SLOT, a.endpoint);
      a.datapath.setRoutes([...ROUTES, { start: 0xf000_0000, last: 0xf000_0000 + round, slot: 3 }]);
      b.datapath.setRoutes([...ROUTES_THERE, { start: 0xf000_0000, last: 0xf000_0000 + round, slot: 3 }]);
      for (let i = 0; i < PER_ROUND; i++) {
        a.send(packet(HERE, THERE, `${round} ${i}`));
        b.send(packet(THERE, HERE, `${round} ${i}`));
      }
      // At most the packets of one round are still under way when their key is one behind.
      const sent = (round + 1) * PER_ROUND;
      await until(() => b.received.length > sent - PER_ROUND && a.received.length > sent - PER_ROUND);
    }
    await until(() => b.received.length === ROUNDS * PER_ROUND && a.received.length === ROUNDS * PER_ROUND);
    const all = Array.from({ length: ROUNDS * PER_ROUND }, (_, n) => [
      Math.floor(n / PER_ROUND),
      n % PER_ROUND,
    ]);
    assert.deepEqual(
      b.received,
      all.map(([round, i]) => packet(HERE, THERE, `${round} ${i}`)),
    );
    assert.deepEqual([drops(a), drops(b)], [{}, {}]);
  });

  test('peers come and go while others talk, and only their own packets are dropped', async () => {
    const host = await rig.openNative();
    const peer = await rig.stranger();
    host.datapath.setRoutes(ROUTES);
    host.datapath.setPeer(SLOT, peer.endpoint);
    host.datapath.setKeys(SLOT, [key()]);
    const ours = (): Uint8Array[] =>
      peer.received.filter((one) => Buffer.from(one).readUInt32BE(4) === key().sendIndex);
    let sent = 0;
    for (let round = 0; round < 300; round++) {
      host.datapath.setPeer(2, peer.endpoint);
      host.datapath.setKeys(2, [key({ receiveIndex: 500 + round, sendIndex: 7 })]);
      for (let i = 0; i < 10; i++) {
        host.send(packet(HERE, THERE, `${sent++}`));
        host.send(packet(HERE, THERE + 256, 'other'));
      }
      // Fewer under way than the device's queue holds.
      if (round % 10 === 9) await until(() => ours().length === sent + 1);
      host.datapath.removePeer(2);
    }
    await until(() => ours().length === sent + 1);
    const bodies = ours().map((one) => rig.unseal(key().sendKey, 'aes-256-gcm', one));
    assert.deepEqual(
      bodies.slice(1),
      Array.from({ length: sent }, (_, n) => packet(HERE, THERE, `${n}`)),
    );
    const { txNoKey = 0, ...others } = drops(host);
    assert.deepEqual(others, {});
    assert.ok(txNoKey < sent);
  });
});
