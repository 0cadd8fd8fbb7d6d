import type { Lab } from './create.ts';
import type { LabHost } from './host.ts';
import type { Namespace } from './namespace.ts';
import { portOf } from './wire.ts';

/** The host's network behind the hop. */
export const BEHIND = '192.168.78.0/24';

/**
 * Moves a host behind two routers with a narrow link between them, which say nothing of packets that are too large:
 *
 *   other hosts ── wire ── 198.18.0.200 near ── mtu ── far 192.168.78.1 ── 192.168.78.2 host
 *
 * All links but the one in the middle have 1500 bytes. The lab's idea of the host's address is not true any more.
 */
export async function hideBehindHop(lab: Lab, host: LabHost, mtu: number): Promise<void> {
  const run = (namespace: Namespace, words: string) => namespace.run(words.split(' '), { say: null });
  const near = await lab.sandbox('near');
  const far = await lab.sandbox('far');
  const wire = lab.wire.namespace;
  await run(wire, `ip link add to-near type veth peer name eth0 netns ${near.path}`);
  await run(wire, 'ip link set to-near master br0 up');
  await run(near, 'ip address add 198.18.0.200/24 dev eth0');
  await run(near, `ip link add mid mtu ${mtu} type veth peer name mid mtu ${mtu} netns ${far.path}`);
  await run(wire, `ip link set ${portOf(host.name)} nomaster netns ${far.path}`);
  await run(near, 'ip address add 192.168.79.1/24 dev mid');
  await run(far, 'ip address add 192.168.79.2/24 dev mid');
  await run(far, `ip address add 192.168.78.1/24 dev ${portOf(host.name)}`);
  for (const [router, links] of [
    [near, ['eth0', 'mid']],
    [far, [portOf(host.name), 'mid']],
  ] as const) {
    for (const link of links) await run(router, `ip link set ${link} up`);
    await run(router, 'sysctl -qw net.ipv4.ip_forward=1');
    await router.run(['nft', '-f', '-'], { input: SILENT, say: 'nft: no ICMP destination-unreachable' });
  }
  await run(near, `ip route add ${BEHIND} via 192.168.79.2`);
  await run(far, 'ip route add default via 192.168.79.1');
  await run(host, 'ip address flush dev eth0');
  await run(host, 'ip address add 192.168.78.2/24 dev eth0');
  await run(host, 'ip route add default via 192.168.78.1');
  for (const other of lab.hosts) {
    if (other !== host) await run(other, `ip route add ${BEHIND} via 198.18.0.200`);
  }
}

const SILENT = `table ip silent {
chain out {
type filter hook output priority 0;
icmp type destination-unreachable drop
}
}
`;
