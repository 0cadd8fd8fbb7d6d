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

/** Debian's openvpn from point to point over UDP, AES-256-GCM, in user space. */
export const openvpn: Connect = async (site) => {
  const prints = [await newCertificate(site, 0), await newCertificate(site, 1)] as const;
  const daemons = SIDES.map((side) => {
    const { name } = site.hosts[side];
    const role = side === 0 ? ['--tls-client', '--remote', WIRE[1]] : ['--tls-server', '--dh', 'none'];
    const words = [
      ...['openvpn', '--dev', 'tun', '--proto', 'udp4', '--port', '1194', '--verb', '1', '--disable-dco'],
      ...['--cipher', 'AES-256-GCM', '--data-ciphers', 'AES-256-GCM', ...role],
      ...['--ifconfig', TUNNEL[side], TUNNEL[far(side)]],
      ...['--route', NETS[far(side)].split('/')[0] ?? '', '255.255.0.0'],
      ...['--cert', join(site.folder, `${name}.crt`), '--key', join(site.folder, `${name}.key`)],
      ...['--peer-fingerprint', prints[far(side)]],
    ];
    return site.hosts[side].start(words).pid;
  });
  await routeContainers(site, WIRE_MTU);
  return { hostAddress: TUNNEL[1], containerAddress: CONTAINERS[1], daemons };
};

/** Resolves to its fingerprint. */
async function newCertificate({ folder, hosts }: Site, side: Side): Promise<string> {
  const { name } = hosts[side];
  const certificate = join(folder, `${name}.crt`);
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const files = ['-keyout', join(folder, `${name}.key`), '-out', certificate];
  await execute(['openssl', 'req', '-x509', ...curve, ...files, '-days', '30', '-subj', `/CN=${name}`]);
  const { stdout } = await execute([
    'openssl',
    'x509',
    '-in',
    certificate,
    '-noout',
    '-fingerprint',
    '-sha256',
  ]);
  return stdout.trim().split('=')[1] ?? '';
}
