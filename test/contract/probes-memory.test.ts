import { createVirtualClock } from '../../src/ports/memory/clock.ts';
import { createMemoryProbes } from '../../src/ports/memory/probes.ts';
import { probesContract } from './probes.ts';

const ADDRESSES = { a: 'fe80::1', b: 'fe80::2' };

probesContract('probes in memory', async () => {
  const clock = createVirtualClock();
  const { open } = createMemoryProbes(clock);
  return {
    addresses: ADDRESSES,
    open: (end, onMessage = () => {}) =>
      open({ device: end, address: ADDRESSES[end], port: 7_000, onMessage }),
    async until(what, condition) {
      await clock.advance(100);
      if (!condition()) throw new Error(`no sign of ${what}`);
    },
    async close() {},
  };
});
