/**
 * `npm run demo`: the whole of Weft on one machine, in about half a minute.
 *
 *       c1                       c2                       c3          containers (network namespaces)
 *    10.32.…│ eth0            10.32.…│ eth0            10.32.…│ eth0
 *       ┌───┴───┐                ┌───┴───┐                ┌───┴───┐
 *       │  h1   │ weft up        │  h2   │ weft join      │  h3   │   hosts, each with its own weftd
 *       └───┬───┘                └───┬───┘                └───┬───┘
 *   198.18.0.1 └────────────── wire ─┴────── capture ─────────┘       encrypted: UDP port 6783
 *
 * Exits with 0 only if everything held.
 */

import { startCapture } from './capture.ts';
import { execute } from './command.ts';
import { createLab, type Lab } from './create.ts';
import { drawing } from './drawing.ts';
import { printedEcho } from './echo.ts';
import type { LabHost } from './host.ts';
import { joinAll } from './mesh.ts';
import type { Namespace } from './namespace.ts';
import { createReport } from './report.ts';
import { difference, snapshot } from './snapshot.ts';
import { addressOf, ping, reaches, say, serveEcho, stream } from './traffic.ts';
import { until } from './wait.ts';

/** Longest time that the demonstration may take, in seconds. */
const LIMIT = 90;
const ECHO_PORT = 7007;
/** Fill of the pings and text of the TCP connections: what a listener on the wire must not find. */
const PING_SECRET = 'inner-ping-text!';
const TCP_SECRET = 'a sentence that only containers may read. ';
/** Sent openly between two hosts, so that the search is seen to find what can be found. */
const OPEN_TEXT = 'a sentence that anybody on the wire may read';

interface Place {
  readonly host: LabHost;
  readonly sandbox: Namespace;
  readonly address: string;
}

const report = createReport();
const echo = printedEcho((line) => report.say(`   ${line}`));

try {
  await demonstrate();
} catch (error) {
  report.check(error instanceof Error ? error.message : String(error), false);
}
conclude();

async function demonstrate(): Promise<void> {
  const machine = await snapshot(execute);
  report.step('three hosts on one switch, a container on each');
  const lab = await createLab({ hosts: 3, echo });
  try {
    const sandboxes: Namespace[] = [];
    for (const host of lab.hosts) sandboxes.push(await lab.sandbox(host.name.replace('h', 'c')));
    const before = await Promise.all(lab.hosts.map((host) => stackOf(host)));
    report.say(`   hosts ${lab.hosts.map((host) => `${host.name} ${host.address}`).join(', ')}`);
    await useMesh(lab, sandboxes);
    await takeDown(lab.hosts, before);
  } catch (error) {
    report.say(await drawing(lab.hosts));
    throw error;
  } finally {
    lab.close();
  }
  await asBefore('this machine', machine, () => snapshot(execute));
}

async function useMesh(lab: Lab, sandboxes: readonly Namespace[]): Promise<void> {
  const capture = await startCapture(lab.wire.namespace, `${lab.folder}/wire.pcap`, 320);
  const [first, second] = [lab.host(1), lab.host(2)];
  await first.run(['bash', '-c', `echo '${OPEN_TEXT}' > /dev/udp/${second.address}/9`], {
    say: 'send one line to h2 without Weft',
  });

  report.step('one mesh: weft up on the first host, one pasted line on the others');
  const began = performance.now();
  await joinAll(lab.hosts);
  const places = await attachAll(lab.hosts, sandboxes);
  await reaches(places[0]?.sandbox as Namespace, places[1]?.address ?? '');
  const seconds = (performance.now() - began) / 1_000;
  report.check('from nothing to the first ping between containers', true, `${seconds.toFixed(2)} s`);

  report.step('every container reaches every other');
  await pingAll(places);
  await sendText(places);
  await measureAll(places);

  report.step('what a listener on the wire saw');
  await capture.stop();
  const sealed = await capture.count('udp port 6783');
  report.check('the capture holds packets of the encrypted path', sealed > 100, `${sealed} on UDP port 6783`);
  report.check('the line sent without Weft is found in it', await capture.holds(OPEN_TEXT));
  report.check('the text of the pings is not', !(await capture.holds(PING_SECRET)));
  report.check('the text of the TCP connections is not', !(await capture.holds(TCP_SECRET)));
  const bare = await capture.count('net 10.32.0.0/12');
  report.check('no packet carries an address of the mesh outside', bare === 0, `${bare} packets`);

  report.step('weft status on each host');
  for (const host of lab.hosts) await showStatus(host, lab.hosts.length);
}

async function attachAll(hosts: readonly LabHost[], sandboxes: readonly Namespace[]): Promise<Place[]> {
  return Promise.all(
    hosts.map(async (host, index) => {
      const sandbox = sandboxes[index] as Namespace;
      await host.weft(['attach', sandbox.path]);
      const address = await addressOf(sandbox);
      report.check(`${sandbox.name} on ${host.name} has the address ${address}`, address.startsWith('10.'));
      return { host, sandbox, address };
    }),
  );
}

function pairs(places: readonly Place[]): [Place, Place][] {
  return places.flatMap((from) => places.filter((to) => to !== from).map((to): [Place, Place] => [from, to]));
}

async function pingAll(places: readonly Place[]): Promise<void> {
  for (const [from, to] of pairs(places)) {
    // The first packet towards a peer waits for the keys; that is the next line's business, not this one's.
    await reaches(from.sandbox, to.address);
    const { sent, received, average } = await ping(from.sandbox, to.address, {
      pattern: PING_SECRET,
      say: null,
    });
    report.check(
      `ping ${from.sandbox.name} → ${to.sandbox.name}`,
      received === sent,
      `${received} of ${sent}, ${average.toFixed(2)} ms`,
    );
  }
}

async function sendText(places: readonly Place[]): Promise<void> {
  const text = TCP_SECRET.repeat(100);
  const servers = await Promise.all(places.map(({ sandbox }) => serveEcho(sandbox, ECHO_PORT)));
  for (const [from, to] of pairs(places).filter((_, index) => index % 2 === 0)) {
    const answer = await say(from.sandbox, to.address, ECHO_PORT, text);
    report.check(`TCP ${from.sandbox.name} → ${to.sandbox.name} and back`, answer.startsWith(text));
  }
  await Promise.all(servers.map((server) => server.stop()));
}

async function measureAll(places: readonly Place[]): Promise<void> {
  for (const [from, to] of pairs(places)) {
    const { bitsPerSecond: rate } = await stream(from.sandbox, to.sandbox, to.address);
    const detail = `${(rate / 1e9).toFixed(2)} Gbit/s, while the wire is being captured`;
    report.check(`iperf3 ${from.sandbox.name} → ${to.sandbox.name}`, rate > 0, detail);
  }
}

async function showStatus(host: LabHost, size: number): Promise<void> {
  const { stdout, status } = await host.weft(['status'], { check: false });
  for (const line of stdout.trimEnd().split('\n')) report.say(`     ${line}`);
  const { phase, peers } = await host.status();
  const up = peers.filter((peer) => peer.state === 'up' && peer.path.kind === 'encrypted').length;
  report.check(
    `${host.name} is ${phase.state}, ${up} peers on the encrypted path`,
    status === 0 && up === size - 1,
  );
}

async function takeDown(hosts: readonly LabHost[], before: readonly string[][]): Promise<void> {
  report.step('weft down: every host as it was before');
  for (const [index, host] of hosts.entries()) {
    await host.weft(['down']);
    await until(`weftd on ${host.name} to end`, async () => (await host.daemon()) === undefined);
    await asBefore(host.name, before[index] ?? [], () => stackOf(host));
  }
}

function stackOf(host: Namespace): Promise<string[]> {
  return snapshot((argv) => host.run(argv, { say: null }));
}

async function asBefore(
  name: string,
  before: readonly string[],
  now: () => Promise<string[]>,
): Promise<void> {
  const changes = difference(before, await now());
  for (const line of changes.slice(0, 20)) report.say(`     ${line}`);
  const what = `${name}: links, addresses, routes, rules, nftables and ${before.length} lines in all are as before`;
  report.check(what, changes.length === 0);
}

function conclude(): void {
  const seconds = report.elapsed();
  report.step('result');
  report.check(`done in less than ${LIMIT} s`, Number(seconds) < LIMIT, `${seconds} s`);
  if (report.failures.length === 0) report.say('   all of it held');
  else report.say(`   DID NOT HOLD: ${report.failures.join('; ')}`);
  process.exitCode = report.failures.length === 0 ? 0 : 1;
}
