import assert from 'node:assert/strict';
import { join } from 'node:path';
import { startCapture } from '../lab/capture.ts';
import { converged } from '../lab/mesh.ts';
import { difference, snapshot } from '../lab/snapshot.ts';
import { lastLine, ping, reaches, say, serveEcho, talk } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { place, story } from './story.ts';
import { bothGo, DEVICE, goes, pathTo, sentFast, trusting, WIRE } from './vxlan.ts';

const ECHO_PORT = 7007;

story('two hosts that trust their wire send by the kernel, and say so', { hosts: 2 }, async (lab) => {
  const [one, two] = await trusting(lab);
  assert.ok(one && two);
  await bothGo(one.host, two.host, 'vxlan');
  for (const [from, to] of [
    [one, two],
    [two, one],
  ] as const) {
    const { stdout } = await from.host.run(['ip', 'route', 'get', to.address]);
    assert.match(stdout, new RegExp(` dev ${DEVICE} `), 'what status says is in the kernel already');
  }
  await until('twenty packets by the kernel', async () => {
    const before = await sentFast(one.host);
    const { received } = await ping(one.sandbox, two.address, { count: 20, interval: 0.01, size: 1300 });
    return received === 20 && (await sentFast(one.host)) >= before + 20;
  });
  const path = await pathTo(one.host, two.host);
  assert.equal(path.endpoint, '198.18.0.2');
  assert.equal(path.reason, null);
  assert.ok(path.loss !== null && path.loss < 0.5, JSON.stringify(path));
  assert.ok((path.roundTrip ?? 0) > 0 && path.sentBytes > 20 * 1300, JSON.stringify(path));
  const { stdout } = await one.host.weft(['status', 'paths']);
  assert.match(stdout, /^PEER +PATH +MTU +LOSS +RTT/);
  assert.match(stdout, /^h2 +vxlan 198\.18\.0\.2 /m);
});

story(
  'a link that only one end trusts stays encrypted, and both ends say who disagrees',
  { hosts: 2 },
  async (lab) => {
    const [one, two] = await trusting(lab, { joining: () => [] });
    assert.ok(one && two);
    const disagrees = (reason: RegExp, from = one, to = two) =>
      until('the reason', async () => reason.test((await pathTo(from.host, to.host)).reason ?? ''));
    await disagrees(/^this host trusts the link, h2 does not trust 198\.18\.0\.1/);
    await disagrees(/^h1 trusts this link, this host does not trust/, two, one);
    const { stdout } = await one.host.weft(['status']);
    assert.match(stdout, /info: A link would do without encryption if both ends agreed.*\[trust-one-sided\]/);
    await reaches(one.sandbox, two.address);
    const secret = 'in the clear, or not?';
    const capture = await startCapture(lab.wire.namespace, join(lab.folder, 'wire.pcap'));
    const server = await serveEcho(two.sandbox, ECHO_PORT);
    assert.ok((await say(one.sandbox, two.address, ECHO_PORT, secret)).startsWith(secret));
    await capture.stop();
    await server.stop();
    assert.equal(await capture.holds(secret), false);
    assert.ok((await capture.count('udp port 6783')) > 0);
  },
);

story(
  'trust that comes and goes moves a live TCP connection to and fro without losing it',
  { hosts: 2 },
  async (lab) => {
    const [one, two] = await trusting(lab, { up: [], joining: () => [] });
    assert.ok(one && two);
    await reaches(one.sandbox, two.address);
    const server = await serveEcho(two.sandbox, ECHO_PORT);
    const talker = talk(one.sandbox, two.address, ECHO_PORT);
    await until('the first lines to come back', () => lastLine(talker) > 5);
    const pings = one.sandbox.start(['ping', '-i', '0.02', '-W', '1', two.address], { say: null });

    for (const host of [one.host, two.host]) await host.weft(['trust', 'add', WIRE]);
    assert.match((await one.host.weft(['trust', 'ls'])).stdout, /198\.18\.0\.0\/24 +weft trust/);
    await bothGo(one.host, two.host, 'vxlan');
    await until('lines by the kernel', () => lastLine(talker) > 60, 10_000);

    await two.host.weft(['trust', 'remove', WIRE]);
    await bothGo(one.host, two.host, 'encrypted');
    const moved = lastLine(talker);
    await until('lines by the encrypted path', () => lastLine(talker) > moved + 20);
    await until('the door to close', async () => {
      return !(await two.host.run(['ip', 'link'], { say: null })).stdout.includes(DEVICE);
    });
    assert.ok(lastLine(talker) > moved + 20);
    assert.doesNotMatch(talker.output(), /failed|closed/);
    await pings.stop('SIGINT');
    const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(pings.output()) ?? [];
    assert.ok(Number(sent) - Number(received) <= 3, `lost ${Number(sent) - Number(received)} of ${sent}`);
    await Promise.all([talker.stop(), server.stop()]);
  },
);

story('in one mesh some pairs take the kernel and others are encrypted', { hosts: 3 }, async (lab) => {
  const [one, two, three] = await trusting(lab, {
    joining: (number) => (number === 2 ? ['--trusted-subnets', WIRE] : []),
  });
  assert.ok(one && two && three);
  await bothGo(one.host, two.host, 'vxlan');
  for (const [from, to] of [
    [one, three],
    [three, one],
    [two, three],
  ] as const) {
    await goes(from.host, to.host, 'encrypted');
    await reaches(from.sandbox, to.address);
  }
  await reaches(one.sandbox, two.address);
  await reaches(two.sandbox, one.address);
});

story(
  'a mesh made without encryption takes the kernel everywhere and still wants a token',
  { hosts: 2 },
  async (lab) => {
    const [one, two] = await trusting(lab, { up: ['--no-encryption'], joining: () => [] });
    assert.ok(one && two);
    await bothGo(one.host, two.host, 'vxlan');
    await reaches(one.sandbox, two.address);
    assert.match((await two.host.weft(['status'])).stdout, /mesh .* without encryption/);
    assert.match((await two.host.weft(['trust', 'ls'])).stdout, /^This mesh was made without encryption/);
  },
);

story('weft up refuses to take the encryption out of a mesh that has it', { hosts: 1 }, async (lab) => {
  await lab.host(1).weft(['up']);
  const { status, stderr } = await lab.host(1).weft(['up', '--no-encryption'], { check: false });
  assert.equal(status, 1);
  assert.match(stderr, /mesh that encrypts.*\n.*weft trust add/);
});

story('weft down takes the fast path off the machine, too', { hosts: 2 }, async (lab) => {
  const before = await snapshot((argv) => lab.host(1).run(argv, { say: null }));
  const [one, two] = await trusting(lab);
  assert.ok(one && two);
  await bothGo(one.host, two.host, 'vxlan');
  await one.host.weft(['down']);
  await until('the daemon to end', async () => (await one.host.daemon()) === undefined);
  const after = await snapshot((argv) => one.host.run(argv, { say: null }));
  assert.deepEqual(difference(before, after), []);
});

story(
  'a daemon that dies leaves packets flowing, and the next one takes them over without a gap',
  { hosts: 2 },
  async (lab) => {
    const [one, two] = await trusting(lab);
    assert.ok(one && two);
    await bothGo(one.host, two.host, 'vxlan');
    const server = await serveEcho(two.sandbox, ECHO_PORT);
    const talker = talk(one.sandbox, two.address, ECHO_PORT);
    await until('the first lines to come back', () => lastLine(talker) > 5);
    const pings = one.sandbox.start(['ping', '-i', '0.02', '-W', '1', two.address], { say: null });
    await two.host.kill();
    const dead = lastLine(talker);
    await until('lines of a dead daemon', () => lastLine(talker) > dead + 80, 10_000);
    await goes(one.host, two.host, 'vxlan', 1);
    await two.host.weft(['up', '--trusted-subnets', WIRE]);
    await converged(lab.hosts);
    await bothGo(one.host, two.host, 'vxlan', 100);
    const late = await place(lab, two.host, 'late');
    await reaches(one.sandbox, late.address);
    await pings.stop('SIGINT');
    const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(pings.output()) ?? [];
    assert.ok(Number(sent) - Number(received) <= 1, `lost ${Number(sent) - Number(received)} of ${sent}`);
    assert.doesNotMatch(talker.output(), /failed|closed/);
    await Promise.all([talker.stop(), server.stop()]);
  },
);
