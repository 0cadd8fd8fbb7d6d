import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execute } from '../../lab/command.ts';
import { CONTAINERS, far, NETS, routeContainers, SIDES, type Side, type Site, WIRE } from '../site.ts';
import { type Connect, TUNNEL } from './system.ts';

/** The MTU that nebula has where none is set. */
const MTU = 1300;

/** Debian's nebula, or those that WEFT_BENCH_NEBULA and WEFT_BENCH_NEBULA_CERT name; AES, nets behind the hosts as unsafe routes. */
export const nebula: Connect = async (site) => {
  const daemons: number[] = [];
  await makeCertificates(site);
  for (const side of SIDES) {
    const host = site.hosts[side];
    const file = join(site.folder, `${host.name}.json`);
    // JSON is YAML, too.
    writeFileSync(file, JSON.stringify(configOf(site, side)));
    daemons.push(host.start([process.env.WEFT_BENCH_NEBULA ?? 'nebula', '-config', file]).pid);
  }
  await routeContainers(site, MTU);
  return { hostAddress: TUNNEL[1], containerAddress: CONTAINERS[1], daemons };
};

async function makeCertificates({ folder, hosts }: Site): Promise<void> {
  const tool = process.env.WEFT_BENCH_NEBULA_CERT ?? 'nebula-cert';
  const at = (name: string) => join(folder, name);
  const authority = ['-out-crt', at('ca.crt'), '-out-key', at('ca.key')];
  await execute([tool, 'ca', '-name', 'bench', ...authority]);
  for (const side of SIDES) {
    const { name } = hosts[side];
    const files = ['-out-crt', at(`${name}.crt`), '-out-key', at(`${name}.key`)];
    const signer = ['-ca-crt', at('ca.crt'), '-ca-key', at('ca.key')];
    const about = ['-name', name, '-ip', `${TUNNEL[side]}/24`, '-subnets', NETS[side]];
    await execute([tool, 'sign', ...about, ...signer, ...files]);
  }
}

function configOf({ folder, hosts }: Site, side: Side): unknown {
  const { name } = hosts[side];
  const other = far(side);
  const anything = [{ port: 'any', proto: 'any', host: 'any' }];
  return {
    pki: { ca: join(folder, 'ca.crt'), cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) },
    static_host_map: { [TUNNEL[other]]: [`${WIRE[other]}:4242`] },
    lighthouse: { am_lighthouse: false, hosts: [] },
    listen: { host: '0.0.0.0', port: 4242 },
    cipher: 'aes',
    tun: { dev: 'neb0', mtu: MTU, unsafe_routes: [{ route: NETS[other], via: TUNNEL[other] }] },
    logging: { level: 'warning' },
    firewall: { outbound: anything, inbound: anything },
  };
}
