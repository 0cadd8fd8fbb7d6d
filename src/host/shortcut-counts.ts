import { type FastPathCounters, type FastPathPeer, underlayFamily } from '../ports/host.ts';
import { createMap, getEntry } from './bpf.ts';
import { possibleProcessors } from './cpu.ts';
import type { FastPathCounts } from './fast-path-counts.ts';
import { macBytes } from './mac.ts';
import { createKnownMap } from './shortcut-maps.ts';
import { COUNT, RECEIVER_SIZE } from './shortcut-steps.ts';

/** What the programs at the VXLAN device count for each peer over IPv4. */
export interface ShortcutCounts {
  /** Maps for programs (shortcut-steps.ts). */
  readonly received: number;
  readonly sent: number;
  /** Counts for these from now on: what was counted for one of them before stays. */
  follow(peers: readonly FastPathPeer[]): void;
  read(): FastPathCounts;
}

interface Keys {
  readonly received: Uint8Array;
  readonly sent: Uint8Array;
}

/** `entries`: most peers. */
export function createShortcutCounts(entries: number): ShortcutCounts {
  const size = COUNT.size * possibleProcessors();
  const plan = { kind: 'hashPerCpu', valueSize: COUNT.size, entries } as const;
  const received = createMap({ ...plan, name: 'weft_received', keySize: 4 });
  const sent = createMap({ ...plan, name: 'weft_sent', keySize: RECEIVER_SIZE });
  const tables = { received: createKnownMap(received), sent: createKnownMap(sent) };
  let keys: ReadonlyMap<string, Keys> = new Map();

  const read = (map: number, key: Uint8Array) => sumOf(getEntry(map, key, size) ?? new Uint8Array(0));
  return {
    received,
    sent,
    follow(peers) {
      const senders = peers.filter(({ underlay }) => underlayFamily(underlay) === 4);
      keys = new Map(senders.map((peer) => [peer.underlay, keysOf(peer)]));
      for (const name of ['received', 'sent'] as const) {
        tables[name].fill([...keys.values()].map((key) => ({ key: key[name], value: new Uint8Array(size) })));
      }
    },
    read: () =>
      new Map(
        Array.from(keys, ([underlay, key]) => [
          underlay,
          { received: read(received, key.received), sent: read(sent, key.sent) },
        ]),
      ),
  };
}

function keysOf({ underlay, mac }: FastPathPeer): Keys {
  const sent = new Uint8Array(RECEIVER_SIZE);
  sent.set(macBytes(mac));
  return { received: Uint8Array.from(underlay.split('.').map(Number)), sent };
}

/** Over all processors. */
function sumOf(value: Uint8Array): FastPathCounters {
  const view = new DataView(value.buffer);
  let [packets, bytes] = [0n, 0n];
  for (let at = 0; at < value.length; at += COUNT.size) {
    packets += view.getBigUint64(at + COUNT.packets, true);
    bytes += view.getBigUint64(at + COUNT.bytes, true);
  }
  return { packets: Number(packets), bytes: Number(bytes) };
}
