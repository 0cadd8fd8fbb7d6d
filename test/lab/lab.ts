/** `npm run lab`: the hosts of the demonstration, joined and with a container on each, left up to look around in. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { readArguments, wholeNumber } from '../arguments.ts';
import { createLab, type Lab } from './create.ts';
import { printedEcho } from './echo.ts';
import { type LabHost, WEFT } from './host.ts';
import { converged, joinAll } from './mesh.ts';
import type { Namespace } from './namespace.ts';
import { leftovers, tearDown } from './teardown.ts';
import { addressOf } from './traffic.ts';

const HELP = `Hosts, joined and with a container on each, left up to look around in; prints how to enter them.

  npm run lab -- [options]

  --hosts N      default 3, at most 20
  --bare         without weft up and join
  --down         takes down what earlier labs left
  --help
`;
const { values } = readArguments(HELP, {
  options: {
    hosts: { type: 'string', default: '3' },
    bare: { type: 'boolean', default: false },
    down: { type: 'boolean', default: false },
  },
});

if (values.down) down();
else await up(wholeNumber('--hosts', values.hosts, { most: 20 }), values.bare);

function down(): void {
  const labs = leftovers();
  for (const { id } of labs) tearDown(id);
  console.log(labs.length > 0 ? `took down ${labs.map((lab) => lab.id).join(', ')}` : 'no lab is up');
}

async function up(count: number, bare: boolean): Promise<void> {
  const lab = await createLab({ hosts: count, echo: printedEcho() });
  const lines: string[] = [];
  if (!bare) await joinAll(lab.hosts);
  for (const host of lab.hosts) {
    const sandbox = await lab.sandbox(host.name.replace('h', 'c'));
    if (!bare) await host.weft(['attach', sandbox.path]);
    lines.push(
      entrance(lab, host),
      `${sandbox.name}  ${bare ? '(not attached)' : await addressOf(sandbox)}  ${shell(sandbox)}`,
    );
  }
  if (!bare) await converged(lab.hosts);
  lab.keep();
  console.log(`\nThe lab ${lab.id} is up. To enter a host or a container:\n\n  ${lines.join('\n  ')}\n`);
  console.log('On a host, `weft status` and the other commands talk to that host’s daemon.');
  console.log('To take it down: npm run lab -- --down');
}

function shell(namespace: Namespace): string {
  return `ip netns exec ${namespace.path} bash`;
}

/** A script for each host that opens a shell (or runs a command) in which `weft` is that host's. */
function entrance(lab: Lab, host: LabHost): string {
  const bin = `${lab.folder}/bin`;
  mkdirSync(bin, { recursive: true });
  writeFileSync(`${bin}/weft`, `#!/bin/sh\nexec ${WEFT.join(' ')} "$@"\n`, { mode: 0o755 });
  const path = `${lab.folder}/${host.name}/enter`;
  const text = `#!/bin/sh
export WEFT_STATE=${host.stateFolder} WEFT_SOCKET=${host.socket} PATH=${bin}:$PATH PS1='${host.name}# '
[ $# = 0 ] && set -- bash --norc
exec ip netns exec ${host.path} unshare --uts sh -c 'hostname ${host.name} && exec "$@"' sh "$@"
`;
  writeFileSync(path, text, { mode: 0o755 });
  return `${host.name}  ${host.address}  ${path}`;
}
