import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import { type Answer, LARGEST_QUERY, RESOLVER } from '../ports/name-sockets.ts';

/** Answers on two sockets that listen already. */
export interface NameServer {
  /** Lets a datagram out that keeps the redirect alive; see name-redirect.ts. */
  beat(): void;
  /** Closes both sockets and what is connected to them. */
  close(): Promise<void>;
}

export interface ServedSockets {
  /** Descriptors; the server owns them from now on. */
  readonly udp: number;
  readonly tcp: number;
  readonly port: number;
}

/** Questions of one sandbox that are being answered; what comes beyond is dropped, and asked again by who needs it. */
const MOST_OPEN = 256;
const MOST_CONNECTIONS = 16;
/** Questions over one connection, one at a time. Then it is closed, so that new ones are counted by the rule against floods. */
const MOST_OVER_ONE = 20;
const IDLE_MS = 5_000;
/** A header that says `response` (RFC 1035 4.1.1): every resolver that it may reach drops it. */
const BEAT = Buffer.from([0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

export async function serveNames({ udp, tcp, port }: ServedSockets, answer: Answer): Promise<NameServer> {
  const datagrams = await openUdp(udp);
  const connections = new Set<Socket>();
  const listener = await openTcp(tcp, connections, answer);
  let open = 0;
  let closed = false;

  datagrams.on('message', async (query, from) => {
    const own = from.port === port && from.address === '127.0.0.1';
    if (own || query.length > LARGEST_QUERY.udp || open >= MOST_OPEN) return;
    open++;
    const reply = await answer(query, 'udp');
    open--;
    if (reply !== undefined && !closed) datagrams.send(reply, from.port, from.address, ignore);
  });

  return {
    beat() {
      if (!closed) datagrams.send(BEAT, RESOLVER.port, RESOLVER.address, ignore);
    },
    async close() {
      if (closed) return;
      closed = true;
      for (const connection of connections) connection.destroy();
      await Promise.all([
        new Promise<void>((resolve) => datagrams.close(resolve)),
        new Promise<void>((resolve) => listener.close(() => resolve())),
      ]);
    },
  };
}

/** Whoever asked has gone, or the sandbox is being taken apart: nobody is left to tell. */
function ignore(): void {}

function openUdp(descriptor: number): Promise<UdpSocket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    socket.once('error', reject);
    socket.bind({ fd: descriptor }, () => {
      socket.off('error', reject);
      // The kernel's word that an answer found no taker.
      socket.on('error', ignore);
      resolve(socket);
    });
  });
}

function openTcp(descriptor: number, connections: Set<Socket>, answer: Answer): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((connection) => {
      if (connections.size >= MOST_CONNECTIONS) return void connection.destroy();
      connections.add(connection);
      connection.on('close', () => connections.delete(connection));
      serveConnection(connection, answer);
    });
    server.once('error', reject);
    server.listen({ fd: descriptor }, () => {
      server.off('error', reject);
      server.on('error', ignore);
      resolve(server);
    });
  });
}

/** Messages with their length in front (RFC 1035 4.2.2). */
function serveConnection(connection: Socket, answer: Answer): void {
  connection.setTimeout(IDLE_MS, () => connection.destroy());
  connection.on('error', () => connection.destroy());
  void answerAll(connection, answer).then(
    () => connection.end(),
    () => connection.destroy(),
  );
}

async function answerAll(connection: Socket, answer: Answer): Promise<void> {
  let rest: Buffer = Buffer.alloc(0);
  let answered = 0;
  for await (const chunk of connection as AsyncIterable<Buffer>) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 2) {
      const length = rest.readUInt16BE();
      if (length > LARGEST_QUERY.tcp) return;
      if (rest.length < length + 2) break;
      const reply = await answer(rest.subarray(2, length + 2), 'tcp');
      rest = rest.subarray(length + 2);
      if (reply === undefined || !connection.writable) return;
      connection.write(framed(reply));
      if (++answered === MOST_OVER_ONE) return;
    }
  }
}

export function framed(message: Uint8Array): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}
