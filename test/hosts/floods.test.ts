/*
 * Containers that flood others with datagrams (src/host/datagram-batches.ts), with real daemons. Skips where the kernel cannot join what a link
 * forwards (Linux 5.12).
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { program } from '../bench/udp-load.ts';
import type { Background } from '../lab/command.ts';
import { until } from '../lab/wait.ts';
import { meshed, type Place, story } from './story.ts';
import { bothGo, trusting } from './vxlan.ts';

const PORT = '5999';
const NUMBERED = 400;

/** The host's end of the container's link. */
async function linkOf({ host }: Place): Promise<string> {
  const { stdout } = await host.run(['ip', '-j', 'link', 'show', 'group', '173', 'type', 'veth'], {
    say: null,
  });
  // ip leaves an empty place for each link that is of another kind.
  const names = (JSON.parse(stdout) as { ifname?: string }[]).flatMap(({ ifname = [] }) => ifname);
  assert.equal(names.length, 1);
  return names[0] as string;
}

async function collects(at: Place, link: string): Promise<boolean> {
  const features = await at.host.run(['ethtool', '-k', link], { say: null });
  const wait = await at.host.run(['cat', `/sys/class/net/${link}/gro_flush_timeout`], { say: null });
  const on = /^rx-udp-gro-forwarding: on/m.test(features.stdout);
  assert.ok(!on || /^generic-receive-offload: on/m.test(features.stdout));
  return on && wait.stdout.trim() !== '0';
}

/** Datagrams in bursts of one size, of which each byte follows from its number: all of them have to arrive, and none that is anything else. */
const SIZE = '(n) => 8 + ((n >> 4) * 37) % 1300';
const SEND = `const size = ${SIZE}; const s = require('dgram').createSocket('udp4'); s.on('error', () => {});
  let n = 0; s.connect(7200, process.argv[1], () => setInterval(() => { for (let i = 0; i < 16; i++, n = (n + 1) % ${NUMBERED}) {
    const b = Buffer.alloc(size(n), n & 255); b.writeUInt32BE(n); s.send(b, () => {}); } }, 2));`;
const RECEIVE = `const size = ${SIZE}; const seen = new Set(); const s = require('dgram').createSocket('udp4');
  s.on('message', (b) => { const n = b.readUInt32BE(); const whole = Buffer.alloc(size(n), n & 255); whole.writeUInt32BE(n);
    if (!whole.equals(b)) console.log('broken', n); else if (seen.add(n).size === ${NUMBERED}) console.log('all of them'); });
  s.bind(7200, () => console.log('listening'));`;

async function arriveWhole(from: Place, to: Place): Promise<void> {
  const receiver = to.sandbox.start([process.execPath, '-e', RECEIVE], { say: null });
  await until('the receiver', () => receiver.output().includes('listening'));
  const sender = from.sandbox.start([process.execPath, '-e', SEND, to.address], { say: null });
  await until('each datagram to arrive', () => receiver.output().includes('all of them'), 30_000);
  assert.doesNotMatch(receiver.output(), /broken/);
  await Promise.all([sender.stop(), receiver.stop()]);
}

async function startSink(at: Place): Promise<Background> {
  const sink = at.sandbox.start([await program(), 'sink', at.address, PORT], { say: null });
  await until('the packet sink', () => sink.output().includes('listening'));
  return sink;
}

/** Resolves when the link of the one that floods collects. */
async function startFlood(from: Place, to: Place, link: string): Promise<Background> {
  const words = [await program(), 'search', to.address, PORT, '64', '5'];
  const flood = from.sandbox.start(words, { say: null });
  await until('the link to collect datagrams', () => collects(from, link), 30_000);
  return flood;
}

for (const kind of ['encrypted', 'vxlan'] as const)
  story(
    `the link of a container that floods collects its datagrams, which arrive whole, until the flood or the daemon is over: ${kind}`,
    { hosts: 2 },
    async (lab, t) => {
      const known = spawnSync('ethtool', ['-k', 'lo'], { encoding: 'utf8' }).stdout ?? '';
      if (!known.includes('rx-udp-gro-forwarding')) return t.skip('needs ethtool, and Linux 5.12');
      const [one, two] = (await (kind === 'vxlan' ? trusting(lab) : meshed(lab))) as [Place, Place];
      if (kind === 'vxlan') await bothGo(one.host, two.host, 'vxlan');
      const link = await linkOf(one);
      const ends = () =>
        until('the link to pass them singly', async () => !(await collects(one, link)), 30_000);
      await arriveWhole(one, two);
      assert.equal(await collects(one, link), false);

      const sink = await startSink(two);
      const flood = await startFlood(one, two, link);
      await arriveWhole(one, two);
      assert.equal(await collects(two, await linkOf(two)), false);
      await flood.stop('SIGKILL');
      await ends();
      await arriveWhole(one, two);

      const another = await startFlood(one, two, link);
      await one.host.kill();
      await another.stop('SIGKILL');
      assert.equal(await collects(one, link), true);
      await one.host.weft(['up']);
      await ends();
      await sink.stop();
    },
  );
