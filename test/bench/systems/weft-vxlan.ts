import { createHost, type LabHost } from '../../lab/host.ts';
import { converged, join, tokenIn } from '../../lab/mesh.ts';
import { addressOf } from '../../lab/traffic.ts';
import { until } from '../../lab/wait.ts';
import { prioritise } from '../priority.ts';
import { SIDES, WIRE } from '../site.ts';
import type { Connect } from './system.ts';

/** The same largest packet as the kernel's VXLAN by hand has, so that the two differ in nothing but who set them up. */
const OPTIONS = ['--trusted-subnets', '10.99.0.0/24', '--mtu', '1450'];

/** Two daemons that trust the wire: packets stay in the kernel. */
export const weftVxlan: Connect = async (site) => {
  const hosts = SIDES.map((side) =>
    createHost(site.hosts[side], { address: WIRE[side], address6: '', folder: site.folder }),
  );
  const [first, second] = hosts as [LabHost, LabHost];
  const { stdout } = await first.weft(['up', ...OPTIONS]);
  await join(second, tokenIn(stdout), OPTIONS);
  for (const side of SIDES) {
    await hosts[side]?.weft(['attach', site.containers[side].path]);
    await hosts[side]?.weft(['expose']);
  }
  await converged(hosts);
  for (const host of hosts) {
    await until('the fast path', async () => (await host.status()).peers[0]?.path.kind === 'vxlan');
  }
  const daemons = await Promise.all(hosts.map((host) => until('weftd', () => host.daemon())));
  for (const pid of daemons) prioritise(pid);
  return {
    hostAddress: await addressOf(site.hosts[1], 'weft0'),
    containerAddress: await addressOf(site.containers[1]),
    daemons,
  };
};
