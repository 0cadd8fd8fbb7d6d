import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execute } from '../../lab/command.ts';
import {
  CONTAINERS,
  far,
  NETS,
  routeContainers,
  SIDES,
  type Side,
  type Site,
  WIRE,
  WIRE_MTU,
} from '../site.ts';
import { type Connect, TUNNEL } from './system.ts';

/** Debian's tinc as a router, AES-256-CBC with SHA-256. */
export const tinc: Connect = async (site) => {
  for (const side of SIDES) await configure(site, side);
  const files = SIDES.map((side) => join(folderOf(site, side), 'hosts'));
  for (const side of SIDES) {
    const { name } = site.hosts[side];
    copyFileSync(join(files[side] ?? '', name), join(files[far(side)] ?? '', name));
  }
  const daemons = SIDES.map((side) => {
    const folder = folderOf(site, side);
    return site.hosts[side].start(['tincd', '-c', folder, '-D', `--pidfile=${join(folder, 'pid')}`]).pid;
  });
  await routeContainers(site, WIRE_MTU);
  return { hostAddress: TUNNEL[1], containerAddress: CONTAINERS[1], daemons };
};

const folderOf = ({ folder, hosts }: Site, side: Side) => join(folder, `tinc-${hosts[side].name}`);

async function configure(site: Site, side: Side): Promise<void> {
  const { name } = site.hosts[side];
  const folder = folderOf(site, side);
  mkdirSync(join(folder, 'hosts'), { recursive: true });
  const settings = [
    `Name = ${name}`,
    'Interface = tinc0',
    'Mode = router',
    'AddressFamily = ipv4',
    `ConnectTo = ${site.hosts[far(side)].name}`,
  ];
  writeFileSync(join(folder, 'tinc.conf'), `${settings.join('\n')}\n`);
  const up = join(folder, 'tinc-up');
  const commands = [
    'ip link set $INTERFACE up',
    `ip address add ${TUNNEL[side]}/24 dev $INTERFACE`,
    `ip route add ${NETS[far(side)]} dev $INTERFACE`,
  ];
  writeFileSync(up, `#!/bin/sh\n${commands.join('\n')}\n`);
  chmodSync(up, 0o755);
  const about = [
    `Address = ${WIRE[side]}`,
    `Subnet = ${TUNNEL[side]}/32`,
    `Subnet = ${NETS[side]}`,
    'Cipher = aes-256-cbc',
    'Digest = sha256',
  ];
  writeFileSync(join(folder, 'hosts', name), `${about.join('\n')}\n`);
  await execute(['tincd', '-c', folder, '-K', '2048'], { input: '\n\n' });
}
