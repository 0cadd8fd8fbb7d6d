import { HostError } from '../ports/host.ts';
import { RESOLVER } from '../ports/name-sockets.ts';
import type { Namespace } from './namespace.ts';

/**
 * The table `ip weft-dns` inside a sandbox. It leads what is asked of RESOLVER to our sockets, before Docker's own rules for that address
 * (hook output, priority -100), which then see nothing of it.
 *
 * Only while our process works: the redirect holds for as long as the set `alive` has an element, and the only thing that puts one there is a
 * datagram out of our socket (`beat`). When the process is killed, or hangs, the element runs out and Docker's resolver is asked
 * as if Weft had never been there. Without that, a container would have no names at all until the daemon is back.
 *
 * Addresses and ports are changed packet by packet, there and back: a rule of NAT would have the kernel follow each connection of the
 * container, which costs a stream one part in twenty. Where Docker has such rules, connections look the same to them in both directions, because
 * they come behind `ask` and before `answer`.
 *
 * The chain `flood` is for the daemon: one thread answers for all containers, and what one of them may ask is bounded before it gets there.
 */

/** Seconds without a beat until Docker's resolver is asked again. */
export const ALIVE_SECONDS = 15;
/** What a sandbox may ask: datagrams, and new TCP connections, a second. */
const MOST_DATAGRAMS = 1_000;
const MOST_CONNECTIONS = 50;

export async function raiseRedirect(inside: Namespace, port: number): Promise<void> {
  const resolver = RESOLVER.address;
  const text = `
table ip weft-dns {
  set alive { type ipv4_addr; size 2; flags dynamic,timeout; timeout ${ALIVE_SECONDS}s; }
  chain ask {
    type filter hook output priority -310; policy accept;
    ip daddr != ${resolver} accept
    ip saddr 127.0.0.1 udp sport ${port} udp dport ${RESOLVER.port} update @alive { ip daddr timeout ${ALIVE_SECONDS}s }
    ip daddr @alive udp dport ${RESOLVER.port} udp dport set ${port} ip daddr set 127.0.0.1
    ip daddr @alive tcp dport ${RESOLVER.port} tcp dport set ${port} ip daddr set 127.0.0.1
  }
  chain answer {
    type filter hook output priority 50; policy accept;
    ip saddr != 127.0.0.1 accept
    udp sport ${port} udp dport != ${port} udp sport set ${RESOLVER.port} ip saddr set ${resolver}
    tcp sport ${port} tcp sport set ${RESOLVER.port} ip saddr set ${resolver}
    ${refusal(port)}
  }
  chain flood {
    type filter hook input priority filter; policy accept;
    ip daddr != 127.0.0.1 accept
    ip daddr 127.0.0.1 udp dport ${port} limit rate over ${MOST_DATAGRAMS}/second burst ${MOST_DATAGRAMS} packets counter drop
    ip daddr 127.0.0.1 tcp dport ${port} tcp flags & (syn | ack) == syn limit rate over ${MOST_CONNECTIONS}/second burst ${MOST_CONNECTIONS} packets counter drop
  }
}
`;
  try {
    await inside.run(['nft', '-f', '-'], `create table ip weft-dns${text}`);
  } catch (error) {
    if (!(error instanceof HostError) || !/File exists/.test(error.message)) throw error;
    // Not so at first: whatever deletes has the kernel wait for packets under way, and Docker, which sets up a resolver meanwhile, for that.
    await inside.run(['nft', '-f', '-'], `${GONE}${text}`);
  }
}

/**
 * A port where nobody listens answers with ICMP, which quotes the question as it was changed (RFC 792): the asker would not know it as its
 * own, and wait. Two bytes that mean nothing in this kind of message take the difference, so that the checksum stays right. Bits from
 * the start of ICMP: what means nothing at 48; of the quoted packet the first byte at 64, the protocol at 136, destination 192, port 240.
 */
function refusal(port: number): string {
  const [changed, asked] = [0x7f000001, 0x7f00000b];
  const difference = (port - RESOLVER.port + changed - asked + 0xffff) % 0xffff;
  const quoted = `@th,64,8 0x45 @th,136,8 17 @th,192,32 ${changed} @th,240,16 ${port}`;
  const back = `@th,48,16 set ${difference} @th,192,32 set ${asked} @th,240,16 set ${RESOLVER.port}`;
  return `icmp type destination-unreachable icmp code port-unreachable ${quoted} ${back}`;
}

export async function removeRedirect(inside: Namespace): Promise<void> {
  await inside.run(['nft', '-f', '-'], GONE);
}

/** Adding what is there already changes nothing, so that there is something to delete in any case. */
const GONE = 'add table ip weft-dns\ndelete table ip weft-dns\n';

/** Ports on which somebody else listens on RESOLVER's address inside; undefined: nobody does. */
export interface Elsewhere {
  readonly udp: number | undefined;
  readonly tcp: number | undefined;
}

/**
 * Docker's resolver listens on RESOLVER's address and ports of its own choice. They are read from the kernel's list of sockets
 * (proc_net_tcp.txt of the kernel's documentation), not from Docker's rules: their form differs between versions and firewalls.
 */
export async function findResolver(inside: Namespace): Promise<Elsewhere> {
  const [udp = '', tcp = ''] = (await inside.run(['cat', '/proc/self/net/udp', '/proc/self/net/tcp'])).split(
    /^(?=\s*sl\b)/m,
  );
  return { udp: portIn(udp, UNCONNECTED), tcp: portIn(tcp, LISTENING) };
}

/** States of sockets as the kernel's list has them. */
const UNCONNECTED = '07';
const LISTENING = '0A';
/** 127.0.0.11 in the order of bytes of a little-endian machine; every platform of Weft is one. */
const RESOLVER_HEX = '0B00007F';

function portIn(list: string, state: string): number | undefined {
  for (const line of list.split('\n')) {
    const [, local = '', , found] = line.trim().split(/\s+/);
    const [address, port = ''] = local.split(':');
    if (address === RESOLVER_HEX && found === state) return Number.parseInt(port, 16);
  }
  return undefined;
}
