import { privateKeyFromRaw } from '@libp2p/crypto/keys';
import type { ConnectionGater, Libp2p, Logger, MultiaddrConnection, Upgrader } from '@libp2p/interface';
import type { TransportManager } from '@libp2p/interface-internal';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { createLibp2p } from 'libp2p';
import type { Identity } from '../../core/crypto.ts';
import { DIAL_TIMEOUT, MAX_QUEUED_BYTES } from '../../ports/transport.ts';
import { fromMultiaddr } from './addresses.ts';
import { createArrivals } from './arrivals.ts';
import type { createGate } from './gate.ts';

/** The two parts of libp2p below its dial queue, which would join dials to one address although they go through different doors. */
export interface Wiring {
  readonly transportManager: TransportManager;
  readonly upgrader: Upgrader;
}

export type Node = Libp2p<{ wiring: Wiring }>;

/** Sockets held at a time, finished handshakes or not; links are bounded by the mesh, far below. */
const MAX_CONNECTIONS = 1_024;
/** Handshakes under way at a time, and begun in a second by one address: above the limiter's, which gives a reason. */
const MAX_PENDING = 256;
/** Below MAX_PENDING, at which the library turns away whoever comes next. */
const MAX_ARRIVALS = 224;
const MAX_PENDING_PER_SOURCE = 200;
/** The library's own formatting is silenced: it costs on each message, and what matters reaches our log. */
const SILENT: Logger = Object.assign(() => {}, {
  error: () => {},
  trace: () => {},
  enabled: false,
  newScope: () => SILENT,
});

interface NodeParts {
  readonly identity: Identity;
  readonly gate: ReturnType<typeof createGate>;
}

export function startNode({ identity, gate }: NodeParts): Promise<Node> {
  const raw = new Uint8Array(64);
  raw.set(identity.seed);
  raw.set(identity.publicKey, 32);
  return createLibp2p({
    privateKey: privateKeyFromRaw(raw),
    addresses: { listen: [] },
    transports: [tcp({ backlog: 511, maxConnections: MAX_CONNECTIONS })],
    connectionEncrypters: [gate],
    streamMuxers: [
      yamux({
        // Heartbeats are the mesh's own, and one stream a connection is all that a link needs.
        enableKeepAlive: false,
        maxInboundStreams: 1,
        maxOutboundStreams: 1,
        maxEarlyStreams: 1,
        // The bound of `send` comes first; this one is the net below it.
        streamOptions: { maxWriteBufferLength: 2 * MAX_QUEUED_BYTES },
      }),
    ],
    connectionGater: createDoorstep(),
    connectionMonitor: { enabled: false },
    connectionManager: {
      maxConnections: MAX_CONNECTIONS,
      maxIncomingPendingConnections: MAX_PENDING,
      inboundConnectionThreshold: MAX_PENDING_PER_SOURCE,
      inboundUpgradeTimeout: DIAL_TIMEOUT,
      inboundStreamProtocolNegotiationTimeout: DIAL_TIMEOUT,
      reconnectRetries: 0,
    },
    logger: { forComponent: () => SILENT },
    services: {
      wiring: (components): Wiring => ({
        transportManager: components.transportManager,
        upgrader: components.upgrader,
      }),
    },
  });
}

/** Turns nobody away: makes room for who comes next. */
function createDoorstep(): ConnectionGater {
  const arrivals = createArrivals<MultiaddrConnection>(MAX_ARRIVALS);
  return {
    denyInboundConnection(connection) {
      const remoteAddress = fromMultiaddr(connection.remoteAddr);
      arrivals.enter(connection, { remoteAddress, abort: (error) => connection.abort(error) });
      connection.addEventListener('close', () => arrivals.leave(connection));
      return false;
    },
    denyInboundUpgradedConnection(_peer, connection) {
      arrivals.leave(connection);
      return false;
    },
  };
}
