import { readFile } from 'node:fs/promises';
import type { LabHost } from './host.ts';

/** What each host looks like now, for a person who must find out what went wrong. */
export async function drawing(hosts: readonly LabHost[]): Promise<string> {
  return (await Promise.all(hosts.map(drawHost))).join('\n');
}

async function drawHost(host: LabHost): Promise<string> {
  const look = (argv: readonly string[]) =>
    host.run(argv, { say: null, check: false }).then(({ stdout, stderr }) => stdout + stderr);
  const log = await readFile(`${host.stateFolder}/weftd.log`, 'utf8').catch(() => '(no log)');
  const { stdout, stderr } = await host.weft(['status'], { say: null, check: false });
  const parts = {
    'weft status': stdout + stderr,
    'ip -br address': await look(['ip', '-br', 'address']),
    'ip route': await look(['ip', 'route']),
    'weftd.log (end)': log.split('\n').slice(-25).join('\n'),
  };
  const text = Object.entries(parts).map(([name, part]) => `${host.name}: ${name}\n${part.trimEnd()}`);
  return text.join('\n').replaceAll('\n', '\n  │ ');
}
