import type { Listener } from '@libp2p/interface';
import { formatHostPort, type HostPort } from '../../core/address.ts';
import { ListenError, type ListenFailure } from '../../ports/transport.ts';
import { toMultiaddr } from './addresses.ts';
import type { Wiring } from './node.ts';

/** Rejects with a ListenError; resolves to the listener and its real port. */
export async function openListener(
  { transportManager, upgrader }: Wiring,
  address: HostPort,
): Promise<readonly [Listener, number]> {
  const listener = transportManager.getTransports()[0]?.createListener({ upgrader });
  if (listener === undefined) throw new ListenError('failed', 'the transport is closed');
  try {
    await listener.listen(toMultiaddr(address));
  } catch (error) {
    throw explain(formatHostPort(address.host, address.port), error);
  }
  const port = listener
    .getAddrs()[0]
    ?.getComponents()
    .find((part) => part.name === 'tcp')?.value;
  return [listener, Number(port)];
}

/** What the kernel says, in words that help. */
const CAUSES: Readonly<Record<string, readonly [ListenFailure, string]>> = {
  EADDRINUSE: ['in-use', 'another program listens there: stop it or choose another port'],
  EADDRNOTAVAIL: ['not-local', 'this machine does not have that address'],
  EAFNOSUPPORT: ['not-local', 'this machine has no such kind of address'],
  ENOTFOUND: ['not-local', 'no such host name'],
  EACCES: ['not-permitted', 'ports below 1024 need root'],
};

function explain(address: string, error: unknown): ListenError {
  const { code = '', message } = error as NodeJS.ErrnoException;
  const [reason, help] = CAUSES[code] ?? ['failed', message];
  return new ListenError(reason, `cannot listen on ${address}: ${help}`);
}
