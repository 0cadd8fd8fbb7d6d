import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { missing, run, until } from './datapath-native-rig.ts';
import {
  dropsOf,
  inside,
  type Path,
  type PathHost,
  pathOfEachTest,
  stream,
  transfer,
} from './datapath-path.ts';

/** Full load, changes in the middle of it, and neighbours that take more than their share; see the drawing in datapath-path.ts. */

const MEGABYTE = 1 << 20;
const withoutStrace =
  spawnSync('strace', ['-V']).status === 0 ? false : 'needs strace to stage errors of the kernel';
const REKEY_INTERVAL = 200;
const received = ({ datapath }: PathHost): bigint => datapath.counters().total.receivedPackets;
const BY_KEY = ['txNoKey', 'txExhausted', 'rxNoKey', 'rxForged', 'rxReplayed', 'rxInner', 'rxMalformed'];

/** Of both hosts' threads, at least so many. */
const ERRORS = 4;

const isTraced = (task: string): boolean =>
  /TracerPid:\s+[1-9]/.test(readFileSync(`/proc/self/task/${task}/status`, 'utf8'));
const injected = (trace: string): number => readFileSync(trace, 'utf8').split('(INJECTED)').length - 1;

describe('datapath: under pressure', { skip: missing() ?? false }, () => {
  const open = pathOfEachTest();

  for (const queues of [1, 2])
    test(`keys that change several times a second cost no packet and no pause, with queues: ${queues}`, async () => {
      const [one, two, { rekey }] = await open(2, { queues });
      let epoch = 1;
      const ended = new AbortController();
      const keys = (async () => {
        for (;;) {
          const [here, there] = [one, two].map((host) => host.datapath.counters().total.sentPackets);
          rekey(2, ++epoch);
          await delay(REKEY_INTERVAL);
          // On a machine that is busy with other things packets may be under way for longer than any key is valid.
          const arrived = () => received(two) >= (here ?? 0n) && received(one) >= (there ?? 0n);
          while (!arrived() && !ended.signal.aborted) await delay(1);
          if (ended.signal.aborted) return;
        }
      })();
      const result = await stream(one, two, '-t', '3', '-i', '0.5', '-P', `${queues}`).finally(() =>
        ended.abort(),
      );
      await keys;
      assert.ok(epoch > 3, `${epoch} keys`);
      for (const host of [one, two]) {
        const found = Object.entries(dropsOf(host)).filter(([reason]) => BY_KEY.includes(reason));
        assert.deepEqual(found, []);
      }
      const usual = result.bytes / result.intervals.length;
      // There was a new key in each of them. One may be still for the machine's own reasons, not most.
      const still = result.intervals.filter((bytes) => bytes < usual / 10).length;
      assert.ok(still < result.intervals.length / 2, `bytes in each half second: ${result.intervals}`);
    });

  test('a device that computes no checksums carries runs or has them cut, and nothing is lost', async () => {
    const [one, two] = await open(2);
    inside(one.namespace, 'ethtool', '-K', 'u0', 'tx', 'off');
    assert.equal(await transfer(one, two, MEGABYTE), MEGABYTE);
    assert.equal(await transfer(two, one, MEGABYTE), MEGABYTE);
    assert.deepEqual([dropsOf(one), dropsOf(two)], [{}, {}]);
  });

  // Kernels since 6.11 fill in the checksums themselves: what older ones say can only be staged.
  for (const [error, keepsRuns] of [
    ['EIO', false],
    ['EINVAL', true],
    ['EMSGSIZE', true],
    ['ENOBUFS', true],
  ] as const)
    test(`when the kernel answers a run with ${error}, the path goes on`, {
      skip: withoutStrace,
      timeout: 60_000,
    }, async () => {
      const [one, two] = await open(2);
      const trace = join(mkdtempSync(join(tmpdir(), 'weft-strace-')), 'trace');
      const tracer = spawn('strace', [
        ...['-f', '-qq', '-o', trace, '-p', `${process.pid}`],
        ...['-e', 'trace=sendmmsg', '-e', `inject=sendmmsg:error=${error}:when=5+7`],
      ]);
      await until(() => readdirSync('/proc/self/task').every(isTraced));
      const isStaged = () =>
        injected(trace) >= ERRORS &&
        one.datapath.features.udpSegmentation === keepsRuns &&
        // What was refused is counted.
        (error !== 'ENOBUFS' || (dropsOf(one).txQueue ?? 0) > 0);
      // It counts the calls of each thread, and which thread sends is the data path's business.
      do assert.equal(await transfer(one, two, MEGABYTE), MEGABYTE);
      while (!isStaged());
      tracer.kill('SIGINT');
      await once(tracer, 'close');
      rmSync(dirname(trace), { recursive: true });
    });

  const SIEGES = {
    'a peer behind a slow wire': ({ router }: Path) => {
      const slow = ['tbf', 'rate', '5mbit', 'burst', '64kb', 'limit', '64kb'];
      run('tc', '-n', router, 'qdisc', 'add', 'dev', 'h3', 'root', ...slow);
    },
    'a peer behind a slow device of this host': ({ router }: Path, one: PathHost) => {
      const ends = ['u1', 'netns', one.namespace, 'type', 'veth', 'peer', 'name', 'h1b', 'netns', router];
      run('ip', 'link', 'add', ...ends);
      run('ip', '-n', one.namespace, 'address', 'add', '10.97.1.2/24', 'dev', 'u1');
      run('ip', '-n', router, 'address', 'add', '10.97.1.1/24', 'dev', 'h1b');
      run('ip', '-n', one.namespace, 'link', 'set', 'u1', 'up');
      run('ip', '-n', router, 'link', 'set', 'h1b', 'up');
      run('ip', '-n', one.namespace, 'route', 'add', '10.98.3.0/24', 'via', '10.97.1.1');
      // A queue that holds more than the socket may: it is the socket that is full.
      const slow = ['tbf', 'rate', '5mbit', 'burst', '64kb', 'limit', '20mb'];
      run('tc', '-n', one.namespace, 'qdisc', 'add', 'dev', 'u1', 'root', ...slow);
    },
    'a peer that is not there': ({ router }: Path) => {
      run('ip', '-n', router, 'link', 'set', 'h3', 'down');
    },
  } as const;
  for (const [whom, prepare, queues] of [
    ...Object.entries(SIEGES).map(([whom, prepare]) => [whom, prepare, 1] as const),
    ['a peer behind a slow device of this host', SIEGES['a peer behind a slow device of this host'], 2],
  ] as const)
    test(`a flood to ${whom} leaves another peer its rate, and no memory is taken for it, with queues: ${queues}`, async ({
      signal,
    }) => {
      const [one, two, whole] = await open(3, { queues });
      const three = whole.hosts[2] as PathHost;
      prepare(whole, one);
      const paced = ['-t', '2', '-b', '50M'];
      const alone = await stream(one, two, ...paced);
      const before = residentBytes();
      const words = ['netns', 'exec', one.namespace, process.execPath, '-e', FLOOD, three.address];
      // When this test is given up it ends, too: else nothing would.
      const flood = spawn('ip', words, { signal, killSignal: 'SIGKILL' });
      flood.on('error', () => {});
      const besieged = await stream(one, two, ...paced).finally(() => flood.kill('SIGKILL'));
      assert.ok(besieged.rate > 0.8 * alone.rate, `${alone.rate} alone, ${besieged.rate} besieged`);
      assert.ok(residentBytes() - before < 16 << 20, `grew by ${residentBytes() - before} bytes`);
    });
});

/** Datagrams of 1,300 bytes, a few thousand a second: ten times what the slow wire carries. */
const FLOOD = `const s = require('dgram').createSocket('udp4'); s.on('error', () => {}); s.connect(9, process.argv[1], () =>
  setInterval(() => { for (let i = 0; i < 25; i++) s.send(Buffer.alloc(1300), () => {}); }, 5));`;

function residentBytes(): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
}
