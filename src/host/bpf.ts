import { closeSync, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { endianness } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { HostError } from '../ports/host.ts';

/**
 * What is used of bpf(2): maps, programs, and programs at the entrance and exit of links ("tcx", Linux 6.6), which stay there without the process
 * that attached them and go with the link. Offsets of attributes are those of `union bpf_attr` (linux/bpf.h). Each call throws HostError
 * `command-failed` with the system's name of the error; descriptors belong to the caller.
 */
const COMMANDS = {
  createMap: 0,
  lookUp: 1,
  update: 2,
  delete: 3,
  load: 5,
  attach: 8,
  detach: 9,
  testRun: 10,
  programById: 13,
  describe: 15,
  query: 16,
} as const;

const MAP_TYPES = { hash: 1, array: 2, hashPerCpu: 5, prefixes: 11 } as const;
const NO_PREALLOCATION = 1;
const SCHED_CLS = 3;
/** Where packets come from a link, and where they go to it. */
const SIDES = { entrance: 46, exit: 47 } as const;
export type Side = keyof typeof SIDES;
const NAME_LENGTH = 15;
const LOG_SIZE = 65_536;
/** Of one link, by us and by others. */
const MOST_PROGRAMS = 64;

export interface MapPlan {
  /**
   * `prefixes`: the key is the number of bits that count (4 bytes), then the address; a look-up finds the longest. `hashPerCpu`: a program finds the
   * value of its own processor; a value here is those of all possible ones, one after the other, each of whole 8 bytes.
   */
  readonly kind: keyof typeof MAP_TYPES;
  readonly name: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly entries: number;
}

type Pointer = readonly [offset: number, memory: Uint8Array];
type Call = (
  command: number,
  attributes: Uint8Array,
  pointers: readonly Pointer[],
  network: number,
) => number;

export function createMap({ kind, name, keySize, valueSize, entries }: MapPlan): number {
  const flags = kind === 'array' ? 0 : NO_PREALLOCATION;
  const attributes = words(64, [
    [0, MAP_TYPES[kind]],
    [4, keySize],
    [8, valueSize],
    [12, entries],
    [16, flags],
  ]);
  writeName(attributes, 28, name);
  return call('createMap', attributes);
}

export function setEntry(map: number, key: Uint8Array, value: Uint8Array): void {
  call('update', words(32, [[0, map]]), [
    [8, key],
    [16, value],
  ]);
}

/** The value, of `size` bytes; undefined when there is none. */
export function getEntry(map: number, key: Uint8Array, size: number): Uint8Array | undefined {
  const value = new Uint8Array(size);
  const result = request('lookUp', words(32, [[0, map]]), [
    [8, key],
    [16, value],
  ]);
  if (result >= 0) return value;
  if (getSystemErrorName(result) === 'ENOENT') return undefined;
  throw failed('lookUp', result);
}

/** Fine when there is none. */
export function deleteEntry(map: number, key: Uint8Array): void {
  const attributes = words(32, [[0, map]]);
  const result = request('delete', attributes, [[8, key]]);
  if (result < 0 && getSystemErrorName(result) !== 'ENOENT') throw failed('delete', result);
}

/** The kernel checks it; what it says of a bad one is in the error. */
export function loadProgram(name: string, instructions: Uint8Array): number {
  const license = new TextEncoder().encode('MIT\0');
  const log = new Uint8Array(LOG_SIZE);
  const plain = words(72, [
    [0, SCHED_CLS],
    [4, instructions.length / 8],
    [68, SIDES.entrance],
  ]);
  writeName(plain, 48, name);
  const memory: readonly Pointer[] = [
    [8, instructions],
    [16, license],
  ];
  const result = request('load', plain, memory);
  if (result >= 0) return result;
  new DataView(plain.buffer).setUint32(24, 1, true);
  new DataView(plain.buffer).setUint32(28, LOG_SIZE, true);
  const again = request('load', plain, [...memory, [32, log]]);
  if (again >= 0) return again;
  throw failed('load', again, new TextDecoder().decode(log).replaceAll('\0', '').trim());
}

export interface TestRun {
  /** What the program returned. */
  readonly verdict: number;
  /** The packet as it left it. */
  readonly packet: Uint8Array;
  /** `struct __sk_buff` as it left it. */
  readonly context: Uint8Array;
  /** Of one time, on average. */
  readonly nanoseconds: number;
}

/** Runs a program on a packet, without a link, `times` in a row on what it left; `context` is a `struct __sk_buff`. */
export function testRun(program: number, packet: Uint8Array, context: Uint8Array, times = 1): TestRun {
  const output = new Uint8Array(packet.length + 64);
  const attributes = words(80, [
    [0, program],
    [8, packet.length],
    [12, output.length],
    [32, times],
    [40, context.length],
    [44, context.length],
  ]);
  const after = new Uint8Array(context.length);
  call('testRun', attributes, [
    [16, packet],
    [24, output],
    [48, context],
    [56, after],
  ]);
  const view = new DataView(attributes.buffer);
  return {
    verdict: view.getUint32(4, true),
    packet: output.slice(0, view.getUint32(12, true)),
    context: after,
    nanoseconds: view.getUint32(36, true),
  };
}

/** A network namespace by its path, absent: this process's. */
export interface Links {
  /** Puts a program at one side of a link, in place of others of the same name. Fine when the link has gone. */
  attach(link: number, side: Side, program: number): Promise<void>;
  detach(link: number, side: Side, name: string): Promise<void>;
  /** When nothing of the above is under way. */
  close(): void;
}

export function openLinks(path?: string): Links {
  const network = path === undefined ? -1 : openSync(path, 'r');

  /** Undefined: the link has gone. */
  function attached(link: number, side: Side): readonly number[] | undefined {
    const ids = new Uint8Array(MOST_PROGRAMS * 4);
    const attributes = words(64, [
      [0, link],
      [4, SIDES[side]],
      [24, MOST_PROGRAMS],
    ]);
    const result = request('query', attributes, [[16, ids]], network);
    if (isGone(result)) return undefined;
    if (result < 0) throw failed('query', result);
    const view = new DataView(ids.buffer);
    const count = new DataView(attributes.buffer).getUint32(24, true);
    return Array.from({ length: count }, (_, index) => view.getUint32(index * 4, true));
  }

  /** Beside the event loop: the kernel waits, tens of milliseconds, until no packet is under way by the programs as they were. */
  async function change(
    command: 'attach' | 'detach',
    link: number,
    side: Side,
    program: number,
  ): Promise<void> {
    const attributes = words(32, [
      [0, link],
      [4, program],
      [8, SIDES[side]],
    ]);
    const result = await load().bpfAside(COMMANDS[command], attributes, network);
    if (result < 0 && !isGone(result)) throw failed(command, result);
  }

  /** Takes away those of a name, but for the one with the id `kept`. */
  async function detachOthers(
    link: number,
    side: Side,
    name: string,
    ids: readonly number[],
    kept?: number,
  ): Promise<void> {
    for (const id of ids) {
      const program = id === kept ? undefined : openProgram(id);
      if (program === undefined) continue;
      try {
        if (describe(program).name === name) await change('detach', link, side, program);
      } finally {
        closeSync(program);
      }
    }
  }

  return {
    async attach(link, side, program) {
      const { id, name } = describe(program);
      const before = attached(link, side);
      if (before === undefined) return;
      if (!before.includes(id)) await change('attach', link, side, program);
      await detachOthers(link, side, name, before, id);
    },
    detach: (link, side, name) => detachOthers(link, side, name, attached(link, side) ?? []),
    close() {
      if (network >= 0) closeSync(network);
    },
  };
}

/** Undefined: it has gone meanwhile. */
function openProgram(id: number): number | undefined {
  const result = request('programById', words(16, [[0, id]]));
  return result < 0 ? undefined : result;
}

function describe(program: number): { readonly id: number; readonly name: string } {
  const info = new Uint8Array(128);
  const attributes = words(16, [
    [0, program],
    [4, info.length],
  ]);
  call('describe', attributes, [[8, info]]);
  const name = info.subarray(64, 80);
  return {
    id: new DataView(info.buffer).getUint32(4, true),
    name: new TextDecoder().decode(name.subarray(0, name.indexOf(0))),
  };
}

function words(
  size: number,
  values: readonly (readonly [offset: number, value: number])[],
): Uint8Array<ArrayBuffer> {
  const attributes = new Uint8Array(size);
  const view = new DataView(attributes.buffer);
  for (const [offset, value] of values) view.setUint32(offset, value, true);
  return attributes;
}

function writeName(attributes: Uint8Array, offset: number, name: string): void {
  attributes.set(new TextEncoder().encode(name).subarray(0, NAME_LENGTH), offset);
}

type Command = keyof typeof COMMANDS;

function call(
  command: Command,
  attributes: Uint8Array,
  pointers: readonly Pointer[] = [],
  network = -1,
): number {
  const result = request(command, attributes, pointers, network);
  if (result < 0) throw failed(command, result);
  return result;
}

interface Addon {
  readonly bpf: Call;
  bpfAside(command: number, attributes: Uint8Array, network: number): Promise<number>;
}

let addon: Addon | undefined;

function request(
  command: Command,
  attributes: Uint8Array,
  pointers: readonly Pointer[] = [],
  network = -1,
): number {
  return load().bpf(COMMANDS[command], attributes, pointers, network);
}

function load(): Addon {
  // Programs and numbers are written as these machines have them; no other one has the data path either.
  if (endianness() !== 'LE')
    throw new HostError('command-failed', 'BPF on big-endian machines is not known here');
  addon ??= createRequire(import.meta.url)('../../native/index.cjs') as Addon;
  return addon;
}

function isGone(result: number): boolean {
  return result < 0 && getSystemErrorName(result) === 'ENODEV';
}

function failed(command: Command, result: number, log = ''): HostError {
  const text = log === '' ? '' : `: ${log.slice(-1_000)}`;
  return new HostError('command-failed', `bpf(2), ${command}: ${getSystemErrorName(result)}${text}`);
}
