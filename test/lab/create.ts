/**
 * A lab: hosts on one machine, each a network namespace, joined by a switch in a namespace of its own.
 *
 *        h1 198.18.0.1          h2 198.18.0.2          h3 198.18.0.3
 *        2001:db8:18::1         2001:db8:18::2         2001:db8:18::3
 *          eth0 │                 eth0 │                 eth0 │
 *         to-h1 │                to-h2 │                to-h3 │
 *      ┌────────┴──────────────────────┴──────────────────────┴────────┐
 *      │ wire: bridge br0, 198.18.0.254 (the hosts' default gateway)    │   faults (wire.ts) and captures (capture.ts)
 *      └────────────────────────────────────────────────────────────────┘   happen here
 *
 * Containers are namespaces, too: `lab.sandbox('c1')` makes an empty one, for `weft attach`.
 * `lab.behindNat('laptop')` adds a host that only dials:   laptop 192.168.77.2 ── nat-laptop ── wire
 * `lab.behindNat('desktop', laptop)` adds another one there:   desktop 192.168.78.2 ── nat-laptop
 * Needs root. Everything is gone when the lab is closed or its process ends, see teardown.ts.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Echo } from './echo.ts';
import { createHost, type LabHost } from './host.ts';
import { createNamespace, type Namespace } from './namespace.ts';
import { keep, namespacePath, register, tearDown } from './teardown.ts';
import { createWire, portOf, type Wire } from './wire.ts';

export interface LabOptions {
  /** Default 3, at most 250. */
  readonly hosts?: number;
  readonly echo: Echo;
  /** MTU of the wire, default 1500. */
  readonly mtu?: number;
  /** What the hosts have on the wire, default both. */
  readonly family?: 'both' | 'ipv4' | 'ipv6';
  /** `veth`: segments of TCP and UDP cross the wire unsplit. `nic`: every packet is split before the wire, as without offloads. */
  readonly underlay?: 'veth' | 'nic';
}

export interface Lab {
  readonly id: string;
  /** For captures and logs; goes with the lab. */
  readonly folder: string;
  readonly hosts: readonly LabHost[];
  readonly wire: Wire;
  /** The host by its number, from 1. */
  host(number: number): LabHost;
  /** A new, empty network namespace that stands for a container. */
  sandbox(name: string): Promise<Namespace>;
  /** A host behind a router that hides its address and lets nothing in that it did not ask for: its own, or that of `beside`. */
  behindNat(name: string, beside?: LabHost): Promise<LabHost>;
  /** Leaves it all up when this process ends. */
  keep(): void;
  close(): void;
}

interface Place {
  readonly address: string;
  readonly address6: string;
}

export const GATEWAY = '198.18.0.254';

export async function createLab(options: LabOptions): Promise<Lab> {
  const id = Math.floor(Math.random() * 0xffff)
    .toString(16)
    .padStart(4, '0');
  const folder = register(id);
  try {
    return await build(id, folder, options);
  } catch (error) {
    tearDown(id);
    throw error;
  }
}

async function build(id: string, folder: string, options: LabOptions): Promise<Lab> {
  const make = (name: string) => createNamespace(name, namespacePath(id, name), options.echo);
  const wire = await createSwitch(await make('wire'), options.mtu ?? 1500);
  const newHost = (namespace: Namespace, place: Place) => {
    mkdirSync(join(folder, namespace.name));
    return createHost(namespace, { ...place, folder });
  };
  const hosts: LabHost[] = [];
  /** By the hosts behind them. */
  const routers = new Map<string, { readonly namespace: Namespace; hidden: number }>();
  const newRouter = async (name: string) => {
    const namespace = await make(`nat-${name}`);
    const outside = 100 + routers.size;
    const place = { address: `198.18.0.${outside}`, address6: `2001:db8:18::${outside}` };
    await connect(namespace, wire, place, options);
    await namespace.run(['sysctl', '-qw', 'net.ipv4.ip_forward=1'], { say: null });
    await namespace.run(['nft', '-f', '-'], { input: MASQUERADE, say: null });
    return { namespace, hidden: 0 };
  };
  for (let number = 1; number <= (options.hosts ?? 3); number++) {
    const namespace = await make(`h${number}`);
    const place = { address: `198.18.0.${number}`, address6: `2001:db8:18::${number}` };
    await connect(namespace, wire, place, options);
    hosts.push(newHost(namespace, place));
  }
  return {
    id,
    folder,
    hosts,
    wire: createWire(wire),
    host(number) {
      const found = hosts[number - 1];
      if (!found) throw new Error(`this lab has ${hosts.length} hosts, there is no h${number}`);
      return found;
    },
    sandbox: make,
    async behindNat(name, beside) {
      const router = routers.get(beside?.name ?? '') ?? (await newRouter(name));
      routers.set(name, router);
      const namespace = await make(name);
      const subnet = `192.168.${77 + router.hidden++}`;
      await hide(namespace, router.namespace, subnet);
      return newHost(namespace, { address: `${subnet}.2`, address6: '' });
    },
    keep: () => keep(id),
    close: () => tearDown(id),
  };
}

async function createSwitch(wire: Namespace, mtu: number): Promise<Namespace> {
  const run = (words: string) => wire.run(words.split(' '), { say: null });
  await run('ip link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0');
  await run(`ip link set br0 mtu ${mtu} up`);
  await run(`ip address add ${GATEWAY}/24 dev br0`);
  // A switch does not look at IP; where the module is absent there is nothing to switch off.
  await wire.run(
    ['sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=0', 'net.bridge.bridge-nf-call-ip6tables=0'],
    {
      say: null,
      check: false,
    },
  );
  return wire;
}

async function connect(
  host: Namespace,
  wire: Namespace,
  place: Place,
  { mtu = 1500, underlay = 'veth', family = 'both' }: LabOptions,
): Promise<void> {
  const run = (words: string) => host.run(words.split(' '), { say: null });
  const port = portOf(host.name);
  await run('sysctl -qw net.ipv6.conf.default.accept_dad=0');
  await run(`ip link add eth0 mtu ${mtu} type veth peer name ${port} mtu ${mtu} netns ${wire.path}`);
  if (family !== 'ipv6') await run(`ip address add ${place.address}/24 dev eth0`);
  if (family !== 'ipv4') await run(`ip address add ${place.address6}/64 dev eth0 nodad`);
  await run('ip link set eth0 up');
  if (family !== 'ipv6') await run(`ip route add default via ${GATEWAY}`);
  await wire.run(['ip', 'link', 'set', port, 'master', 'br0', 'up'], { say: null });
  if (underlay === 'nic') {
    await run('ethtool -K eth0 tso off gso off tx-udp-segmentation off gro on');
  }
}

const MASQUERADE = `table ip nat {
chain out {
type nat hook postrouting priority 100;
oifname "eth0" masquerade
}
chain in {
type filter hook forward priority 0;
iifname "eth0" ct state != { established, related } drop
}
}
`;

/** Puts a host behind a router that translates its address. `subnet`: the first three numbers of its addresses. */
async function hide(host: Namespace, router: Namespace, subnet: string): Promise<void> {
  const run = (namespace: Namespace, words: string) => namespace.run(words.split(' '), { say: null });
  const link = `to-${host.name}`;
  await run(router, `ip link add ${link} type veth peer name eth0 netns ${host.path}`);
  await run(router, `ip address add ${subnet}.1/24 dev ${link}`);
  await run(router, `ip link set ${link} up`);
  await run(host, `ip address add ${subnet}.2/24 dev eth0`);
  await run(host, 'ip link set eth0 up');
  await run(host, `ip route add default via ${subnet}.1`);
}
