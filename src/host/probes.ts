import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { OpenProbes } from '../ports/probes.ts';

export const openProbes: OpenProbes = async ({ device, address, port, onMessage }) => {
  const socket = createSocket({ type: 'udp6', ipv6Only: true });
  socket.on('message', (bytes, { address: from }) => onMessage(withoutZone(from), bytes));
  socket.bind({ address: `${address}%${device}`, port });
  await once(socket, 'listening');
  // A device that is taken away breaks the socket; whoever opened it notices that no probe comes back.
  socket.on('error', () => undefined);
  return {
    // ENETUNREACH and EMSGSIZE are answers of their own: nothing comes back.
    send: (to, bytes) => socket.send(bytes, port, `${to}%${device}`, () => undefined),
    close: () => void socket.close(),
  };
};

function withoutZone(address: string): string {
  return address.split('%', 1)[0] ?? address;
}
