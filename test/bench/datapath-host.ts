/**
 * One host of datapath.ts: the native data path alone, with one peer and fixed keys, in whatever network namespace it was started.
 * Its only argument is PathHost as JSON. Says "ready" and its features once packets can pass, and runs until it is told to end.
 */
import { type OptionalPart, openNativeDatapath } from '../../src/datapath/native.ts';
import type { RouteRange, SessionKey } from '../../src/ports/datapath.ts';

export interface PathHost {
  /** 0 or 1: which of the two. */
  readonly side: 0 | 1;
  readonly address: string;
  readonly peer: string;
  readonly routes: readonly RouteRange[];
  readonly queues: number;
  readonly without: readonly OptionalPart[];
}

const PORT = 6783;
const given = JSON.parse(process.argv[2] ?? '') as PathHost;
const secret = (side: number) => new Uint8Array(32).fill(1 + side);
const key: SessionKey = {
  receiveIndex: 1 + given.side,
  sendIndex: 2 - given.side,
  receiveKey: secret(given.side),
  sendKey: secret(1 - given.side),
  suite: 'aes-256-gcm',
  send: true,
};

const path = await openNativeDatapath({
  device: 'weft0',
  address: given.address,
  port: PORT,
  queues: given.queues,
  without: given.without,
  onEvent: (event) => console.log(JSON.stringify(event)),
});
path.setRoutes(given.routes);
path.setPeer(1, { address: given.peer, port: PORT });
path.setKeys(1, [key]);
console.log('ready', JSON.stringify(path.features));
// A timer alone keeps the process: the data path's threads do not.
setInterval(() => {}, 1 << 30);
process.on('SIGUSR1', () => {
  const { total, drops } = path.counters();
  console.log(
    JSON.stringify({ ...total, ...drops }, (_, value) => (typeof value === 'bigint' ? Number(value) : value)),
  );
});
process.once('SIGTERM', () => process.exit(0));
