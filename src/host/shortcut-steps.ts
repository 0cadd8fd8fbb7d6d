import { type Assembler, R0, R1, R2, R3, R6, R7, R8, R9, STACK } from './bpf-assembler.ts';

/**
 * What the programs of the shortcut are made of (shortcut-programs.ts), and what their maps hold. Registers in all of them: r6 the context, r7 the
 * packet, r8 its size with the IPv4 header, r9 where it goes. Label `next`: the kernel goes on with the packet.
 */
export interface ShortcutMaps {
  /** One number: 0 closes the shortcut. */
  readonly gate: number;
  /** By address: `Place` of a container on this host. */
  readonly endpoints: number;
  /** By prefix: `Place` of what lies behind other hosts. */
  readonly ways: number;
  /** By prefix: `Owner` of addresses that may come, or be reached, by VXLAN. */
  readonly owners: number;
  /** By a sender's address on the underlay, and by a receiver's Ethernet address: `Count` of what came and went by VXLAN. */
  readonly received: number;
  readonly sent: number;
}

/** What a map says of an address. Numbers as the machine has them, 32 bits each. */
export const PLACE = {
  /** 0: none, the kernel knows better. */
  link: 0,
  /** 0: not kept apart. */
  network: 4,
  /** Bytes of the largest IPv4 packet. */
  mtu: 8,
  /** Ethernet header: destination, source, type; 14 bytes. */
  header: 12,
  size: 28,
} as const;

/** What a map says of the owner of an address. */
export const OWNER = {
  /** Address of the host on the underlay, bytes as they lie in a packet; 0: this host. */
  underlay: 0,
  network: 4,
  size: 8,
} as const;

/** What was counted, 64 bits each, on every processor by itself. Bytes are those of IPv4 packets. */
export const COUNT = { packets: 0, bytes: 8, size: 16 } as const;
/** Bytes of a key: an Ethernet address, and zeros. */
export const RECEIVER_SIZE = 8;

/** Offsets in `struct __sk_buff` (linux/bpf.h). */
export const CONTEXT = {
  length: 0,
  kind: 4,
  mark: 8,
  vlan: 20,
  link: 40,
  data: 76,
  end: 80,
  segment: 176,
  size: 192,
} as const;

/** linux/bpf.h: enum bpf_func_id. */
const LOOK_UP = 1;
export const REDIRECT = 23;
const PULL = 39;
export const ADD_HEADER = 43;
export const REDIRECT_PEER = 155;

/** linux/bpf.h: enum tcx_action_base. */
export const VERDICT = { next: 0xffff_ffff, drop: 2, redirect: 7 } as const;
export const NEXT = -1;

export const ETHERNET = 14;
export const IPV4 = 20;
/** The first byte: version 4, and a header of five words. */
const PLAIN_HEADER = 0x45;
/** Ethernet type of IPv4, bytes as they lie, read by a little-endian machine; so are the others. */
export const ETHER_IPV4 = 0x0008;
/** More fragments, or an offset. */
const FRAGMENT = 0xff3f;
const TCP = 6;
export const UDP = 17;
/** Where TCP says how long its header is: the upper half of the byte, in words. */
const TCP_LENGTH = 12;
/** Below the end of the stack: an address; before it the 32 that make it a prefix. */
const KEY = -4;
const PREFIX_KEY = -8;
const NETWORK = -16;
const MAC_KEY = -RECEIVER_SIZE;

/** Goes on with what is for a container here, in the source's network. */
export function toEndpoint(program: Assembler, maps: ShortcutMaps, start: number): void {
  lookUpEndpoint(program, maps, start + 16);
  program.if(R0, '==', 0, 'next');
  program.do(R9, '=', [R0]);
  checkPlace(program);
  forward(program, start);
}

/** Lets by what is not to be handed over whatever its addresses are; r6 to r8 hold what they hold from then on. */
export function begin(program: Assembler, { gate }: ShortcutMaps, start: number): void {
  program.do(R6, '=', [R1]);
  program.entry(R1, gate);
  program.load(32, R1, R1, 0);
  program.if(R1, '==', 0, 'next');
  program.load(32, R7, R6, CONTEXT.data);
  program.load(32, R3, R6, CONTEXT.end);
  program.do(R1, '=', [R7]);
  program.do(R1, '+', start + IPV4);
  program.if(R1, '>', [R3], 'next');
  program.load(32, R1, R6, CONTEXT.kind);
  program.if(R1, '!=', 0, 'next');
  program.load(32, R1, R6, CONTEXT.vlan);
  program.if(R1, '!=', 0, 'next');
  if (start >= ETHERNET) {
    program.load(16, R1, R7, 12);
    program.if(R1, '!=', ETHER_IPV4, 'next');
  }
  program.load(8, R1, R7, start);
  program.if(R1, '!=', PLAIN_HEADER, 'next');
  program.load(16, R1, R7, start + 6);
  program.if(R1, '&', FRAGMENT, 'next');
  program.load(8, R1, R7, start + 8);
  program.if(R1, '<=', 1, 'next');
  measure(program, start);
}

/** r8 = length of the packet, or of the largest one that it will be cut into. r3 is the end of what can be read. */
function measure(program: Assembler, start: number): void {
  program.load(32, R8, R6, CONTEXT.segment);
  program.if(R8, '!=', 0, 'segments');
  program.load(32, R8, R6, CONTEXT.length);
  program.do(R8, '-', start);
  program.goto('measured');

  program.label('segments');
  program.do(R8, '+', IPV4);
  program.load(8, R1, R7, start + 9);
  program.if(R1, '==', UDP, 'datagrams');
  program.if(R1, '!=', TCP, 'next');
  program.do(R1, '=', [R7]);
  program.do(R1, '+', start + IPV4 + TCP_LENGTH + 1);
  program.if(R1, '>', [R3], 'next');
  program.load(8, R1, R7, start + IPV4 + TCP_LENGTH);
  program.do(R1, '>>', 4);
  program.do(R1, '<<', 2);
  program.do(R8, '+', [R1]);
  program.goto('measured');
  program.label('datagrams');
  program.do(R8, '+', 8);
  program.label('measured');
}

/** r0 = what is known of the address at `offset` in the packet, or 0. */
export function lookUpEndpoint(program: Assembler, { endpoints }: ShortcutMaps, offset: number): void {
  program.load(32, R1, R7, offset);
  program.store(32, STACK, KEY, [R1]);
  lookUp(program, endpoints, KEY);
}

export function lookUpPrefix(program: Assembler, map: number, offset: number): void {
  program.load(32, R1, R7, offset);
  program.store(32, STACK, KEY, [R1]);
  program.store(32, STACK, PREFIX_KEY, 32);
  lookUp(program, map, PREFIX_KEY);
}

/** r0 = what was counted of the sender whose address r8 holds, or 0. */
export function lookUpSender(program: Assembler, { received }: ShortcutMaps): void {
  program.store(32, STACK, KEY, [R8]);
  lookUp(program, received, KEY);
}

/** r0 = what was counted of the receiver by its Ethernet address, or 0. */
export function lookUpReceiver(program: Assembler, { sent }: ShortcutMaps): void {
  program.load(32, R1, R7, 0);
  program.store(32, STACK, MAC_KEY, [R1]);
  program.load(16, R1, R7, 4);
  program.store(32, STACK, MAC_KEY + 4, [R1]);
  lookUp(program, sent, MAC_KEY);
}

/** r0 = what the map has for the key that lies at `at` from the end of the stack, or 0. */
function lookUp(program: Assembler, map: number, at: number): void {
  program.map(R1, map);
  program.do(R2, '=', [STACK]);
  program.do(R2, '+', at);
  program.call(LOOK_UP);
}

/** One packet more, where r0 says. Nobody else writes there meanwhile. */
export function count(program: Assembler): void {
  program.load(64, R1, R0, COUNT.packets);
  program.do(R1, '+', 1);
  program.store(64, R0, COUNT.packets, [R1]);
  program.load(32, R2, R6, CONTEXT.length);
  program.do(R2, '-', ETHERNET);
  program.load(64, R1, R0, COUNT.bytes);
  program.do(R1, '+', [R2]);
  program.store(64, R0, COUNT.bytes, [R1]);
}

/** Keeps the source's network, which r0 points to, below the keys of look-ups. */
export function keepNetwork(program: Assembler, offset: number): void {
  program.load(32, R1, R0, offset);
  program.store(64, STACK, NETWORK, [R1]);
}

/** r7 = the packet, of which `size` bytes can be read; else it is dropped. */
export function readable(program: Assembler, size: number, label: string): void {
  const check = (enough: string) => {
    program.load(32, R7, R6, CONTEXT.data);
    program.load(32, R3, R6, CONTEXT.end);
    program.do(R1, '=', [R7]);
    program.do(R1, '+', size);
    program.if(R1, '<=', [R3], enough);
  };
  check(`readable ${label}`);
  // What came in pages is made one piece up to there.
  program.do(R1, '=', [R6]);
  program.do(R2, '=', size);
  program.call(PULL);
  check(`readable ${label}`);
  program.goto('drop');
  program.label(`readable ${label}`);
}

/** Goes on with what r9 points to if there is a link, if it is in the source's network and if the packet fits. */
export function checkPlace(program: Assembler): void {
  program.load(32, R1, R9, PLACE.link);
  program.if(R1, '==', 0, 'next');
  program.load(32, R1, R9, PLACE.network);
  program.load(64, R2, STACK, NETWORK);
  program.if(R1, '!=', [R2], 'next');
  program.load(32, R1, R9, PLACE.mtu);
  program.if(R8, '>', [R1], 'next');
}

/** One hop less: the checksum grows by what the first byte of its word lost, with the carry (RFC 1141). */
export function forward(program: Assembler, start: number): void {
  program.load(8, R1, R7, start + 8);
  program.do(R1, '-', 1);
  program.store(8, R7, start + 8, [R1]);
  program.load(16, R1, R7, start + 10);
  program.do(R1, '+', 1);
  program.do(R2, '=', [R1]);
  // 0xffff is 0 with the carry to come.
  program.do(R2, '+', 1);
  program.do(R2, '>>', 16);
  program.do(R1, '+', [R2]);
  program.store(16, R7, start + 10, [R1]);
}

export function writeHeader(program: Assembler): void {
  for (const at of [0, 4, 8]) {
    program.load(32, R1, R9, PLACE.header + at);
    program.store(32, R7, at, [R1]);
  }
  program.load(16, R1, R9, PLACE.header + 12);
  program.store(16, R7, 12, [R1]);
}

export function handOver(program: Assembler, helper: number): void {
  program.load(32, R1, R9, PLACE.link);
  program.do(R2, '=', 0);
  program.call(helper);
  program.exit();
}

export function setMark(program: Assembler, mark: number): void {
  program.do(R1, '=', mark);
  program.store(32, R6, CONTEXT.mark, [R1]);
}

export function leave(program: Assembler, verdict: number): void {
  program.do(R0, '=', verdict);
  program.exit();
}

export function end(program: Assembler): Uint8Array {
  program.label('next');
  leave(program, NEXT);
  return program.bytes();
}

/** A port as its bytes lie in a packet. */
export function swapped(port: number): number {
  return ((port & 0xff) << 8) | (port >>> 8);
}
