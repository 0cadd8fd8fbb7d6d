import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DatapathEvent } from '../../src/ports/datapath.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';
import { openMemory, sealMemory } from '../../src/ports/memory/datagram.ts';
import { createMemoryWire } from '../../src/ports/memory/datagram-wire.ts';
import { openMemoryDatapath } from '../../src/ports/memory/datapath.ts';
import { type DatapathRig, HERE, IPV6_PREFIX, key, packet, ROUTES, SLOT, THERE } from './datapath-rig.ts';
import { datapathSuite } from './datapath-suite.ts';

const HOST = { device: 'weft0', address: '::', port: 0, ipv6Prefix: IPV6_PREFIX.text };

function createRig(): DatapathRig {
  const clock = createVirtualClock();
  const wire = createMemoryWire({ clock, latency: 1 });
  const closers: (() => Promise<void>)[] = [];
  let hosts = 0;
  return {
    async open({ carries = true, ...limits } = {}) {
      const events: DatapathEvent[] = [];
      const received: Uint8Array[] = [];
      const host = `10.99.0.${++hosts}`;
      const datapath = await openMemoryDatapath(
        { ...HOST, carries, onEvent: (event) => events.push(event) },
        { wire, clock, host, limits, onPacket: (one) => received.push(one) },
      );
      closers.push(() => datapath.close());
      const { port, send } = datapath;
      return { datapath, endpoint: { address: host, port }, events, received, send };
    },
    async stranger() {
      const received: Uint8Array[] = [];
      const endpoint = wire.bind('10.99.1.1', 0, (datagram) => received.push(datagram));
      return { endpoint, received, send: (to, datagram) => wire.send(endpoint, to, datagram) };
    },
    seal: sealMemory,
    unseal: openMemory,
    until: (condition) => clock.runUntil(condition),
    async end() {
      for (const close of closers.splice(0)) await close();
    },
  };
}

datapathSuite('memory', createRig);

test('a peer without a key is asked for again after a second', async () => {
  const clock = createVirtualClock();
  const wire = createMemoryWire({ clock });
  const events: DatapathEvent[] = [];
  const path = await openMemoryDatapath(
    { device: 'weft0', address: '::', port: 0, onEvent: (event) => events.push(event) },
    { wire, clock, host: '10.99.0.1' },
  );
  path.setRoutes(ROUTES);
  path.setPeer(SLOT, null);
  for (let i = 0; i < 25; i++) {
    path.send(packet(HERE, THERE));
    await clock.advance(100);
  }
  assert.deepEqual(events, Array(3).fill({ type: 'keyWanted', slot: SLOT }));
});

test('a wire that loses everything delivers nothing, and a port is given once', async () => {
  const clock = createVirtualClock();
  const wire = createMemoryWire({ clock });
  const arrived: Uint8Array[] = [];
  const from = wire.bind('10.99.0.1', 6783, () => {});
  const to = wire.bind('10.99.0.2', 6783, (datagram) => arrived.push(datagram));
  assert.throws(() => wire.bind('10.99.0.2', 6783, () => {}), { code: 'port-taken' });
  wire.setFilter(() => false);
  wire.send(from, to, new Uint8Array(1));
  wire.setFilter(() => true);
  wire.send(from, to, key().sendKey);
  await clock.settle();
  await clock.advance(1);
  assert.deepEqual(arrived, [key().sendKey]);
});
