import type { MessageStream, MultiaddrConnection } from '@libp2p/interface';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { formatHostPort, type HostPort, parseHostPort } from '../../core/address.ts';

const PROTOCOLS = { ipv4: 'ip4', ipv6: 'ip6', name: 'dns' } as const;

export function toMultiaddr({ kind, host, port }: HostPort): Multiaddr {
  return multiaddr(`/${PROTOCOLS[kind]}/${host}/tcp/${port}`);
}

/** `host:port` of a TCP multiaddr, an IPv4-mapped IPv6 address as the IPv4 one; the multiaddr's text for any other. */
export function fromMultiaddr(address: Multiaddr): string {
  const [host, tcp] = address.getComponents();
  if (host?.value === undefined || tcp?.name !== 'tcp') return address.toString();
  const text = formatHostPort(host.value, Number(tcp.value));
  const parsed = parseHostPort(text);
  return parsed.ok ? formatHostPort(parsed.value.host, parsed.value.port) : text;
}

/** `host:port` of the other end of a connection that is not yet secured. */
export function remoteAddressOf(connection: MessageStream): string {
  return fromMultiaddr((connection as MultiaddrConnection).remoteAddr);
}
