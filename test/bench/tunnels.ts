import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Background, execute } from '../lab/command.ts';
import { createLab, type Lab } from '../lab/create.ts';
import type { Echo } from '../lab/echo.ts';
import type { LabHost } from '../lab/host.ts';
import { converged, joinAll } from '../lab/mesh.ts';
import type { Namespace } from '../lab/namespace.ts';
import { addressOf, reaches } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { prioritise } from './priority.ts';

/**
 * Two hosts with a container on each and a tunnel between them, ready for traffic from one container to the other.
 *
 *     c1 ── h1 ══ tunnel ══ h2 ── c2
 */
export interface Tunnel {
  readonly name: string;
  readonly from: Namespace;
  readonly to: Namespace;
  /** Of `to`. */
  readonly address: string;
  /** Process ids of what carries the packets, both ends. */
  readonly daemons: readonly number[];
  close(): void;
}

export type OpenTunnel = (echo: Echo) => Promise<Tunnel>;

export async function openWeft(echo: Echo): Promise<Tunnel> {
  const lab = await createLab({ hosts: 2, echo });
  return closing(lab, async () => {
    await joinAll(lab.hosts);
    const sandboxes: Namespace[] = [];
    for (const host of lab.hosts) {
      const sandbox = await lab.sandbox(host.name.replace('h', 'c'));
      await host.weft(['attach', sandbox.path]);
      sandboxes.push(sandbox);
    }
    await converged(lab.hosts);
    const daemons = await Promise.all(lab.hosts.map((host) => until('weftd', () => host.daemon())));
    for (const pid of daemons) prioritise(pid);
    const [from, to] = sandboxes as [Namespace, Namespace];
    return { name: 'weft', from, to, address: await addressOf(to), daemons };
  });
}

/** Debian's wireguard-go, or the one that WEFT_BENCH_WIREGUARD_GO names. Containers are routed on both hosts. */
export async function openWireguard(echo: Echo): Promise<Tunnel> {
  const lab = await createLab({ hosts: 2, echo });
  return closing(lab, async () => {
    const keys = await Promise.all(lab.hosts.map(() => newKey()));
    const daemons: Background[] = [];
    const sandboxes: Namespace[] = [];
    for (const [index, host] of lab.hosts.entries()) {
      const other = lab.hosts[1 - index] as LabHost;
      daemons.push(await startWireguard(lab, host, keys[index] as Key, other, keys[1 - index] as Key));
      sandboxes.push(await routedSandbox(lab, host, index + 1));
    }
    const [from, to] = sandboxes as [Namespace, Namespace];
    return { name: 'wireguard-go', from, to, address: '10.96.2.2', daemons: daemons.map(({ pid }) => pid) };
  });
}

/** The same without a tunnel or encryption: what the machine can do. */
export async function openPlain(echo: Echo): Promise<Tunnel> {
  const lab = await createLab({ hosts: 2, echo });
  return closing(lab, async () => {
    const sandboxes: Namespace[] = [];
    for (const [index, host] of lab.hosts.entries()) {
      const other = lab.hosts[1 - index] as LabHost;
      sandboxes.push(await routedSandbox(lab, host, index + 1));
      await host.run(['ip', 'route', 'add', `10.96.${2 - index}.0/24`, 'via', other.address]);
    }
    const [from, to] = sandboxes as [Namespace, Namespace];
    return { name: 'no tunnel', from, to, address: '10.96.2.2', daemons: [] };
  });
}

async function closing(lab: Lab, build: () => Promise<Omit<Tunnel, 'close'>>): Promise<Tunnel> {
  try {
    const tunnel = await build();
    await reaches(tunnel.from, tunnel.address);
    return { ...tunnel, close: () => lab.close() };
  } catch (error) {
    lab.close();
    throw error;
  }
}

interface Key {
  readonly secret: string;
  readonly open: string;
}

async function newKey(): Promise<Key> {
  const secret = (await execute(['wg', 'genkey'])).stdout.trim();
  return { secret, open: (await execute(['wg', 'pubkey'], { input: secret })).stdout.trim() };
}

async function startWireguard(
  lab: Lab,
  host: LabHost,
  key: Key,
  other: LabHost,
  peer: Key,
): Promise<Background> {
  // The name is also that of its control socket, which is the same for all namespaces.
  const device = `wg${lab.id}${host.name}`;
  const number = host.name.slice(1);
  const daemon = host.start([process.env.WEFT_BENCH_WIREGUARD_GO ?? 'wireguard-go', '-f', device]);
  await until('wireguard-go to answer', async () => {
    return (await host.run(['wg', 'show', device], { check: false, say: null })).status === 0;
  });
  const file = join(lab.folder, `${host.name}.key`);
  writeFileSync(file, key.secret, { mode: 0o600 });
  const far = other.name.slice(1);
  const allowed = `10.97.0.${far}/32,10.96.${far}.0/24`;
  const endpoint = `${other.address}:51820`;
  await host.run(['wg', 'set', device, 'listen-port', '51820', 'private-key', file]);
  await host.run(['wg', 'set', device, 'peer', peer.open, 'endpoint', endpoint, 'allowed-ips', allowed]);
  await host.run(['ip', 'address', 'add', `10.97.0.${number}/24`, 'dev', device]);
  await host.run(['ip', 'link', 'set', device, 'mtu', '1420', 'up']);
  await host.run(['ip', 'route', 'add', `10.96.${far}.0/24`, 'dev', device]);
  return daemon;
}

/** A container behind a routed veth pair: 10.96.<number>.2, its host .1. */
async function routedSandbox(lab: Lab, host: LabHost, number: number): Promise<Namespace> {
  const sandbox = await lab.sandbox(`c${number}`);
  const run = (words: string) => host.run(words.split(' '), { say: null });
  await run('sysctl -qw net.ipv4.ip_forward=1');
  await run(`ip link add vc0 type veth peer name eth0 netns ${sandbox.path}`);
  await run(`ip address add 10.96.${number}.1/24 dev vc0`);
  await run('ip link set vc0 up');
  await sandbox.run(['ip', 'address', 'add', `10.96.${number}.2/24`, 'dev', 'eth0'], { say: null });
  await sandbox.run(['ip', 'link', 'set', 'eth0', 'up'], { say: null });
  await sandbox.run(['ip', 'route', 'add', 'default', 'via', `10.96.${number}.1`], { say: null });
  return sandbox;
}
