import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach } from 'node:test';
import {
  type NativeDatapath,
  type NativeDatapathOptions,
  openNativeDatapath,
} from '../../src/datapath/native.ts';
import { buildNative, run } from './datapath-native-rig.ts';
import { drops, ip, key, mirrored, SLOT } from './datapath-rig.ts';

/**
 * Hosts with kernels of their own stacks, around a router that can be made narrow, mute, lossy or congested:
 *
 *   10.32.0.1 weft0 [ host 1 ] 10.98.1.2 ── 10.98.1.1 [ router ] 10.98.2.1 ── 10.98.2.2 [ host 2 ] weft0 10.32.1.1
 *
 * Host 1 knows all others, each of which knows host 1. On a wire with IPv6 the networks are fd98:1::, fd98:2:: and so on, with the same ends.
 */
export interface Path {
  readonly hosts: readonly PathHost[];
  readonly router: string;
  /** The key with number `epoch` between host 1 and host `n`, on both sides, with the two before it still valid. */
  rekey(n: number, epoch: number): void;
  /** To be called at the end, for what a test has added. */
  alsoEnd(closer: () => unknown): void;
  end(): Promise<void>;
}

export interface PathHost {
  readonly namespace: string;
  readonly datapath: NativeDatapath;
  /** Its address in the overlay. */
  readonly address: string;
  /** And that of IPv6, on a path whose data paths have a prefix for it. */
  readonly address6: string;
}

export type Wire = 'ipv4' | 'ipv6';

const PORT = 6783;
/** The network between host `n` and the router: what stands before the last number of an address. */
const WIRES = { ipv4: (n: number) => `10.98.${n}.`, ipv6: (n: number) => `fd98:${n}::` };
let paths = 0;

export async function openPath(
  count: number,
  options: Partial<NativeDatapathOptions> = {},
  wire: Wire = 'ipv4',
): Promise<Path> {
  buildNative();
  const prefix = `weftpa-${process.pid}-${++paths}`;
  const router = `${prefix}-r`;
  const names = Array.from({ length: count }, (_, at) => `${prefix}-${at + 1}`);
  for (const name of [router, ...names]) {
    run('ip', 'netns', 'add', name);
    run('ip', '-n', name, 'link', 'set', 'lo', 'up');
    sysctl(name, `net.ipv6.conf.default.disable_ipv6=${wire === 'ipv6' ? 0 : 1}`);
  }
  sysctl(router, 'net.ipv4.ip_forward=1');
  if (wire === 'ipv6') sysctl(router, 'net.ipv6.conf.all.forwarding=1');
  const closers: (() => unknown)[] = [];
  const hosts: PathHost[] = [];
  for (const [at, namespace] of names.entries())
    hosts.push(await openHost(namespace, router, at + 1, options, wire));

  const keyOf = (n: number, epoch: number, send: boolean) => {
    const fill = (side: number) => new Uint8Array(32).fill((16 * epoch + 4 * n + side) % 251);
    const indices = { receiveIndex: 0x10000 * epoch + 2 * n + 1, sendIndex: 0x10000 * epoch + 2 * n + 2 };
    return key({ ...indices, receiveKey: fill(1), sendKey: fill(2), send });
  };
  const one = hosts[0] as PathHost;
  const rekey = (n: number, epoch: number): void => {
    const other = hosts[n - 1] as PathHost;
    // As many as may be valid at a time.
    const past = [epoch - 1, epoch - 2].filter((old) => old > 0).map((old) => keyOf(n, old, false));
    const still = past.map((one, at) => ({ ...one, send: at === 0 }));
    other.datapath.setKeys(SLOT, [...still, keyOf(n, epoch, false)].map(mirrored));
    one.datapath.setKeys(n - 1, [keyOf(n, epoch, true), ...past]);
    other.datapath.setKeys(SLOT, [keyOf(n, epoch, true), ...past].map(mirrored));
  };
  one.datapath.setRoutes(names.map((_, at) => rangeOf(at + 1, at)));
  for (let n = 2; n <= count; n++) {
    const { datapath } = hosts[n - 1] as PathHost;
    datapath.setRoutes([rangeOf(1, SLOT), rangeOf(n, 0)]);
    datapath.setPeer(SLOT, { address: `${WIRES[wire](1)}2`, port: PORT });
    one.datapath.setPeer(n - 1, { address: `${WIRES[wire](n)}2`, port: PORT });
    rekey(n, 1);
  }
  return {
    hosts,
    router,
    rekey,
    alsoEnd: (closer) => void closers.push(closer),
    async end() {
      for (const close of closers) close();
      for (const host of hosts) await host.datapath.close();
      for (const name of [router, ...names]) run('ip', 'netns', 'del', name);
    },
  };
}

const rangeOf = (n: number, slot: number) => ({
  start: ip(`10.32.${n - 1}.0`),
  last: ip(`10.32.${n - 1}.255`),
  slot,
});

async function openHost(
  namespace: string,
  router: string,
  n: number,
  options: Partial<NativeDatapathOptions>,
  wire: Wire,
): Promise<PathHost> {
  run(
    'ip',
    'link',
    'add',
    'u0',
    'netns',
    namespace,
    'type',
    'veth',
    'peer',
    'name',
    `h${n}`,
    'netns',
    router,
  );
  const net = WIRES[wire](n);
  const [length, nodad] = wire === 'ipv4' ? [24, []] : [64, ['nodad']];
  run('ip', '-n', namespace, 'address', 'add', `${net}2/${length}`, 'dev', 'u0', ...nodad);
  run('ip', '-n', router, 'address', 'add', `${net}1/${length}`, 'dev', `h${n}`, ...nodad);
  run('ip', '-n', namespace, 'link', 'set', 'u0', 'up');
  run('ip', '-n', router, 'link', 'set', `h${n}`, 'up');
  run('ip', '-n', namespace, 'route', 'add', 'default', 'via', `${net}1`);
  const place = `/var/run/netns/${namespace}`;
  const where = {
    device: 'weft0',
    address: wire === 'ipv4' ? '0.0.0.0' : '::',
    port: PORT,
    deviceNamespace: place,
    socketNamespace: place,
  };
  const datapath = await openNativeDatapath({ ...where, onEvent: () => {}, ...options });
  const address = `10.32.${n - 1}.1`;
  run('ip', '-n', namespace, 'address', 'add', `${address}/12`, 'dev', 'weft0');
  run('ip', '-n', namespace, 'link', 'set', 'weft0', 'mtu', '1420', 'txqueuelen', '500', 'up');
  const address6 = `${options.ipv6Prefix}${address}`;
  if (options.ipv6Prefix !== undefined) {
    sysctl(namespace, 'net.ipv6.conf.weft0.disable_ipv6=0');
    run('ip', '-n', namespace, 'address', 'add', `${address6}/96`, 'dev', 'weft0', 'nodad');
  }
  return { namespace, datapath, address, address6 };
}

export function sysctl(namespace: string, setting: string): void {
  inside(namespace, 'sysctl', '-qw', setting);
}

export function inside(namespace: string, ...command: string[]): string {
  return run('ip', 'netns', 'exec', namespace, ...command);
}

/** Sends so many bytes over TCP and resolves with how many arrived before the end of the stream, or before patience ended. */
export async function transfer(from: PathHost, to: PathHost, bytes: number): Promise<number> {
  const take = `let n = 0; require('net').createServer((s) => s.on('data', (d) => { n += d.length; }).on('end', () => {
    console.log(n); process.exit(); })).listen(7100, () => console.log('ready')); setTimeout(() => process.exit(), 15000);`;
  const give = `const s = require('net').connect(7100, '${to.address}', () => s.end(Buffer.alloc(${bytes}, 7)));
    s.on('error', () => process.exit(1)); setTimeout(() => process.exit(1), 15000).unref();`;
  const receiver = spawn('ip', ['netns', 'exec', to.namespace, process.execPath, '-e', take]);
  await once(receiver.stdout, 'data');
  const arrived = outputOf(receiver);
  const sender = spawn('ip', ['netns', 'exec', from.namespace, process.execPath, '-e', give]);
  await once(sender, 'close');
  return Number(await arrived);
}

/**
 * One TCP stream (or what `flags` say) from the first host to the second, as iperf3 saw it. Rejects with the state of both ends when it is not over
 * after STANDSTILL.
 */
export async function stream(from: PathHost, to: PathHost, ...flags: string[]): Promise<StreamResult> {
  const serve = ['netns', 'exec', to.namespace, 'iperf3', '-s', '-1', '--forceflush'];
  const server = spawn('ip', serve, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(server, 'close');
  const listens = once(server.stdout, 'data').then(() => true);
  if (!(await Promise.race([listens, ended.then(() => false)]))) throw new Error('iperf3 does not listen');
  const client = spawn('ip', ['netns', 'exec', from.namespace, 'iperf3', '-J', '-c', to.address, ...flags], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let standstill: string | undefined;
  const timer = setTimeout(() => {
    standstill = [from, to].map(stateOf).join('\n');
    client.kill('SIGKILL');
  }, STANDSTILL);
  const output = await outputOf(client);
  clearTimeout(timer);
  server.kill('SIGKILL');
  // The next one listens on the same port.
  await ended;
  if (standstill !== undefined) throw new Error(`iperf3 stands still:\n${standstill}`);
  const report = JSON.parse(output);
  if (report.error !== undefined) throw new Error(`iperf3: ${report.error}`);
  const { sum_received: received, sum_sent: sent } = report.end;
  return {
    bytes: received.bytes,
    rate: received.bits_per_second,
    retransmits: sent.retransmits ?? 0,
    intervals: report.intervals.map((one: { sum: { bytes: number } }) => one.sum.bytes),
  };
}

/** Far more than a stream of some seconds takes on a busy machine, and less than a file of tests may, in milliseconds. */
const STANDSTILL = 90_000;

/** What a host knows of a stream that stands still. */
function stateOf(host: PathHost): string {
  const sockets = inside(host.namespace, 'ss', '-tinoe');
  const queues = inside(host.namespace, 'ss', '-uanem');
  const neighbours = inside(host.namespace, 'ip', 'neighbour');
  return [host.namespace, JSON.stringify(dropsOf(host)), sockets, queues, neighbours].join('\n');
}

export interface StreamResult {
  readonly bytes: number;
  /** Bits per second. */
  readonly rate: number;
  readonly retransmits: number;
  /** Bytes in each reporting interval. */
  readonly intervals: number[];
}

async function outputOf(child: ChildProcess): Promise<string> {
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => (text += chunk));
  await once(child, 'close');
  return text;
}

/** For a suite: opens the path of one test, whose end also ends the path. */
export function pathOfEachTest(): (
  ...parts: Parameters<typeof openPath>
) => Promise<readonly [PathHost, PathHost, Path]> {
  let path: Path | undefined;
  afterEach(async () => {
    await path?.end();
    path = undefined;
  });
  return async (...parts) => {
    path = await openPath(...parts);
    const [one, two] = path.hosts;
    assert.ok(one && two);
    return [one, two, path];
  };
}

/** A counter of a host's stack: of /proc/net/`file`, the one called `name` in the lines that begin with `part`. */
export function snmp(host: PathHost, file: string, part: string, name: string): number {
  const [names, values] = inside(host.namespace, 'cat', `/proc/net/${file}`)
    .split('\n')
    .filter((line) => line.startsWith(part))
    .map((line) => line.split(' '));
  return Number(values?.[names?.indexOf(name) ?? -1]);
}

export const dropsOf = (host: PathHost) => drops(host as unknown as Parameters<typeof drops>[0]);
