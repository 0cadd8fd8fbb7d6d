import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, describe, test } from 'node:test';
import { createNativeRig, missing, type NativeHost, run, until } from './datapath-native-rig.ts';
import { drops, HERE, packet, THERE } from './datapath-rig.ts';

/** native/src/turn.h: while packets come few at a time one thread has both directions, once they crowd each has its own. */

const BURST = 200;
const TRIPS = 20;

/** How often threads of that name went to sleep, in all data paths of this process. */
function sleepsOf(name: string): number {
  let sleeps = 0;
  for (const task of readdirSync('/proc/self/task')) {
    const status = readFileSync(`/proc/self/task/${task}/status`, 'utf8');
    if (status.startsWith(`Name:\t${name}\n`))
      sleeps += Number(/^voluntary_ctxt_switches:\t(\d+)$/m.exec(status)?.[1]);
  }
  return sleeps;
}

describe('datapath: who reads the device', { skip: missing() ?? false }, () => {
  const rig = createNativeRig();
  afterEach(() => rig.end());

  /** One packet at a time, there and back. */
  async function trips(a: NativeHost, b: NativeHost, label: string): Promise<void> {
    for (let i = 0; i < TRIPS; i++) {
      const [there, back] = [a.received.length, b.received.length];
      a.send(packet(HERE, THERE, `${label} ${i}`));
      await until(() => b.received.length > back);
      b.send(packet(THERE, HERE, `${label} ${i}`));
      await until(() => a.received.length > there);
    }
  }

  /** Trips, again and again, until the sending threads sleep through a round of them. */
  async function together(a: NativeHost, b: NativeHost): Promise<number> {
    for (let round = 0; ; round++) {
      const before = sleepsOf('tun-send-0');
      await trips(a, b, `round ${round}`);
      if (sleepsOf('tun-send-0') === before) return round + 1;
    }
  }

  test('one thread has both directions while packets come singly', { timeout: 30_000 }, async () => {
    const [a, b] = await rig.openPair();
    await together(a, b);
    const [out, both] = [sleepsOf('tun-send-0'), sleepsOf('tun-receive-0')];
    await trips(a, b, 'again');
    assert.equal(sleepsOf('tun-send-0'), out);
    assert.ok(sleepsOf('tun-receive-0') >= both + 2 * TRIPS);
    assert.deepEqual([drops(a), drops(b)], [{}, {}]);
  });

  /** Packets both ways, as many at once as the device's queue holds with room to spare. */
  async function burst(a: NativeHost, b: NativeHost, label: string): Promise<void> {
    const [there, back] = [a.received.length, b.received.length];
    const numbers = Array.from({ length: BURST }, (_, i) => i);
    const [out, home] = [
      numbers.map((i) => packet(HERE, THERE, `${label} ${i}`)),
      numbers.map((i) => packet(THERE, HERE, `${label} ${i}`)),
    ];
    for (const i of numbers) {
      a.send(out[i] as Uint8Array);
      b.send(home[i] as Uint8Array);
    }
    await until(() => a.received.length === there + BURST && b.received.length === back + BURST);
    assert.deepEqual([b.received.slice(back), a.received.slice(there)], [out, home]);
  }

  test('a crowd wakes the other one, and nothing is lost or out of order', { timeout: 60_000 }, async () => {
    const [a, b] = await rig.openPair();
    for (let turn = 0; turn < 10; turn++) {
      await together(a, b);
      const asleep = sleepsOf('tun-send-0');
      do await burst(a, b, `turn ${turn}`);
      while (sleepsOf('tun-send-0') === asleep);
    }
    assert.deepEqual([drops(a), drops(b)], [{}, {}]);
  });

  test('a device that is deleted while one thread has both directions is reported once', {
    timeout: 30_000,
  }, async () => {
    const [a, b] = await rig.openPair();
    await together(a, b);
    const before = a.events.length;
    run('ip', '-n', a.namespace, 'link', 'del', 'weft0');
    await until(() => a.events.length > before);
    await a.datapath.close();
    const told = a.events.slice(before);
    assert.equal(told.length, 1);
    assert.ok(told[0]?.type === 'failed' && /weft0 is gone/.test(told[0].message));
  });
});
