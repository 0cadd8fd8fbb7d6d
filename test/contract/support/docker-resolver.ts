import { type NameServer, serveNames } from '../../../src/host/name-server.ts';
import { openNamespaceSocket } from '../../../src/host/namespace-socket.ts';
import type { Answer } from '../../../src/ports/name-sockets.ts';

/** Listens as Docker's resolver does: on 127.0.0.11 and ports of its own, with rules that lead port 53 there. */
export async function startDockerResolver(
  run: (...command: string[]) => Promise<unknown>,
  network: number,
  answer: Answer,
): Promise<NameServer> {
  const open = (kind: 'udp' | 'tcp') =>
    openNamespaceSocket({ network, kind, role: 'serve', address: '127.0.0.11', port: 0 });
  const udp = open('udp');
  const tcp = open('tcp');
  const lead = (protocol: string, port: number) =>
    `add rule ip docker out ip daddr 127.0.0.11 ${protocol} dport 53 dnat to 127.0.0.11:${port};`;
  await run(
    'nft',
    'add table ip docker; add chain ip docker out { type nat hook output priority -100; };' +
      lead('udp', udp.port) +
      lead('tcp', tcp.port),
  );
  return serveNames({ udp: udp.descriptor, tcp: tcp.descriptor, port: udp.port }, answer);
}
