import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { createRequire } from 'node:module';
import type { Server } from 'node:net';
import { getSystemErrorName } from 'node:util';
import type { Log } from '../ports/log.ts';

/**
 * Bytes of a TCP segment that fit into the smallest packet that every link of IPv6 carries (RFC 8200 §5): 1280 without the headers of IPv6 and TCP.
 */
export const SEGMENT = 1_220;
/** Node tells there of each socket of TCP that has begun to listen. */
const LISTENING = 'tracing:net.server.listen:asyncEnd';

/**
 * Keeps TCP connections to `port` of this process passing where a hop is narrow and its ICMP is lost: the control plane would stand still there with
 * its first full segment. A limit on the socket that listens holds for what it accepts, and by what it announces for the other end (tcp(7),
 * TCP_MAXSEG); so each connection is limited by the end that was dialled. Returns what ends it for later sockets.
 */
export function limitSegments(port: number, log: Log): () => void {
  function onListening(message: unknown): void {
    const { server } = message as { server: Server & { _handle?: { fd?: number } | null } };
    const address = server.address();
    if (address === null || typeof address === 'string' || address.port !== port) return;
    const descriptor = server._handle?.fd ?? -1;
    const failed = descriptor < 0 ? undefined : load().limitSegments(descriptor, SEGMENT);
    if (failed === 0) return;
    const error = failed === undefined ? 'no descriptor' : getSystemErrorName(-failed);
    log.warn('segments of TCP cannot be limited: links may stand still behind narrow hops', { error });
  }
  subscribe(LISTENING, onListening);
  return () => void unsubscribe(LISTENING, onListening);
}

interface Addon {
  /** Zero, or the number of the error. */
  limitSegments(descriptor: number, bytes: number): number;
}

let addon: Addon | undefined;

function load(): Addon {
  addon ??= createRequire(import.meta.url)('../../native/index.cjs') as Addon;
  return addon;
}
