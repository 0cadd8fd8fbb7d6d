import assert from 'node:assert/strict';
import type { DockerHost } from '../lab/docker-host.ts';
import { converged, join, tokenIn } from '../lab/mesh.ts';
import { until } from '../lab/wait.ts';
import { story } from './story.ts';
import { addressIn, createNetwork, hasNetwork, hasNoTraces, meshed, pings, reads, sleeper } from './weft.ts';

/** What Docker says to a command that it refuses. */
async function refusal(host: DockerHost, ...words: string[]): Promise<string> {
  const { status, stderr } = await host.docker(words, { check: false });
  assert.notEqual(status, 0, `docker ${words.join(' ')} was taken`);
  return stderr;
}

const WITH_DRIVERS = ['network', 'create', '-d', 'weft', '--ipam-driver', 'weft'];

story(
  'a network has the subnet, gateway, range and set-aside addresses that it was given',
  {},
  async (lab) => {
    await meshed(lab);
    const [one, two] = [lab.host(1), lab.host(2)];
    await createNetwork(
      one,
      'app',
      ...['--subnet', '10.34.0.0/16', '--gateway', '10.34.0.1', '--ip-range', '10.34.5.0/24'],
      ...['--aux-address', 'router=10.34.5.1', '--opt', 'com.docker.network.driver.mtu=1300'],
    );
    await hasNetwork(two, 'app');
    const first = await sleeper(one, 'app', 'c1');
    assert.match(first, /^10\.34\.5\.\d+$/);
    assert.notEqual(first, '10.34.5.1');
    const mtu = await one.ask('exec', 'c1', 'cat', '/sys/class/net/eth0/mtu');
    assert.equal(mtu, '1300');

    const second = await sleeper(two, 'app', 'c2', '--ip', '10.34.9.9', '--mac-address', '02:11:22:33:44:55');
    assert.equal(second, '10.34.9.9');
    assert.equal(await two.ask('exec', 'c2', 'cat', '/sys/class/net/eth0/address'), '02:11:22:33:44:55');
    assert.ok(await pings(one, 'c1', second));
    const taken = await refusal(one, 'run', '--rm', '--network', 'app', '--ip', '10.34.9.9', 'busybox');
    assert.match(taken, /weft: .*10\.34\.9\.9/);
    assert.match(
      await refusal(one, 'run', '--rm', '--network', 'app', '--ip', '10.34.5.1', 'busybox'),
      /set aside/,
    );

    const overlap = await refusal(two, ...WITH_DRIVERS, '--subnet', '10.34.128.0/17', 'other');
    assert.match(overlap, /weft: .*10\.34\.0\.0\/16.*app/);
    assert.match(
      await refusal(two, ...WITH_DRIVERS, '--subnet', '192.168.0.0/24', 'other'),
      /10\.32\.0\.0\/12/,
    );
  },
);

story('what weft cannot do is refused with what to do instead', { hosts: 1 }, async (lab) => {
  await meshed(lab);
  const host = lab.host(1);
  const plain = await refusal(host, 'network', 'create', '-d', 'weft', 'app');
  assert.match(plain, /docker network create -d weft --ipam-driver weft/);
  assert.match(await refusal(host, ...WITH_DRIVERS, '--ipv6', '--subnet', 'fd00::/64', 'app'), /IPv6/);
  const { ipam } = await host.status();
  assert.equal(ipam?.allocated, 0);
});

story('a container is on several networks, and connects and disconnects while it runs', {}, async (lab) => {
  await meshed(lab);
  const [one, two] = [lab.host(1), lab.host(2)];
  for (const name of ['front', 'back']) {
    await createNetwork(one, name);
    await hasNetwork(two, name);
  }
  const front = await sleeper(two, 'front', 'f2');
  const back = await sleeper(two, 'back', 'b2');
  await sleeper(one, 'front', 'c1');
  assert.ok(await pings(one, 'c1', front));
  assert.equal(await pings(one, 'c1', back), false, 'not on the network');

  await one.ask('network', 'connect', '--alias', 'middle', 'back', 'c1');
  assert.ok(await pings(one, 'c1', back), 'after connect');
  const address = await addressIn(one, 'back', 'c1');
  assert.ok(await pings(two, 'b2', address));
  await one.ask('network', 'disconnect', 'front', 'c1');
  assert.ok(await pings(one, 'c1', back), 'the other network goes on');
  assert.equal(await pings(one, 'c1', front), false, 'after disconnect');

  await one.ask('create', '--name', 'c2', '--network', 'front', 'busybox', 'sleep', '1000');
  await one.ask('network', 'connect', 'back', 'c2');
  await one.ask('start', 'c2');
  assert.ok((await pings(one, 'c2', front)) && (await pings(one, 'c2', back)), 'both from the start');
  await Promise.all([one.ask('rm', '-f', 'c1', 'c2'), two.ask('rm', '-f', 'f2', 'b2')]);
  await Promise.all([hasNoTraces(one), hasNoTraces(two)]);
});

story(
  'containers reach what lies beyond their host and publish ports; those of an internal network do neither',
  {},
  async (lab) => {
    await meshed(lab);
    const [one, two] = [lab.host(1), lab.host(2)];
    await createNetwork(one, 'app');
    await createNetwork(one, 'closed', '--internal');
    await Promise.all([hasNetwork(two, 'app'), hasNetwork(two, 'closed')]);
    const serve = ['busybox', 'httpd', '-f', '-h', '/etc'];
    await two.ask('run', '-d', '--name', 'open', '--network', 'app', '-p', '8080:80', ...serve);
    await two.ask('run', '-d', '--name', 'shut', '--network', 'closed', '-p', '8081:80', ...serve);
    const page = (port: number) => `http://${two.address}:${port}/hostname`;

    await sleeper(one, 'app', 'c1');
    const inside = await two.ask('exec', 'open', 'hostname');
    assert.equal(await reads(one, 'c1', page(8080)), inside, 'out of one host and into the other');
    const fromWire = await one.run(['busybox', 'timeout', '3', 'busybox', 'wget', '-qO-', page(8080)]);
    assert.equal(fromWire.stdout.trim(), inside);

    await sleeper(one, 'closed', 'c2');
    assert.equal(await reads(one, 'c2', page(8080)), undefined, 'no way out');
    const refused = await one.run(['busybox', 'timeout', '1', 'busybox', 'wget', '-qO-', page(8081)], {
      check: false,
    });
    assert.notEqual(refused.status, 0, 'no way in');
    const address = await addressIn(two, 'closed', 'shut');
    assert.equal(
      await reads(one, 'c2', `http://${address}/hostname`),
      await two.ask('exec', 'shut', 'hostname'),
    );
    assert.doesNotMatch(await two.ask('exec', 'shut', 'ip', 'route'), /default|eth1/);
  },
);

story('a host whose FORWARD chain Docker has closed carries traffic all the same', {}, async (lab) => {
  await meshed(lab, { forwarding: false });
  const [one, two] = [lab.host(1), lab.host(2)];
  for (const host of lab.hosts) {
    assert.match((await host.run(['iptables', '-S', 'FORWARD'])).stdout, /^-P FORWARD DROP/);
  }
  const local = await sleeper(one, 'weft', 'c1');
  await sleeper(one, 'weft', 'c2');
  const remote = await sleeper(two, 'weft', 'c3');
  assert.ok(await pings(one, 'c2', local), 'on one host');
  assert.ok(await pings(one, 'c1', remote), 'across hosts');
});

story('a container sends what fits through every host of the mesh, unless it is told', {}, async (lab) => {
  await lab.startEngines();
  const [one, two] = [lab.host(1), lab.host(2)];
  const token = tokenIn((await one.weft(['up'])).stdout);
  await join(two, token, ['--mtu', '1308']);
  await converged(lab.hosts);
  await hasNetwork(one, 'weft');
  const mtuIn = (network: string) =>
    one.ask('run', '--rm', '--network', network, 'busybox', 'cat', '/sys/class/net/eth0/mtu');
  await until('the MTU of the other host to be known', async () => (await mtuIn('weft')) === '1308');
  await createNetwork(one, 'wide', '--opt', 'com.docker.network.driver.mtu=1400');
  assert.equal(await mtuIn('wide'), '1400');
});
