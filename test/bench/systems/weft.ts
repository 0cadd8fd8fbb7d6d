import { createHost } from '../../lab/host.ts';
import { converged, joinAll } from '../../lab/mesh.ts';
import { addressOf } from '../../lab/traffic.ts';
import { until } from '../../lab/wait.ts';
import { prioritise } from '../priority.ts';
import { SIDES, WIRE } from '../site.ts';
import type { Connect } from './system.ts';

/** Two daemons as users start them. */
export const weft: Connect = async (site) => {
  const hosts = SIDES.map((side) =>
    createHost(site.hosts[side], { address: WIRE[side], address6: '', folder: site.folder }),
  );
  await joinAll(hosts);
  for (const side of SIDES) {
    await hosts[side]?.weft(['attach', site.containers[side].path]);
    await hosts[side]?.weft(['expose']);
  }
  await converged(hosts);
  const daemons = await Promise.all(hosts.map((host) => until('weftd', () => host.daemon())));
  for (const pid of daemons) prioritise(pid);
  const [, second] = site.hosts;
  return {
    hostAddress: await addressOf(second, 'weft0'),
    containerAddress: await addressOf(site.containers[1]),
    daemons,
  };
};
