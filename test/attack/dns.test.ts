/* SECURITY.md 23: names of an internal network leak (CVE-2024-29018); 8: unbounded messages; and what one member or container may do to others' names. */
import assert from 'node:assert/strict';
import { type FileHandle, open } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { decode, encode } from 'dns-packet';
import { createForwarder, MOST_OF_ONE } from '../../src/doors/dns/forwarder.ts';
import { readQuery } from '../../src/doors/dns/message.ts';
import { askOverTcp, askOverUdp } from '../../src/host/name-client.ts';
import type { NameServer } from '../../src/host/name-server.ts';
import { createLinuxNameSockets } from '../../src/host/name-sockets.ts';
import { createSeededRandom } from '../../src/ports/memory/random.ts';
import { RESOLVER, type SandboxNames } from '../../src/ports/name-sockets.ts';
import { startDockerResolver } from '../contract/support/docker-resolver.ts';
import { silentLog } from '../hosts/log.ts';
import { createNamespaces, type Namespaces, needsRoot } from '../hosts/namespaces.ts';
import { createDnsWorld, entry, query } from '../unit/support/dns-world.ts';

const ENTRIES = [entry('f1', '10.33.0.1', 'web'), entry('b2', '10.34.0.1', 'db')];

const OUTSIDE = [
  'example.com',
  'EXAMPLE.com.',
  'db',
  'web.example.com',
  'weft.local.example.com',
  'secret.internal',
  '1.2.0.192.in-addr.arpa',
  '8.b.d.0.1.0.0.2.ip6.arpa',
  `${'a'.repeat(63)}.${'b'.repeat(63)}.example`,
];

test('a container of internal networks gets nothing out, whatever it asks and however', async () => {
  const { dns, sockets, leaked, ask } = createDnsWorld(ENTRIES, ['f1', 'b2']);
  sockets.addSandbox('one');
  await dns.open({ endpoint: 'e1', sandbox: 'one', network: 'f1' });
  for (const name of OUTSIDE) {
    for (const type of ['A', 'AAAA', 'TXT', 'MX', 'SRV', 'PTR', 'ANY', 'HTTPS', 'AXFR']) {
      for (const over of ['udp', 'tcp'] as const) {
        assert.match(await ask('one', name, type, over), /^(NXDOMAIN|REFUSED)$/, `${name} ${type} ${over}`);
      }
    }
  }
  await dns.open({ endpoint: 'e2', sandbox: 'one', network: 'nowhere-known' });
  await dns.close('e1');
  assert.deepEqual(leaked, []);
});

test('a member cannot take names of the internet, nor those of other networks', async () => {
  const hostile = [
    entry('f1', '10.33.0.66', 'example.com', 'www.example.com', 'com'),
    entry('b2', '10.34.0.66', 'web', 'api'),
  ];
  const { dns, sockets, ask } = createDnsWorld([...ENTRIES, ...hostile]);
  sockets.addSandbox('one');
  await dns.open({ endpoint: 'e1', sandbox: 'one', network: 'f1' });
  assert.equal(await ask('one', 'example.com'), '192.0.2.53', 'asked outside');
  assert.equal(await ask('one', 'www.example.com'), '192.0.2.53');
  assert.equal(await ask('one', 'web'), '10.33.0.1');
  assert.equal(await ask('one', 'api.weft.local'), 'NXDOMAIN');
  assert.equal(await ask('one', '66.0.34.10.in-addr.arpa', 'PTR'), 'NXDOMAIN');
});

test('messages that loop, lie about their size or are too large are refused, and cost next to nothing', () => {
  const message = query('web');
  const patched = (at: number, ...bytes: number[]) => {
    const copy = Buffer.from(message);
    copy.set(bytes, at);
    return copy;
  };
  const hostile = [
    patched(12, 0xc0, 0x0c),
    patched(12, 0xc0, 0x00),
    patched(12, 0x3f),
    patched(12, 0x80),
    ...[4, 6, 8, 10].map((at) => patched(at, 0xff, 0xff)),
    Buffer.concat([message.subarray(0, 12), Buffer.alloc(490, 1)]),
    Buffer.alloc(65_535, 0x3f),
    Buffer.alloc(12),
    Buffer.alloc(0),
  ];
  const before = process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed;
  for (let round = 0; round < 2_000; round++) {
    for (const bytes of hostile) assert.equal(readQuery(bytes, 'udp').ok, false);
  }
  const grown = process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed - before;
  assert.ok(grown < 256 << 20, `${grown} bytes more`);
});

test('one container holds a bounded number of questions open, and others have theirs', async () => {
  const forwarder = createForwarder(createSeededRandom(1));
  const read = readQuery(query('example.com'), 'udp');
  assert.ok(read.ok);
  let asked = 0;
  const waiting: (() => void)[] = [];
  const never = () => {
    asked++;
    return new Promise<undefined>((resolve) => waiting.push(() => resolve(undefined)));
  };
  const floods = Array.from({ length: 10_000 }, () => forwarder.forward(read.query, 'udp', never, 'one'));
  assert.equal(asked, MOST_OF_ONE);
  const other = forwarder.forward(read.query, 'udp', never, 'two');
  assert.equal(asked, MOST_OF_ONE + 1);
  for (const end of waiting) end();
  await Promise.all([...floods, other]);
});

describe('in real containers', { skip: needsRoot }, () => {
  let net: Namespaces;
  const opened: SandboxNames[] = [];
  const handles: FileHandle[] = [];
  const resolvers: NameServer[] = [];

  before(async () => {
    net = await createNamespaces();
  });
  after(async () => {
    for (const names of opened) await names.close();
    for (const resolver of resolvers) await resolver.close();
    for (const handle of handles) await handle.close();
    await net.close();
  });

  async function container(name: string): Promise<{ sandbox: string; network: number }> {
    const sandbox = await net.add(name);
    await net.run(sandbox, 'ip', 'link', 'set', 'lo', 'up');
    const handle = await open(`/run/netns/${sandbox}`);
    handles.push(handle);
    return { sandbox, network: handle.fd };
  }

  test("what an internal container asks does not reach Docker's resolver, which would ask on", async () => {
    const { sandbox, network } = await container('internal');
    const heard: string[] = [];
    const heardBy = async (message: Uint8Array) => {
      heard.push(decode(Buffer.from(message)).questions[0]?.name ?? '');
      return undefined;
    };
    resolvers.push(await startDockerResolver((...words) => net.run(sandbox, ...words), network, heardBy));
    const world = createDnsWorld(ENTRIES, ['f1']);
    world.sockets.addSandbox('inside');
    await world.dns.open({ endpoint: 'e1', sandbox: 'inside', network: 'f1' });
    opened.push(
      await createLinuxNameSockets({ log: silentLog }).open(
        sandbox,
        async (message, over) => await world.sockets.query('inside', message, over),
      ),
    );
    for (const ask of [askOverUdp, askOverTcp]) {
      const upstream = { ...RESOLVER, network };
      const reply = await ask(upstream, query('example.com'), () => true, 2_000);
      assert.equal(decode(Buffer.from(reply ?? [])).rcode, 'NXDOMAIN');
    }
    assert.deepEqual(heard, []);
  });

  test('a container that asks ten thousand times at once is answered within bounds, and others at once', async () => {
    const flooded = await container('flood');
    const calm = await container('calm');
    let answered = 0;
    const answer = async (message: Uint8Array) => {
      const { id, questions } = decode(Buffer.from(message));
      if (questions[0]?.name === 'flood') answered++;
      return encode({ type: 'response', id, flags: 0, questions });
    };
    const sockets = createLinuxNameSockets({ log: silentLog });
    for (const { sandbox } of [flooded, calm]) opened.push(await sockets.open(sandbox, answer));
    const script = `
      const socket = require('node:dgram').createSocket('udp4');
      const message = Buffer.from('${query('flood').toString('hex')}', 'hex');
      let left = 10_000, lanes = 16;
      const send = () => left-- > 0 ? socket.send(message, 53, '127.0.0.11', send) : --lanes || socket.close();
      for (let lane = 0; lane < 16; lane++) send();`;
    const started = performance.now();
    const flood = net.run(flooded.sandbox, process.execPath, '-e', script);
    let over = false;
    const ended = flood.then(() => {
      over = true;
    });
    let slowest = 0;
    do {
      const asked = performance.now();
      const reply = await askOverUdp(
        { ...RESOLVER, network: calm.network },
        query('calm'),
        () => true,
        5_000,
      );
      assert.ok(reply !== undefined, 'the other container is answered');
      slowest = Math.max(slowest, performance.now() - asked);
    } while (!over);
    await ended;
    const seconds = (performance.now() - started) / 1_000;
    assert.ok(answered <= 1_000 * (seconds + 2), `${answered} answered in ${seconds} s`);
    assert.ok(slowest < 1_000, `${slowest} ms`);
  });
});
