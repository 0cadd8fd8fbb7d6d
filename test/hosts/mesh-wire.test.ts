import assert from 'node:assert/strict';
import { join } from 'node:path';
import { startCapture } from '../lab/capture.ts';
import { converged } from '../lab/mesh.ts';
import { lastLine, ping, reaches, serveEcho, talk } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { meshed, story } from './story.ts';

const IP_AND_ICMP = 28;
/** IPv4 with an offset or more to come; IPv6 with a fragment header. */
const FRAGMENTS = 'ip[6:2] & 0x3fff != 0 or (ip6 and ip6[6] == 44)';
const NOISE = [process.execPath, join(import.meta.dirname, '..', 'lab', 'noise.ts')];

story('nothing that containers say can be read on the wire', { hosts: 2 }, async (lab) => {
  const [one, two] = await meshed(lab);
  assert.ok(one && two);
  await reaches(one.sandbox, two.address);
  const capture = await startCapture(lab.wire.namespace, join(lab.folder, 'wire.pcap'));
  assert.equal((await ping(one.sandbox, two.address, { pattern: 'only-for-c2-eyes' })).received, 3);
  await ping(one.host, two.host.address, { pattern: 'for-everybody-16' });
  await capture.stop();
  assert.equal(await capture.holds('for-everybody-16'), true, 'what is sent openly is found');
  assert.equal(await capture.holds('only-for-c2-eyes'), false);
  assert.ok((await capture.count('udp port 6783')) >= 6);
  assert.equal(await capture.count('net 10.32.0.0/12'), 0);
});

const WIRES = [
  { between: 'with IPv4 only', family: 'ipv4' },
  { between: 'with IPv6 only', family: 'ipv6' },
  { between: 'with both, of which IPv6 does not pass,', family: 'both', filtered: 'ipv6' },
  { between: 'with both, of which IPv4 does not pass,', family: 'both', filtered: 'ipv4' },
] as const;
for (const { between, family, ...rest } of WIRES) {
  story(
    `between hosts ${between} packets of full size cross the wire in one piece`,
    { hosts: 2, family },
    async (lab) => {
      if ('filtered' in rest) await lab.wire.filter(rest.filtered);
      const [one, two] = await meshed(lab);
      assert.ok(one && two);
      await reaches(one.sandbox, two.address);
      const { device } = await one.host.status();
      const capture = await startCapture(lab.wire.namespace, join(lab.folder, 'wire.pcap'));
      const size = (device?.mtu ?? 0) - IP_AND_ICMP;
      assert.equal((await ping(one.sandbox, two.address, { size, whole: true })).received, 3);
      assert.equal((await ping(one.sandbox, two.address, { size: size + 1, whole: true })).received, 0);
      await capture.stop();
      assert.ok((await capture.count('udp port 6783 and greater 1400')) >= 6);
      assert.equal(await capture.count(FRAGMENTS), 0);
    },
  );
}

story(
  'datagrams of garbage at the data port are counted, dropped and hurt nobody',
  { hosts: 3 },
  async (lab) => {
    const [one, two, three] = await meshed(lab);
    assert.ok(one && two && three);
    await reaches(one.sandbox, two.address);
    const daemon = await two.host.daemon();
    const before = await two.host.status();
    await three.host.run([...NOISE, two.host.address, '6783', '3000']);
    await until('the drops to be counted', async () => {
      const { drops } = await two.host.status();
      return (drops.rxMalformed ?? 0) + (drops.rxNoKey ?? 0) > 2_000;
    });
    assert.equal((await ping(one.sandbox, two.address, { count: 10 })).received, 10);
    const after = await two.host.status();
    assert.equal(await two.host.daemon(), daemon, 'the daemon runs on');
    assert.equal(after.endpoints.length, before.endpoints.length);
  },
);

story('a plain packet sent to a host for its container does not arrive', { hosts: 3 }, async (lab) => {
  const [one, two] = await meshed(lab);
  assert.ok(one && two);
  const stranger = lab.host(3);
  await stranger.weft(['down']);
  const capture = await startCapture(two.sandbox, join(lab.folder, 'c2.pcap'));
  await stranger.run(['ip', 'route', 'add', two.address, 'via', two.host.address]);
  const { received } = await ping(stranger, two.address, { count: 5, pattern: 'from-the-outside' });
  await reaches(one.sandbox, two.address);
  await ping(one.sandbox, two.address, { pattern: 'from-the-inside!' });
  await capture.stop();
  assert.equal(received, 0);
  assert.equal(await capture.holds('from-the-inside!'), true, 'what a container sends is found');
  assert.equal(await capture.holds('from-the-outside'), false);
});

story('a cut cable is noticed, and mended by itself when it is back', { hosts: 3 }, async (lab) => {
  const [one, two, three] = await meshed(lab);
  assert.ok(one && two && three);
  await reaches(one.sandbox, two.address);
  await lab.wire.unplug('h2');
  const downOn = async (host: typeof one.host) =>
    (await host.status()).peers.some((peer) => peer.nickname === 'h2' && peer.state === 'down');
  await until('h1 to see h2 down', () => downOn(one.host), 40_000, 200);
  await reaches(one.sandbox, three.address);
  await lab.wire.plug('h2');
  await converged(lab.hosts, 40_000);
  await reaches(one.sandbox, two.address, 20_000);
});

story('a connection lives through one packet in ten getting lost', { hosts: 2 }, async (lab) => {
  const [one, two] = await meshed(lab);
  assert.ok(one && two);
  await reaches(one.sandbox, two.address);
  const server = await serveEcho(two.sandbox, 7007);
  await lab.wire.lose('h1', 10);
  await lab.wire.lose('h2', 10);
  const talker = talk(one.sandbox, two.address, 7007);
  await until('a hundred lines to come back', () => lastLine(talker) >= 100, 60_000);
  assert.doesNotMatch(talker.output(), /failed/);
  await Promise.all([talker.stop(), server.stop()]);
});
