import type { Clock } from '../clock.ts';
import type { OpenProbes, ProbeSocketOptions } from '../probes.ts';

/** One wire with all the sockets on it. */
export interface MemoryProbes {
  readonly open: OpenProbes;
  /** Decides what gets through, from then on. */
  pass(rule: (from: string, to: string, size: number) => boolean): void;
}

const DELAY = 1;
/** Bytes that a datagram over IPv6 holds. */
const LARGEST = 65_527;

export function createMemoryProbes(clock: Clock): MemoryProbes {
  const sockets = new Map<string, ProbeSocketOptions>();
  let passes: (from: string, to: string, size: number) => boolean = () => true;
  return {
    pass(rule) {
      passes = rule;
    },
    async open(options) {
      const { address } = options;
      if (sockets.has(address)) throw new Error(`bind EADDRINUSE ${address}`);
      sockets.set(address, options);
      return {
        send(to, bytes) {
          const copy = bytes.slice();
          if (bytes.length > LARGEST || !passes(address, to, bytes.length)) return;
          clock.setTimer(DELAY, () => sockets.get(to)?.onMessage(address, copy));
        },
        close: () => void sockets.delete(address),
      };
    },
  };
}
