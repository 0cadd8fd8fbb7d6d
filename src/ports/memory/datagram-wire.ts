import type { Clock } from '../clock.ts';
import { DatapathError, type UdpEndpoint } from '../datapath.ts';

export type DatagramHandler = (datagram: Uint8Array, from: UdpEndpoint) => void;

/** Carries datagrams between the memory data paths of one simulation. */
export interface MemoryWire {
  /** Port 0 takes any. Throws DatapathError `port-taken`. */
  bind(address: string, port: number, onDatagram: DatagramHandler): UdpEndpoint;
  unbind(endpoint: UdpEndpoint): void;
  /** Arrives after the latency; nowhere when nobody is bound to `to` by then. Anybody may send in any name. */
  send(from: UdpEndpoint, to: UdpEndpoint, datagram: Uint8Array): void;
  /** What happens to each datagram from now on: pass it, or lose it. */
  setFilter(passes: (from: UdpEndpoint, to: UdpEndpoint, datagram: Uint8Array) => boolean): void;
}

export interface MemoryWireOptions {
  readonly clock: Clock;
  /** Milliseconds from send to arrival. Default 0. */
  readonly latency?: number;
}

const FIRST_FREE_PORT = 49_152;

export function createMemoryWire(options: MemoryWireOptions): MemoryWire {
  const { clock, latency = 0 } = options;
  const bound = new Map<string, DatagramHandler>();
  const nameOf = ({ address, port }: UdpEndpoint): string => `${address} ${port}`;
  let passes: (from: UdpEndpoint, to: UdpEndpoint, datagram: Uint8Array) => boolean = () => true;
  let nextPort = FIRST_FREE_PORT;

  return {
    bind(address, port, onDatagram) {
      const endpoint = { address, port: port === 0 ? nextPort++ : port };
      if (bound.has(nameOf(endpoint)))
        throw new DatapathError(
          'port-taken',
          `UDP port ${port} on ${address} is in use: stop its owner or choose another port`,
        );
      bound.set(nameOf(endpoint), onDatagram);
      return endpoint;
    },
    unbind(endpoint) {
      bound.delete(nameOf(endpoint));
    },
    send(from, to, datagram) {
      if (!passes(from, to, datagram)) return;
      const copy = datagram.slice();
      clock.setTimer(latency, () => bound.get(nameOf(to))?.(copy, from));
    },
    setFilter(filter) {
      passes = filter;
    },
  };
}
