/*
 * SECURITY.md 14: endpoints of different networks do not reach each other, whatever they send; those of one network do.
 *
 *   red1  10.33.1.5 ──┐                               ┌── red2  10.33.1.200
 *   blue1 10.33.2.5 ──┤ host 192.0.2.1 ── 192.0.2.2 other ├── blue2 10.33.2.200
 *   weft1 10.32.0.5 ──┘      exposed 10.32.0.9        └── weft2 10.40.0.5
 *
 * Between the hosts lies a plain route in place of the data path: what it carries is not the point, only that it is forwarded.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { EndpointId } from '../../src/core/ids.ts';
import { createLinuxHost } from '../../src/host/linux.ts';
import type { Host } from '../../src/ports/host.ts';
import { silentLog } from '../hosts/log.ts';
import { createNamespaces, type Namespaces, needsRoot } from '../hosts/namespaces.ts';
import { until } from '../lab/wait.ts';

const MESH = { device: 'weft0', range: '10.32.0.0/12', mtu: 1400 };
const NETWORKS = ['10.33.1.0/24', '10.33.2.0/24'];
const COUNT = 3;

const PLACES = {
  red1: '10.33.1.5/24',
  red3: '10.33.1.6/24',
  blue1: '10.33.2.5/24',
  weft1: '10.32.0.5/12',
} as const;
type Place = keyof typeof PLACES;

/** Sends a datagram, or opens a connection, and prints what came back; nothing within a moment prints nothing. */
const SPEAK = `
const [kind, address, source] = process.argv.slice(1);
const done = (text) => { console.log(text); process.exit(0); };
setTimeout(() => done('nothing'), 400);
if (kind === 'udp') {
  const socket = require('dgram').createSocket('udp4');
  socket.on('message', (text) => done(String(text))).on('error', () => {});
  socket.bind(0, source, () => { for (let i = 0; i < 3; i++) socket.send('hello', 7007, address, () => {}); });
} else {
  const socket = require('net').connect({ port: 7007, host: address, localAddress: source });
  socket.on('data', (text) => done(String(text))).on('error', () => {});
}`;

/** Counts what arrives, and answers it. */
const LISTEN = `
const udp = require('dgram').createSocket('udp4');
udp.on('message', (text, from) => { console.log('udp ' + from.address); udp.send('heard', from.port, from.address); });
require('net').createServer((socket) => {
  console.log('tcp ' + socket.remoteAddress);
  socket.on('error', () => {}).write('heard');
}).listen(7007, '0.0.0.0', () => udp.bind(7007, () => console.log('ready')));`;

for (const shortcut of [true, false]) {
  const how = shortcut ? 'with the shortcut' : 'by the firewall alone';
  describe(`networks, ${how}`, { skip: needsRoot }, () => attacks(shortcut));
}

function attacks(shortcut: boolean): void {
  let net: Namespaces;
  let host: Host;
  const names = new Map<Place, string>();
  const links = new Map<Place, string>();
  const at = (place: Place) => names.get(place) as string;
  const addressOf = (place: Place) => PLACES[place].split('/')[0] as string;
  const ip = (namespace: string, line: string) => net.run(namespace, 'ip', ...line.split(' '));

  beforeEach(async () => {
    net = await createNamespaces();
    await net.run('host', 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
    await ip('host', 'link set lo up');
    host = createLinuxHost({
      stateDirectory: net.stateDirectory,
      netns: net.hostPath,
      shortcut,
      log: silentLog,
    });
    await host.prepare(MESH);
    await host.setNetworks(NETWORKS);
    for (const [place, address] of Object.entries(PLACES) as [Place, string][]) {
      names.set(place, await net.add(place));
      const plan = { endpoint: place as string as EndpointId, sandbox: at(place), address, mtu: 1400 };
      links.set(place, (await host.plug(plan)).hostLink);
      // A way to everything: what keeps networks apart must not be that a container has no route.
      await ip(at(place), 'route replace 10.32.0.0/12 dev eth0');
    }
    await host.setHostAddresses([{ address: '10.32.0.9/12' }]);
  });
  afterEach(() => net.close());

  const echoes = (place: Place) => counted(at(place), 'Icmp', 'InEchos');

  /** By RFC 2011's names. */
  async function counted(namespace: string, protocol: string, counter: string): Promise<number> {
    const text = await net.run(namespace, 'cat', '/proc/net/snmp');
    const [names = [], values = []] = text
      .split('\n')
      .filter((line) => line.startsWith(`${protocol}: `))
      .map((line) => line.split(' '));
    return Number(values[names.indexOf(counter)]);
  }

  /** Echo requests that arrive. */
  async function pings(from: Place, to: Place, ...more: string[]): Promise<number> {
    const before = await echoes(to);
    const words = ['-n', '-q', '-c', String(COUNT), '-i', '0.01', '-W', '0.3', ...more, addressOf(to)];
    await net.run(at(from), 'ping', ...words).catch(() => '');
    return (await echoes(to)) - before;
  }

  const PAIRS: readonly (readonly [Place, Place])[] = [
    ['red1', 'blue1'],
    ['blue1', 'red1'],
    ['red1', 'weft1'],
    ['weft1', 'red1'],
    ['weft1', 'blue1'],
    ['blue1', 'weft1'],
  ];

  test('inside of a network packets flow, between networks none does, in either direction', async () => {
    assert.equal(await pings('red1', 'red3'), COUNT);
    assert.equal(await pings('red3', 'red1'), COUNT);
    const routed = await counted('host', 'Ip', 'ForwDatagrams');
    assert.equal(routed === 0, shortcut, 'by the shortcut where there is one');
    for (const [from, to] of PAIRS) assert.equal(await pings(from, to), 0, `${from} to ${to}`);
    await host.setNetworks([]);
    for (const [from, to] of PAIRS) {
      assert.equal(await pings(from, to), COUNT, `${from} to ${to} is kept apart by nothing else`);
    }
  });

  test('neither TCP nor UDP gets through, and not one datagram arrives', async (t) => {
    const ear = await listenAt(at('blue1'));
    t.after(ear.stop);
    const speak = (from: Place, kind: string, to: Place) =>
      net.run(at(from), process.execPath, '-e', SPEAK, kind, addressOf(to), addressOf(from));
    for (const kind of ['udp', 'tcp']) {
      for (const from of ['red1', 'weft1'] as const) {
        assert.equal((await speak(from, kind, 'blue1')).trim(), 'nothing', `${kind} from ${from}`);
      }
    }
    assert.deepEqual(ear.heard(), []);
    await host.setNetworks([NETWORKS[0] as string]);
    assert.equal((await speak('weft1', 'udp', 'blue1')).trim(), 'heard');
    assert.equal((await speak('weft1', 'tcp', 'blue1')).trim(), 'heard');
  });

  test("a source that is not the endpoint's own does not open another network", async () => {
    await ip(at('red1'), 'address add 10.33.2.77/32 dev eth0');
    await net.run('host', 'sysctl', '-qw', `net.ipv4.conf.${links.get('red1')}.rp_filter=0`);
    assert.equal(await pings('red1', 'blue1', '-I', '10.33.2.77'), 0);
    assert.equal(await pings('red1', 'weft1', '-I', '10.33.2.77'), 0);
  });

  test('what comes from another host by the device is held to the same', async () => {
    const remote = await net.add('remote');
    // In place of the data path: a wire in the group of the mesh's links, with a route for what other hosts own.
    await ip('host', `link add wire group 173 type veth peer name wire netns ${remote}`);
    await ip('host', 'link set wire up');
    await ip(remote, 'link set wire up');
    await ip(remote, 'link set lo up');
    const [{ address: mac }] = JSON.parse(await ip('host', '-j link show dev wire'));
    await ip(remote, 'address add 10.33.1.200/32 dev wire');
    await ip(remote, 'address add 10.33.2.200/32 dev wire');
    await ip(remote, 'address add 10.40.0.5/32 dev wire');
    await ip(remote, 'route add 10.32.0.0/12 dev wire');
    for (const place of Object.keys(PLACES) as Place[]) {
      await ip(remote, `neighbour add ${addressOf(place)} lladdr ${mac} dev wire nud permanent`);
    }
    const [{ address: back }] = JSON.parse(await ip(remote, '-j link show dev wire'));
    for (const far of ['10.33.1.200', '10.33.2.200', '10.40.0.5']) {
      await ip('host', `route replace ${far} dev wire proto 173 table 173`);
      await ip('host', `neighbour add ${far} lladdr ${back} dev wire nud permanent`);
      await net.run('host', 'nft', 'add', 'element', 'inet', 'weft', 'endpoints', `{ wire . ${far} }`);
    }
    const from = async (source: string, to: Place): Promise<number> => {
      const before = await echoes(to);
      const words = ['-n', '-q', '-c', String(COUNT), '-i', '0.01', '-W', '0.3', '-I', source, addressOf(to)];
      await net.run(remote, 'ping', ...words).catch(() => '');
      return (await echoes(to)) - before;
    };
    assert.equal(await from('10.33.1.200', 'red1'), COUNT);
    assert.equal(await from('10.33.2.200', 'blue1'), COUNT);
    assert.equal(await from('10.40.0.5', 'weft1'), COUNT);
    for (const [source, to] of [
      ['10.33.1.200', 'blue1'],
      ['10.33.1.200', 'weft1'],
      ['10.33.2.200', 'red1'],
      ['10.40.0.5', 'red1'],
      ['10.40.0.5', 'blue1'],
    ] as const) {
      assert.equal(await from(source, to), 0, `${source} to ${to}`);
    }
  });

  test('the host reaches endpoints of all networks, and they answer it', async () => {
    for (const place of Object.keys(PLACES) as Place[]) {
      const output = await net.run('host', 'ping', '-n', '-q', '-c', '1', '-W', '1', addressOf(place));
      assert.match(output, / 1 received/, place);
    }
  });

  test('while rules change again and again not one packet gets from one network into another', async () => {
    const before = await echoes('blue1');
    const flood = net.start(at('red1'), 'ping', '-n', '-q', '-i', '0.002', addressOf('blue1'));
    const more = ['10.34.0.0/24', '10.35.0.0/24', '10.36.0.0/16'];
    for (let round = 0; round < 20; round += 1) {
      await host.setNetworks([...NETWORKS, ...more.slice(0, round % 4)]);
      if (round % 5 === 0) {
        const next = createLinuxHost({
          stateDirectory: net.stateDirectory,
          netns: net.hostPath,
          shortcut,
          log: silentLog,
        });
        await next.prepare(MESH);
      }
    }
    flood.stop();
    assert.equal((await echoes('blue1')) - before, 0);
    assert.equal(await pings('red1', 'red3'), COUNT);
  });

  test('a firewall that is flushed again and again lets nothing forbidden through, and is back each time', async (t) => {
    const unguard = await host.guard();
    t.after(unguard);
    const tables = async () => {
      const lines = (await net.run('host', 'nft', 'list', 'tables')).trim().split('\n');
      // Behind the name of an owned one stands its owner.
      return lines.map((line) => line.replace(/ *#.*/, '')).sort();
    };
    const whole = await tables();
    assert.ok(whole.includes('table inet weft-networks') && whole.includes('table inet weft-held'));
    const before = await Promise.all([echoes('blue1'), echoes('weft1')]);
    const floods = (['blue1', 'weft1'] as const).map((to) =>
      net.start(at('red1'), 'ping', '-n', '-q', '-i', '0.002', addressOf(to)),
    );
    for (let round = 0; round < 20; round += 1) {
      await net.run('host', 'nft', 'flush', 'ruleset');
      await until('the rules to be back', async () => (await tables()).join() === whole.join());
    }
    for (const flood of floods) flood.stop();
    assert.deepEqual(await Promise.all([echoes('blue1'), echoes('weft1')]), before);
    assert.equal(await pings('red1', 'red3'), COUNT);
    await host.setNetworks([NETWORKS[0] as string]);
    assert.equal(await pings('blue1', 'weft1'), COUNT, 'what is held follows what is wanted');
    await unguard();
    assert.doesNotMatch((await tables()).join(), /held/);
    assert.equal(await pings('red1', 'weft1'), 0, 'the tables that stay are enough without a guard');
    await net.run('host', 'nft', 'flush', 'ruleset');
    assert.equal(
      await pings('red1', 'weft1'),
      COUNT,
      'without guard and rules it is open: this test shows something',
    );
  });
}

/** Starts LISTEN; resolves when it listens. */
async function listenAt(namespace: string) {
  const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, '-e', LISTEN], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  const output = createInterface({ input: child.stdout });
  await once(output, 'line');
  output.on('line', (line) => lines.push(line));
  return { heard: () => lines, stop: () => void child.kill('SIGKILL') };
}
