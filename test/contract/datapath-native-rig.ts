import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type NativeDatapath,
  type NativeDatapathOptions,
  openNativeDatapath,
} from '../../src/datapath/native.ts';
import type { CipherSuite, DatapathEvent } from '../../src/ports/datapath.ts';
import {
  type DatagramHeader,
  HEADER_BYTES,
  TAG_BYTES,
  writeHeader,
} from '../../src/ports/memory/datagram.ts';
import {
  type DatapathRig,
  IPV6_PREFIX,
  key,
  mirrored,
  type RigHost,
  type RigStranger,
  ROUTES,
  ROUTES_THERE,
  SLOT,
} from './datapath-rig.ts';

/**
 * Real data paths on one machine. The device of each is in a namespace of its own, where a small program (native/test/inner.cc)
 * stands for the host's stack; the UDP sockets are on loopback, where the test's sockets are too.
 *
 *   test ── dgram ── 127.0.0.1 ── UDP [ data path ] TUN ── namespace ── inner ── pipes ── test
 */
export interface NativeRig extends DatapathRig {
  /** `apart`: the socket is in the device's namespace too, bound to all of its addresses. */
  openNative(options?: NativeRigOptions): Promise<NativeHost>;
  /** Two of them with routes and keys to each other; the second has these options. */
  openPair(options?: NativeRigOptions): Promise<readonly [NativeHost, NativeHost]>;
}

export interface NativeRigOptions extends Partial<NativeDatapathOptions> {
  readonly apart?: boolean;
}

export interface NativeHost extends RigHost {
  readonly datapath: NativeDatapath;
  readonly namespace: string;
  /** Packets that the host's stack got, behind their virtio-net headers (10 bytes). */
  readonly frames: Uint8Array[];
  /** Hands over a packet with its virtio-net header. */
  sendFrame(frame: Uint8Array): void;
}

export const VNET_BYTES = 10;
const NATIVE = join(import.meta.dirname, '../../native');
const LOOPBACK = '127.0.0.1';
const PATIENCE = 10_000;

/** Undefined when these tests can run; else why not. */
export function missing(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root for namespaces and TUN devices';
  if (!existsSync('/dev/net/tun')) return 'needs /dev/net/tun';
  return undefined;
}

/** Builds the addon and the helper when they are not there or older than their sources. */
export function buildNative(): string {
  execFileSync('sh', [join(NATIVE, 'build.sh')], {
    env: ENVIRONMENT,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const source = join(NATIVE, 'test/inner.cc');
  const program = join(NATIVE, 'build/inner');
  if (!existsSync(program) || statSync(program).mtimeMs < statSync(source).mtimeMs) {
    mkdirSync(join(NATIVE, 'build'), { recursive: true });
    // Aside and renamed: several test files may find it missing at once.
    const aside = `${program}.${process.pid}`;
    const flags = ['-std=c++20', '-O1', '-Wall', '-Wextra', '-Werror'];
    execFileSync('g++', [...flags, '-o', aside, source], { env: ENVIRONMENT });
    renameSync(aside, program);
  }
  return program;
}

/** Programs are not to load the sanitizer that this process may have been started with. */
const { LD_PRELOAD: _, ...ENVIRONMENT } = process.env;

let namespaces = 0;

/** `always` is in the options of every data path that it opens. */
export function createNativeRig(always: NativeRigOptions = {}): NativeRig {
  const closers: (() => Promise<unknown> | unknown)[] = [];
  const free: string[] = [];
  let program: string | undefined;

  function takeNamespace(): string {
    const known = free.pop();
    if (known) return known;
    const name = `weftdp-${process.pid}-${++namespaces}`;
    run('ip', 'netns', 'add', name);
    process.once('exit', () => run('ip', 'netns', 'del', name));
    for (const key of ['all', 'default'])
      run('ip', 'netns', 'exec', name, 'sysctl', '-qw', `net.ipv6.conf.${key}.disable_ipv6=1`);
    return name;
  }

  async function openNative(options: NativeRigOptions = {}): Promise<NativeHost> {
    program ??= buildNative();
    const { apart = false, ...change } = { ...always, ...options };
    const namespace = takeNamespace();
    const path = `/var/run/netns/${namespace}`;
    const events: DatapathEvent[] = [];
    const datapath = await openNativeDatapath({
      device: 'weft0',
      address: LOOPBACK,
      port: 0,
      ipv6Prefix: IPV6_PREFIX.text,
      deviceNamespace: path,
      ...(apart ? { socketNamespace: path, address: '::' } : {}),
      onEvent: (event) => events.push(event),
      ...change,
    });
    run('ip', '-n', namespace, 'link', 'set', 'weft0', 'mtu', '1420', 'up');
    const inner = spawn('ip', ['netns', 'exec', namespace, program, 'weft0'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const received: Uint8Array[] = [];
    const frames: Uint8Array[] = [];
    const ready = readFrames(inner, (frame) => {
      frames.push(frame);
      received.push(frame.subarray(VNET_BYTES));
    });
    closers.push(async () => {
      inner.kill('SIGKILL');
      await once(inner, 'close');
      await datapath.close();
      free.push(namespace);
    });
    await ready;
    const sendFrame = (frame: Uint8Array): void => void inner.stdin?.write(framed(frame));
    const send = (packet: Uint8Array): void => sendFrame(Buffer.concat([Buffer.alloc(VNET_BYTES), packet]));
    const endpoint = { address: change.address ?? LOOPBACK, port: datapath.port };
    return { datapath, namespace, endpoint, events, received, frames, send, sendFrame };
  }

  return {
    open: ({ carries = true, ...limits } = {}) => openNative({ limits, carries }),
    openNative,
    async openPair(options) {
      const [a, b] = [await openNative(), await openNative(options)];
      a.datapath.setRoutes(ROUTES);
      b.datapath.setRoutes(ROUTES_THERE);
      // Keys before addresses: whoever learns an address greets.
      for (const host of [a, b]) host.datapath.setPeer(SLOT, null);
      a.datapath.setKeys(SLOT, [key()]);
      b.datapath.setKeys(SLOT, [mirrored(key())]);
      a.datapath.setPeer(SLOT, b.endpoint);
      b.datapath.setPeer(SLOT, a.endpoint);
      return [a, b];
    },
    async stranger() {
      const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
      socket.bind(0, LOOPBACK);
      await once(socket, 'listening');
      closers.push(() => new Promise<void>((resolve) => socket.close(() => resolve())));
      return strangerOf(socket);
    },
    seal,
    unseal,
    until,
    async end() {
      for (const close of closers.splice(0).reverse()) await close();
    },
  };
}

export function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', env: ENVIRONMENT });
}

export async function until(condition: () => boolean): Promise<void> {
  for (const end = performance.now() + PATIENCE; !condition(); await delay(2))
    if (performance.now() > end) throw new Error(`did not come true: ${condition}`);
}

function strangerOf(socket: Socket): RigStranger {
  const received: Uint8Array[] = [];
  socket.on('message', (datagram) => received.push(new Uint8Array(datagram)));
  const endpoint = { address: LOOPBACK, port: socket.address().port };
  return { endpoint, received, send: (to, datagram) => socket.send(datagram, to.port, to.address) };
}

function framed(frame: Uint8Array): Uint8Array {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(frame.length);
  return Buffer.concat([length, frame]);
}

/** Resolves when the program says that it listens. */
function readFrames(inner: ChildProcess, onFrame: (frame: Uint8Array) => void): Promise<void> {
  let rest = Buffer.alloc(0);
  return new Promise((resolve, reject) => {
    inner.once('exit', (code) => reject(new Error(`inner ended with ${code}`)));
    inner.stdout?.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
        const length = rest.readUInt16BE(0);
        if (length === 0) resolve();
        else onFrame(new Uint8Array(rest.subarray(2, 2 + length)));
        rest = rest.subarray(2 + length);
      }
    });
  });
}

/** The wire format a second time, with Node's own ciphers: what the native half says must be what this understands. */
function nonceOf(header: Uint8Array): Uint8Array {
  return Buffer.concat([header.subarray(1, 2), Buffer.alloc(3), header.subarray(8, 16)]);
}

function seal(key: Uint8Array, suite: CipherSuite, header: DatagramHeader, body: Uint8Array): Uint8Array {
  const head = new Uint8Array(HEADER_BYTES);
  writeHeader(head, header);
  const cipher = createCipheriv(suite as 'aes-256-gcm', key, nonceOf(head), { authTagLength: TAG_BYTES });
  cipher.setAAD(head);
  return new Uint8Array(Buffer.concat([head, cipher.update(body), cipher.final(), cipher.getAuthTag()]));
}

function unseal(key: Uint8Array, suite: CipherSuite, datagram: Uint8Array): Uint8Array | undefined {
  const head = datagram.subarray(0, HEADER_BYTES);
  const end = datagram.length - TAG_BYTES;
  const decipher = createDecipheriv(suite as 'aes-256-gcm', key, nonceOf(head), { authTagLength: TAG_BYTES });
  decipher.setAAD(head);
  decipher.setAuthTag(datagram.subarray(end));
  try {
    return new Uint8Array(
      Buffer.concat([decipher.update(datagram.subarray(HEADER_BYTES, end)), decipher.final()]),
    );
  } catch {
    return undefined;
  }
}
