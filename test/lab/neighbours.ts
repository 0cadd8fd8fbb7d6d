import type { LabHost } from './host.ts';

/**
 * Tells each host the link addresses of all others, for good. A kernel keeps at most 1,024 neighbours that it has found out itself, of all
 * namespaces together (gc_thresh3 in arp(7)): fifty hosts that all talk to each other have 2,450, and what finds no room is lost.
 */
export async function introduce(hosts: readonly LabHost[]): Promise<void> {
  const links = new Map<LabHost, string>();
  for (const host of hosts) links.set(host, await linkAddress(host));
  for (const host of hosts) {
    const lines = [...links].flatMap(([{ address, address6 }, link]) =>
      [address, address6].map((one) => `neighbour replace ${one} lladdr ${link} dev eth0 nud permanent\n`),
    );
    await host.run(['ip', '-batch', '-'], { input: lines.join(''), say: null });
  }
}

async function linkAddress(host: LabHost): Promise<string> {
  const { stdout } = await host.run(['ip', '-json', 'link', 'show', 'eth0'], { say: null });
  return (JSON.parse(stdout) as [{ address: string }])[0].address;
}
