import {
  CONTAINERS,
  each,
  far,
  HOSTS,
  NETS,
  routeContainers,
  SIDES,
  type Side,
  WIRE,
  WIRE_MTU,
} from '../site.ts';
import type { Connect } from './system.ts';

const VXLAN_OVERHEAD = 50;

/** Routes and nothing else: what the machine can do. */
export const plain: Connect = async (site) => {
  for (const side of SIDES) {
    await each(site.hosts[side], [`ip route add ${NETS[far(side)]} via ${WIRE[far(side)]}`]);
  }
  await routeContainers(site, WIRE_MTU);
  return { hostAddress: WIRE[1], containerAddress: CONTAINERS[1], daemons: [] };
};

/** The kernel's VXLAN, routed, with permanent entries; not encrypted. */
export const vxlan: Connect = async (site) => {
  const mac = (of: Side) => `02:00:00:00:00:0${of + 1}`;
  const mtu = WIRE_MTU - VXLAN_OVERHEAD;
  for (const side of SIDES) {
    const other = far(side);
    await each(site.hosts[side], [
      `ip link add vx0 address ${mac(side)} mtu ${mtu} type vxlan id 42 dev u0 local ${WIRE[side]} dstport 4789 nolearning`,
      `ip address add ${HOSTS[side]}/32 dev vx0`,
      'ip link set vx0 up',
      `ip neigh add ${HOSTS[other]} lladdr ${mac(other)} dev vx0 nud permanent`,
      `bridge fdb add ${mac(other)} dev vx0 dst ${WIRE[other]}`,
      `ip route add ${HOSTS[other]} dev vx0 src ${HOSTS[side]}`,
      `ip route add ${NETS[other]} via ${HOSTS[other]} dev vx0 onlink`,
    ]);
  }
  await routeContainers(site, mtu);
  return { hostAddress: HOSTS[1], containerAddress: CONTAINERS[1], daemons: [] };
};
