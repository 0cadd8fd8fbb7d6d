/**
 * `node test/bench/rule-cost.ts`: nanoseconds that the tables of nftables add to one packet of VXLAN on the host's side, and what the programs
 * of the shortcut take for one. Both are little and the machine's load is not, so each is the least of nine rounds, in processor time.
 */
import { join } from 'node:path';
import { createMap, loadProgram, setEntry, testRun } from '../../src/host/bpf.ts';
import { createFirewall } from '../../src/host/firewall.ts';
import { createAdmission } from '../../src/host/firewall-vxlan.ts';
import { readAddress } from '../../src/host/ipv4.ts';
import { hostNamespace } from '../../src/host/namespace.ts';
import { createShortcutCounts } from '../../src/host/shortcut-counts.ts';
import { type Entry, placesOfEndpoints, placesOfWays } from '../../src/host/shortcut-places.ts';
import { containerProgram, leavingProgram } from '../../src/host/shortcut-programs.ts';
import { CONTEXT, OWNER, PLACE } from '../../src/host/shortcut-steps.ts';
import type { FastPathPlan } from '../../src/ports/host.ts';
import { createNamespaces } from '../hosts/namespaces.ts';
import { execute } from '../lab/command.ts';
import { linkState } from '../unit/support/link-state.ts';

const PORT = 4789;
const COUNT = '40000';
const MESH = { device: 'weft0', range: readAddress('10.32.0.0/12') };
const PLAN: FastPathPlan = {
  vni: 7_824_742,
  port: PORT,
  mac: '06:00:00:00:00:01',
  linkLocal: 'fe80::1',
  own: [readAddress('10.32.0.0/13')],
  peers: [
    {
      underlay: '127.0.0.1',
      mac: '06:00:00:00:00:07',
      linkLocal: 'fe80::7',
      ranges: [readAddress('10.40.0.0/13')],
      mtu: 1400,
    },
  ],
};

await rules();
programs();

async function rules(): Promise<void> {
  const net = await createNamespaces();
  try {
    const tool = join(net.stateDirectory, 'rule-cost');
    const source = join(import.meta.dirname, 'rule-cost.cc');
    await execute(['g++', '-std=c++20', '-O2', '-o', tool, source]);
    await net.run('host', 'ip', 'link', 'set', 'lo', 'up');
    const measure = async () => Number(await net.run('host', tool, `${PORT}`, COUNT));
    const host = hostNamespace(net.hostPath);
    const [firewall, admission] = [createFirewall(host), createAdmission(host)];
    const none = await measure();
    const added = async (what: string) => console.log(`${what}: +${(await measure()) - none} ns`);
    console.log(`no rules: ${none} ns`);
    await firewall.raise(MESH, []);
    await added('inet weft');
    await firewall.remove();
    await admission.raise(PLAN, false);
    await added('ip weft_vxlan, both directions, looking inside');
    await admission.raise(PLAN, true);
    await added('ip weft_vxlan, both directions, where programs look inside and count');
  } finally {
    await net.close();
  }
}

/** What a packet from a container to another host meets. */
function programs(): void {
  const value = { valueSize: PLACE.size, entries: 1 << 17 };
  const owned = { valueSize: OWNER.size, entries: 1 };
  const counts = createShortcutCounts(1);
  counts.follow(PLAN.peers);
  const maps = {
    gate: createMap({ kind: 'array', name: 'gate', keySize: 4, valueSize: 4, entries: 1 }),
    endpoints: createMap({ kind: 'hash', name: 'endpoints', keySize: 4, ...value }),
    ways: createMap({ kind: 'prefixes', name: 'ways', keySize: 8, ...value }),
    owners: createMap({ kind: 'prefixes', name: 'owners', keySize: 8, ...owned }),
    received: counts.received,
    sent: counts.sent,
  };
  const link = (index: number, name: string) => linkState(index, name, { mac: '0e:00:00:00:00:01' });
  const links = [link(31, 'weft-vxlan'), link(32, 'weft0')];
  const here = {
    link: link(1, 'here'),
    address: readAddress('10.32.0.5/32').start,
    mac: '0a:00:00:00:00:01',
  };
  const view = { ...MESH, links, endpoints: [here], exposed: [], apart: [], fast: PLAN };
  const fill = (map: number, entries: readonly Entry[]) => {
    for (const { key, value } of entries) setEntry(map, key, value);
  };
  fill(maps.endpoints, placesOfEndpoints(view));
  fill(maps.ways, placesOfWays(view));
  setEntry(maps.gate, new Uint8Array(4), Uint8Array.of(1, 0, 0, 0));
  const packet = new Uint8Array(114);
  packet.set([0x08, 0, 0x45, 0, 0, 100, 0, 0, 0, 0, 255, 6, 0, 0, 10, 32, 0, 5, 10, 40, 0, 1], 12);
  console.log(`program at a container's link: ${costOf(containerProgram(maps), packet)} ns`);
  packet.set([6, 0, 0, 0, 0, 7]);
  console.log(`program at the exit of the VXLAN device: ${costOf(leavingProgram(maps), packet)} ns`);
}

/** Nanoseconds. */
function costOf(instructions: Uint8Array, packet: Uint8Array): number {
  const program = loadProgram('measured', instructions);
  // Each time is a hop of the same packet.
  const runs = Array.from({ length: 9 }, () => testRun(program, packet, new Uint8Array(CONTEXT.size), 200));
  return Math.min(...runs.map(({ nanoseconds }) => nanoseconds));
}
