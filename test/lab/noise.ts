/**
 * Sends datagrams that no peer would send.
 *
 *   node noise.ts ADDRESS PORT COUNT
 *
 * One third random bytes of random length, one third headers of the data path with a random receiver index, one third cut short.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { setTimeout as pause } from 'node:timers/promises';

const [address = '', port, count] = process.argv.slice(2);
const socket = createSocket('udp4');

for (let number = 0; number < Number(count); number++) {
  socket.send(datagram(number % 3), Number(port), address);
  // Slow enough for the receiver's queue, so that each one is counted.
  if (number % 50 === 49) await pause(2);
}
socket.close();

function datagram(kind: number): Buffer {
  const random = randomBytes(randomInt(1, 1_400));
  if (kind === 0) return random;
  const header = Buffer.alloc(16);
  header[0] = 1;
  header.writeUInt32BE(randomInt(1, 2 ** 32), 4);
  header.writeBigUInt64BE(BigInt(randomInt(1, 1_000)), 8);
  return kind === 1 ? Buffer.concat([header, random, randomBytes(16)]) : header.subarray(0, randomInt(1, 16));
}
