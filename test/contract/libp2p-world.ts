import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Identity } from '../../src/core/crypto.ts';
import { createSystemClock } from '../../src/host/clock.ts';
import { nodeCrypto } from '../../src/host/crypto.ts';
import { systemRandom } from '../../src/host/random.ts';
import { createLibp2pTransport, type Libp2pTransportParts } from '../../src/mesh/libp2p/transport.ts';
import type { Door, Doorkeeper, Link, Transport } from '../../src/ports/transport.ts';
import type { TransportWorld } from './transport-suite.ts';

const ECHO = fileURLToPath(new URL('./fixtures/echo-peer.ts', import.meta.url));

export interface Libp2pWorld extends TransportWorld {
  create(doorkeeper: Doorkeeper, options?: Partial<Libp2pTransportParts>): Promise<Transport>;
  /** Dials until it is let in: a host that was flooded may be busy for a moment. */
  dialPatiently(from: Transport, address: string, door: Door): Promise<Link>;
  /** A server on loopback whose sockets are cut when the world ends. */
  serve(onSocket: (socket: Socket) => void): Promise<string>;
}

export function createIdentity(): Identity {
  const seed = systemRandom.bytes(32);
  const publicKey = nodeCrypto.publicKey(seed);
  return { seed, publicKey, peer: nodeCrypto.peerId(publicKey) };
}

/** Real transports on loopback; whatever a test opened is closed when its world ends. */
export function createLibp2pWorld(): Libp2pWorld {
  const endings: (() => unknown)[] = [];

  async function create(doorkeeper: Doorkeeper, options: Partial<Libp2pTransportParts> = {}) {
    const transport = await createLibp2pTransport({
      identity: createIdentity(),
      doorkeeper,
      clock: createSystemClock(),
      random: systemRandom,
      ...options,
    });
    endings.push(() => transport.close());
    return transport;
  }

  async function serve(onSocket: (socket: Socket) => void) {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => sockets.delete(socket));
      onSocket(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    endings.push(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return textOf(server);
  }

  async function dialPatiently(from: Transport, address: string, door: Door) {
    const deadline = performance.now() + 20_000;
    for (;;) {
      const link = await from.dial(address, door).catch((error) => {
        if (performance.now() > deadline) throw error;
        return undefined;
      });
      if (link !== undefined) return link;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  return {
    create,
    serve,
    dialPatiently,
    async echo(door) {
      const secret = Buffer.from(door.secret).toString('hex');
      const child = spawn(process.execPath, [ECHO, door.name, secret], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      endings.push(() => child.kill('SIGKILL'));
      const [address] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
      return { address, kill: () => void child.kill('SIGKILL') };
    },
    blackHole: () => serve(() => {}),
    async deadPort() {
      const server = createServer();
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const address = textOf(server);
      server.close();
      await once(server, 'close');
      return address;
    },
    async until(condition) {
      const deadline = performance.now() + 20_000;
      while (!condition()) {
        if (performance.now() > deadline) throw new Error(`condition not met in 20 s: ${condition}`);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    },
    async end() {
      for (const ending of endings.splice(0).reverse()) await ending();
    },
  };
}

function textOf(server: Server): string {
  const { address, port } = server.address() as AddressInfo;
  return `${address}:${port}`;
}
