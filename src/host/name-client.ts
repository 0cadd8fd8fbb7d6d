import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { closeSync } from 'node:fs';
import { connect, isIPv6, Socket } from 'node:net';
import { framed } from './name-server.ts';
import { openNamespaceSocket } from './namespace-socket.ts';

/** Who is asked: an address, in the host's own network or in that of a namespace. */
export interface Upstream {
  readonly address: string;
  readonly port: number;
  /** Open descriptor of a network namespace; absent: the host's. */
  readonly network?: number;
}

type IsAnswer = (message: Uint8Array) => boolean;

/**
 * One question over a socket of its own, so that the kernel draws a port for each (RFC 5452 9.2). Undefined when nobody answers within
 * `timeout` ms, or at once when nobody listens there.
 */
export function askOverUdp(
  upstream: Upstream,
  query: Uint8Array,
  isAnswer: IsAnswer,
  timeout: number,
): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(upstream.address) ? 'udp6' : 'udp4');
    const timer = setTimeout(() => end(undefined), timeout);
    const end = (answer: Uint8Array | undefined) => {
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    let ended = false;
    const once = (answer: Uint8Array | undefined) => {
      if (!ended) end(answer);
      ended = true;
    };
    socket.on('error', () => once(undefined));
    socket.on('message', (message) => {
      if (isAnswer(message)) once(message);
    });
    // Connected: the kernel lets in what comes from there, and tells when nobody listens.
    connected(socket, upstream, () => socket.send(query, (error) => error && once(undefined))).catch(() =>
      once(undefined),
    );
  });
}

async function connected(socket: UdpSocket, upstream: Upstream, then: () => void): Promise<void> {
  const { address, port, network } = upstream;
  if (network === undefined) return void socket.connect(port, address, then);
  const { descriptor } = openNamespaceSocket({
    network,
    kind: 'udp',
    role: 'serve',
    address: '127.0.0.1',
    port: 0,
  });
  socket.bind({ fd: descriptor }, () => socket.connect(port, address, then));
}

/** The same over TCP. */
export function askOverTcp(
  upstream: Upstream,
  query: Uint8Array,
  isAnswer: IsAnswer,
  timeout: number,
): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => {
    let socket: Socket;
    try {
      socket = dialled(upstream);
    } catch {
      return resolve(undefined);
    }
    let received: Buffer = Buffer.alloc(0);
    const timer = setTimeout(() => end(undefined), timeout);
    const end = (answer: Uint8Array | undefined) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    socket.on('error', () => end(undefined));
    socket.on('close', () => end(undefined));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      const length = received.length < 2 ? undefined : received.readUInt16BE();
      if (length === undefined || received.length < length + 2) return;
      const message = received.subarray(2, length + 2);
      end(isAnswer(message) ? message : undefined);
    });
    socket.write(framed(query));
  });
}

function dialled({ address, port, network }: Upstream): Socket {
  if (network === undefined) return connect(port, address);
  const { descriptor } = openNamespaceSocket({ network, kind: 'tcp', role: 'call', address, port });
  try {
    return new Socket({ fd: descriptor, readable: true, writable: true });
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}
