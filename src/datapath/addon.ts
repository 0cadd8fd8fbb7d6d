import { createRequire } from 'node:module';
import { DatapathError, DROP_REASONS } from '../ports/datapath.ts';

/** What native/src/binding.cc exports. It throws TypeErrors for arguments that the checks here should have caught. */
export interface Addon {
  readonly NativeDatapath: new (
    options: AddonOptions,
    counters: BigUint64Array,
    onEvents: (events: readonly AddonEvent[]) => void,
  ) => AddonDatapath;
  /** 64-bit words of shared memory that each thread needs. */
  readonly countersPerThread: number;
  readonly maxQueues: number;
  readonly dropReasons: readonly string[];
}

export interface AddonOptions {
  readonly device: string;
  readonly address: string;
  readonly port: number;
  readonly queues: number;
  readonly deviceNamespace?: string | undefined;
  readonly socketNamespace?: string | undefined;
  readonly tunSegmentation?: boolean | undefined;
  readonly tunUdpSegmentation?: boolean | undefined;
  readonly udpSegmentation?: boolean | undefined;
  readonly udpCoalescing?: boolean | undefined;
  readonly ipsecMb?: boolean | undefined;
  readonly copyDscp?: boolean | undefined;
  readonly carries?: boolean | undefined;
  /** 12 bytes: DatapathOptions.ipv6Prefix. */
  readonly prefix?: Uint8Array | undefined;
  readonly rekeyAfter?: bigint | undefined;
  readonly rejectAfter?: bigint | undefined;
}

export interface AddonDatapath {
  readonly port: number;
  readonly features: DatapathFeatures;
  setPeer(slot: number, address: string, port: number, name: bigint): void;
  /** 0: no carrier, here and below. */
  setCarrier(slot: number, carrier: number): void;
  /** `address`: empty for where the peer's datagrams go. */
  ask(slot: number, number: number, carrier: number, address: string, port: number): boolean;
  removePeer(slot: number): void;
  setRoutes(triples: Uint32Array): void;
  setKeys(slot: number, keys: readonly object[]): void;
  close(): Promise<void>;
}

/** What this kernel, these devices and this machine's libraries granted. */
export interface DatapathFeatures {
  readonly queues: number;
  readonly tunSegmentation: boolean;
  readonly tunUdpSegmentation: boolean;
  readonly udpSegmentation: boolean;
  readonly udpCoalescing: boolean;
  /** What does AES-256-GCM: `openssl`, or `ipsec-mb` and its variant. */
  readonly cipher: string;
}

export type AddonEvent =
  | { readonly type: 'keyWanted' | 'rekeyDue'; readonly slot: number }
  | { readonly type: 'keyConfirmed'; readonly slot: number; readonly receiveIndex: number }
  | { readonly type: 'answered'; readonly slot: number; readonly number: number }
  | {
      readonly type: 'roamed';
      readonly slot: number;
      readonly endpoint: { readonly address: string; readonly port: number };
    }
  | { readonly type: 'failed'; readonly part: 'device' | 'socket'; readonly message: string };

/** Throws DatapathError `not-built` when there is no binary for this machine, or one of another version. */
export function loadAddon(): Addon {
  const require = createRequire(import.meta.url);
  let addon: Addon;
  try {
    addon = require('../../native/index.cjs');
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new DatapathError('not-built', `the native data path cannot be loaded: ${detail}`);
  }
  if (DROP_REASONS.join() !== addon.dropReasons.join())
    throw new DatapathError(
      'not-built',
      'the native data path is of another version: run "npm run build:native"',
    );
  return addon;
}
