import { isIP } from 'node:net';
import {
  type Datapath,
  DatapathError,
  type DatapathErrorCode,
  type DatapathEvent,
  type DatapathOptions,
} from '../ports/datapath.ts';
import {
  checkDevice,
  checkEndpoint,
  checkIpv6Prefix,
  checkKeys,
  checkName,
  checkPort,
  checkQuestion,
  checkRoutes,
  checkSlot,
} from '../ports/datapath-check.ts';
import {
  type Addon,
  type AddonDatapath,
  type AddonEvent,
  type DatapathFeatures,
  loadAddon,
} from './addon.ts';
import { createSharedCounters, type SharedCounters, WORDS_PER_THREAD } from './shared-counters.ts';

export interface NativeDatapathOptions extends DatapathOptions {
  /** Pairs of threads, one queue of the device and one socket each; 1 … 4. Default 1. */
  readonly queues?: number;
  /** Path of the network namespace in which the device is opened; absent: the process's own. */
  readonly deviceNamespace?: string;
  /** The same for the UDP socket. */
  readonly socketNamespace?: string;
  /** Gives the outer header the inner packet's DSCP, too; default false, because it tells the wire what kind of traffic this is. */
  readonly copyDscp?: boolean;
  /** Parts of the machine to do without although they may be there. For tests and for measuring. */
  readonly without?: readonly OptionalPart[];
  /** Packets of one key; smaller than the protocol's limits. For tests. */
  readonly limits?: { readonly rekeyAfter?: bigint; readonly rejectAfter?: bigint };
}

/** Of the kernel, but for `ipsecMb`: Intel's library for AES-GCM. */
export type OptionalPart =
  | 'tunSegmentation'
  | 'tunUdpSegmentation'
  | 'udpSegmentation'
  | 'udpCoalescing'
  | 'ipsecMb';

export interface NativeDatapath extends Datapath {
  /** What is in use now: runs are given up when a device turns out not to take them. */
  readonly features: DatapathFeatures;
}

/** Opens device and socket and starts the threads. Rejects with DatapathError; then nothing is left open. */
export async function openNativeDatapath(options: NativeDatapathOptions): Promise<NativeDatapath> {
  const { queues = 1, without = [], limits = {} } = options;
  checkDevice(options.device);
  checkPort(options.port);
  if (isIP(options.address) === 0)
    throw new DatapathError('bad-argument', `"${options.address}" is not an IP address to bind`);
  const addon = loadAddon();
  if (!Number.isInteger(queues) || queues < 1 || queues > addon.maxQueues)
    throw new DatapathError('bad-argument', `${queues} queues: use 1 to ${addon.maxQueues}`);
  if (addon.countersPerThread !== WORDS_PER_THREAD)
    throw new DatapathError(
      'not-built',
      'the native data path is of another version: run "npm run build:native"',
    );

  const memory = new BigUint64Array(new SharedArrayBuffer(8 * WORDS_PER_THREAD * 2 * queues));
  const settings = {
    device: options.device,
    address: options.address,
    port: options.port,
    queues,
    deviceNamespace: options.deviceNamespace,
    socketNamespace: options.socketNamespace,
    tunSegmentation: !without.includes('tunSegmentation'),
    tunUdpSegmentation: !without.includes('tunUdpSegmentation'),
    udpSegmentation: !without.includes('udpSegmentation'),
    udpCoalescing: !without.includes('udpCoalescing'),
    ipsecMb: !without.includes('ipsecMb'),
    copyDscp: options.copyDscp,
    carries: options.carries,
    prefix: options.ipv6Prefix === undefined ? undefined : checkIpv6Prefix(options.ipv6Prefix),
    rekeyAfter: limits.rekeyAfter,
    rejectAfter: limits.rejectAfter,
  };
  const onEvents = (events: readonly AddonEvent[]): void => {
    for (const event of events) options.onEvent(translate(event, options.device));
  };
  return wrap(openAddon(addon, settings, memory, onEvents, options), createSharedCounters(memory));
}

function openAddon(
  addon: Addon,
  settings: ConstructorParameters<Addon['NativeDatapath']>[0],
  memory: BigUint64Array,
  onEvents: (events: readonly AddonEvent[]) => void,
  options: DatapathOptions,
): AddonDatapath {
  try {
    return new addon.NativeDatapath(settings, memory, onEvents);
  } catch (error) {
    throw explain(error, options);
  }
}

function wrap(native: AddonDatapath, counters: SharedCounters): NativeDatapath {
  const { port } = native;
  let { features } = native;
  let closing: Promise<void> | undefined;
  return {
    port,
    get features() {
      if (closing === undefined) features = native.features;
      return features;
    },
    setPeer(slot, endpoint, name) {
      checkSlot(slot);
      if (name !== undefined) checkName(name);
      if (endpoint) checkEndpoint(endpoint, (text) => isIP(text) !== 0);
      counters.begin(slot);
      native.setPeer(slot, endpoint?.address ?? '', endpoint?.port ?? 0, name ?? 0n);
    },
    setCarrier(slot, carrier) {
      checkSlot(slot);
      if (carrier !== null) checkSlot(carrier);
      refusing(() => native.setCarrier(slot, carrier ?? 0));
    },
    ask(slot, number, way) {
      checkSlot(slot);
      checkQuestion(number);
      if (typeof way === 'object' && way !== null) {
        checkEndpoint(way, (text) => isIP(text) !== 0);
        return native.ask(slot, number, 0, way.address, way.port);
      }
      if (way !== null) checkSlot(way);
      return native.ask(slot, number, way ?? 0, '', 0);
    },
    removePeer(slot) {
      checkSlot(slot);
      native.removePeer(slot);
      counters.end(slot);
    },
    setRoutes(ranges) {
      checkRoutes(ranges);
      native.setRoutes(Uint32Array.from(ranges.flatMap(({ start, last, slot }) => [start, last, slot])));
    },
    setKeys(slot, keys) {
      checkSlot(slot);
      checkKeys(keys);
      refusing(() => native.setKeys(slot, keys));
    },
    counters: () => counters.read(),
    close() {
      closing ??= native.close();
      return closing;
    },
  };
}

/** What only the tables can tell to be wrong. */
function refusing(call: () => void): void {
  try {
    call();
  } catch (error) {
    throw new DatapathError('bad-argument', error instanceof Error ? error.message : String(error));
  }
}

function translate(event: AddonEvent, device: string): DatapathEvent {
  if (event.type !== 'failed') return event;
  const message =
    event.part === 'device'
      ? `the device ${device} is gone (${event.message}): restart the daemon, which makes it again`
      : `the UDP socket failed (${event.message}): restart the daemon`;
  return { type: 'failed', message };
}

/** Steps are named in native/src/*.cc; numbers are Linux's errno. */
const EPERM = 1;
const ENOENT = 2;
const ENXIO = 6;
const EACCES = 13;
const EBUSY = 16;
const ENODEV = 19;
const EINVAL = 22;
const EADDRINUSE = 98;
const EADDRNOTAVAIL = 99;

function explain(error: unknown, options: DatapathOptions): DatapathError {
  if (!(error instanceof Error) || !('step' in error) || !('errno' in error))
    return new DatapathError('system', error instanceof Error ? error.message : String(error));
  const { device, address, port } = options;
  const of = (code: DatapathErrorCode, message: string): DatapathError => new DatapathError(code, message);
  const denied = error.errno === EPERM || error.errno === EACCES;
  switch (error.step) {
    case 'tun-open':
      if (error.errno === ENOENT || error.errno === ENODEV || error.errno === ENXIO)
        return of(
          'no-tun',
          'there is no /dev/net/tun: load the driver ("modprobe tun") or pass the device in',
        );
      if (denied)
        return of('not-permitted', '/dev/net/tun may not be opened: run as root or with CAP_NET_ADMIN');
      break;
    case 'tun-name':
      if (denied)
        return of('not-permitted', `the device ${device} may not be made: run as root or with CAP_NET_ADMIN`);
      if (error.errno === EBUSY)
        return of(
          'device-busy',
          `the device ${device} is in use by another process: stop it or choose another name`,
        );
      if (error.errno === EINVAL)
        return of('device-taken', `${device} is a link of another kind: remove it or choose another name`);
      break;
    case 'udp-bind':
      if (error.errno === EADDRINUSE)
        return of(
          'port-taken',
          `UDP port ${port} on ${address} is in use: stop its owner or choose another port`,
        );
      if (error.errno === EADDRNOTAVAIL)
        return of('address-missing', `${address} is not an address of this host: choose one that is, or ::`);
      if (denied)
        return of('not-permitted', `UDP port ${port} may not be bound: run as root or choose one above 1023`);
      break;
    case 'namespace':
      if (denied) return of('not-permitted', 'the network namespace may not be entered: run as root');
      return of('namespace-missing', 'the network namespace cannot be entered: check its path');
  }
  return of('system', `the data path cannot start (${error.message})`);
}
