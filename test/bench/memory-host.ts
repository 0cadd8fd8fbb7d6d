/**
 * The data path of memory.ts: opened in whatever network namespace it was started, given as many peers as its argument says, each with
 * the most keys that a peer can have, and spoken to by every one of them under every key, so that what is made on first use is made.
 * Prints MemoryHost as JSON.
 */
import { createCipheriv } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { openNativeDatapath } from '../../src/datapath/native.ts';
import { MAX_KEYS, type SessionKey } from '../../src/ports/datapath.ts';
import { HEADER_BYTES, TAG_BYTES, writeHeader } from '../../src/ports/memory/datagram.ts';
import { usageOf } from './processes.ts';

export interface MemoryHost {
  /** Resident bytes of the process before the data path was opened, and after all that. */
  readonly before: number;
  readonly after: number;
}

const FIRST = 0x0a20_0000;
const ADDRESSES = 1 << 20;
const LOOPBACK = '127.0.0.1';
const FULL_RUNS = 64;
const WHOLE = 1;

const peers = Number(process.argv[2]);
const each = Math.floor(ADDRESSES / (peers + 1));
const slots = Array.from({ length: peers }, (_, at) => at + 1);

const socket = createSocket('udp4').bind(0, LOOPBACK);
await once(socket, 'listening');
const resident = (): number => usageOf([process.pid]).resident;

const before = resident();
let confirmed = 0;
const path = await openNativeDatapath({
  device: 'weft0',
  address: '::',
  port: 0,
  onEvent: ({ type }) => {
    if (type === 'keyConfirmed') confirmed++;
  },
});
path.setRoutes([0, ...slots].map((slot) => rangeOf(slot)));
for (const slot of slots) {
  path.setPeer(slot, { address: LOOPBACK, port: socket.address().port });
  path.setKeys(slot, keysOf(slot));
}
// What strangers send fills the receiver's area, too.
for (let run = 0; run < FULL_RUNS; run++) socket.send(Buffer.alloc(60_000), path.port, LOOPBACK);
for (const slot of slots) {
  for (const key of keysOf(slot)) socket.send(greeting(key), path.port, LOOPBACK);
  await turn();
}
while (confirmed < peers * MAX_KEYS) await turn();
const found: MemoryHost = { before, after: resident() };
console.log(JSON.stringify(found));
process.exit(0);

function rangeOf(slot: number) {
  return { start: FIRST + slot * each, last: FIRST + slot * each + each - 1, slot };
}

function keysOf(slot: number): SessionKey[] {
  return Array.from({ length: MAX_KEYS }, (_, at) => {
    const index = slot * MAX_KEYS + at;
    const key = (side: number) => new Uint8Array(32).fill((2 * index + side) % 251);
    const keys = { receiveKey: key(0), sendKey: key(1), suite: 'aes-256-gcm' } as const;
    return { receiveIndex: index, sendIndex: index, ...keys, send: at === 0 };
  });
}

/** An empty packet as the peer would send it. */
function greeting({ receiveIndex, receiveKey }: SessionKey): Buffer {
  const head = new Uint8Array(HEADER_BYTES);
  writeHeader(head, { type: WHOLE, lane: 0, index: receiveIndex, counter: 0n });
  const nonce = Buffer.concat([head.subarray(1, 2), Buffer.alloc(3), head.subarray(8, 16)]);
  const cipher = createCipheriv('aes-256-gcm', receiveKey, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(head);
  return Buffer.concat([head, cipher.final(), cipher.getAuthTag()]);
}
