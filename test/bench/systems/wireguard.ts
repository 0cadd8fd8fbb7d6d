import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execute } from '../../lab/command.ts';
import { until } from '../../lab/wait.ts';
import { CONTAINERS, each, far, NETS, routeContainers, SIDES, WIRE } from '../site.ts';
import { type Connect, TUNNEL } from './system.ts';

const MTU = 1420;

/** Debian's wireguard-go, or the one that WEFT_BENCH_WIREGUARD_GO names. */
export const wireguard: Connect = async (site) => {
  const keys = [await newKey(), await newKey()] as const;
  const daemons: number[] = [];
  for (const side of SIDES) {
    const host = site.hosts[side];
    const other = far(side);
    // The name is also that of its control socket, which is the same for all namespaces.
    const device = `wg${site.id}${host.name}`;
    daemons.push(host.start([process.env.WEFT_BENCH_WIREGUARD_GO ?? 'wireguard-go', '-f', device]).pid);
    await until(
      'wireguard-go to answer',
      async () => (await host.run(['wg', 'show', device], { check: false, say: null })).status === 0,
    );
    const file = join(site.folder, `${host.name}.key`);
    writeFileSync(file, keys[side].secret, { mode: 0o600 });
    const peer = `peer ${keys[other].open} endpoint ${WIRE[other]}:51820 allowed-ips ${TUNNEL[other]}/32,${NETS[other]}`;
    await each(host, [
      `wg set ${device} listen-port 51820 private-key ${file}`,
      `wg set ${device} ${peer}`,
      `ip address add ${TUNNEL[side]}/24 dev ${device}`,
      `ip link set ${device} mtu ${MTU} up`,
      `ip route add ${NETS[other]} dev ${device}`,
    ]);
  }
  await routeContainers(site, MTU);
  return { hostAddress: TUNNEL[1], containerAddress: CONTAINERS[1], daemons };
};

interface Key {
  readonly secret: string;
  readonly open: string;
}

async function newKey(): Promise<Key> {
  const secret = (await execute(['wg', 'genkey'])).stdout.trim();
  return { secret, open: (await execute(['wg', 'pubkey'], { input: secret })).stdout.trim() };
}
