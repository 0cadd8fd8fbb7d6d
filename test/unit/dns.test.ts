import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode, encode } from 'dns-packet';
import { LOOK_EVERY, PATIENCE } from '../../src/doors/dns/dns.ts';
import { answers, readQuery, TTL, withId } from '../../src/doors/dns/message.ts';
import { createDnsWorld, type DnsWorld, entry, many, query } from './support/dns-world.ts';

const ENTRIES = [
  entry('f1', '10.33.0.1', 'web'),
  entry('b2', '10.34.0.1', 'db'),
  entry('weft', '10.32.0.1', 'web'),
];

async function begin(entries = ENTRIES, internal: readonly string[] = []): Promise<DnsWorld> {
  const world = createDnsWorld(entries, internal);
  world.sockets.addSandbox('one');
  await world.dns.open({ endpoint: 'e1', sandbox: 'one', network: 'f1' });
  return world;
}

test('a sandbox is told the names of its networks, the first one first', async () => {
  const { dns, ask } = await begin();
  assert.equal(await ask('one', 'web'), '10.33.0.1');
  assert.equal(await ask('one', 'db.weft.local'), 'NXDOMAIN');
  await dns.open({ endpoint: 'e2', sandbox: 'one', network: 'b2' });
  assert.equal(await ask('one', 'db'), '10.34.0.1');
  await dns.close('e1');
  assert.equal(await ask('one', 'web.weft.local'), 'NXDOMAIN');
  assert.equal(await ask('one', 'db', 'A', 'tcp'), '10.34.0.1');
  await dns.close('e2');
  await dns.close('e2');
  assert.equal(await ask('one', 'db'), 'none');
  assert.deepEqual(dns.list(), []);
});

test('what is not ours is asked of whoever was asked before, with the same id and question in the answer', async () => {
  const { ask, sockets, leaked } = await begin();
  assert.equal(await ask('one', 'Example.com'), '192.0.2.53');
  assert.deepEqual(leaked, ['Example.com']);
  const reply = decode(
    Buffer.from((await sockets.query('one', query('example.org', 'A', 4711), 'udp')) ?? []),
  );
  assert.deepEqual([reply.id, reply.questions[0]?.name], [4711, 'example.org']);
});

test('a sandbox of internal networks asks nobody outside, unless it has another way out', async () => {
  const { dns, ask, leaked } = await begin(ENTRIES, ['f1']);
  assert.equal(await ask('one', 'example.com'), 'NXDOMAIN');
  assert.equal(await ask('one', 'web'), '10.33.0.1');
  assert.deepEqual(leaked, []);
  await dns.open({ endpoint: 'e1', sandbox: 'one', network: 'f1', outside: true });
  assert.equal(await ask('one', 'example.com'), '192.0.2.53');
  await dns.open({ endpoint: 'e1', sandbox: 'one', network: 'f1' });
  assert.equal(await ask('one', 'example.com'), 'NXDOMAIN');
  await dns.open({ endpoint: 'e2', sandbox: 'one', network: 'b2' });
  assert.equal(await ask('one', 'example.com'), '192.0.2.53');
});

test('a sandbox that comes later is waited for, and for good', async () => {
  const { dns, clock, sockets, ask } = await begin();
  const soon = dns.open({ endpoint: 'e2', sandbox: 'two', network: 'f1' });
  await clock.advance(200);
  sockets.addSandbox('two');
  await clock.advance(100);
  assert.equal(await soon, true);
  assert.equal(await ask('two', 'web'), '10.33.0.1');

  const late = dns.open({ endpoint: 'e3', sandbox: 'three', network: 'f1' });
  await clock.advance(PATIENCE + 100);
  assert.equal(await late, false);
  assert.deepEqual(
    dns.list().map(({ endpoint, works }) => [endpoint, works]),
    [
      ['e1', true],
      ['e2', true],
      ['e3', false],
    ],
  );
  sockets.addSandbox('three');
  await clock.advance(LOOK_EVERY);
  assert.equal(await ask('three', 'web'), '10.33.0.1');
});

test('one that never comes costs nothing once it is closed', async () => {
  const { dns, clock } = await begin();
  const waiting = dns.open({ endpoint: 'e2', sandbox: 'two', network: 'f1' });
  await clock.advance(50);
  await dns.close('e2');
  await clock.advance(100);
  assert.equal(await waiting, false);
  await dns.close('e1');
  await clock.advance(LOOK_EVERY);
  assert.equal(clock.pending(), 0);
});

test('the end of a sandbox is told', async () => {
  const { clock, sockets, gone, dns } = await begin();
  sockets.removeSandbox('one');
  await clock.advance(LOOK_EVERY);
  assert.deepEqual(gone, ['e1']);
  assert.deepEqual(dns.list(), []);
});

test('an endpoint whose container started again is answered in its new sandbox', async () => {
  const { dns, sockets, ask } = await begin();
  sockets.addSandbox('two');
  await dns.open({ endpoint: 'e1', sandbox: 'two', network: 'b2' });
  assert.equal(await ask('two', 'db'), '10.34.0.1');
  assert.equal(await ask('one', 'web'), 'none');
});

test('what was taken away inside is put back', async () => {
  const { clock, sockets, ask } = await begin();
  sockets.tamper('one');
  assert.equal(await ask('one', 'web'), 'none');
  await clock.advance(40_000);
  assert.equal(await ask('one', 'web'), '10.33.0.1');
});

test('after stop sandboxes ask whom they asked before', async () => {
  const { dns, clock, ask } = await begin();
  await dns.stop();
  assert.equal(await ask('one', 'web'), 'none');
  assert.equal(await dns.open({ endpoint: 'e9', sandbox: 'one', network: 'f1' }), false);
  assert.equal(clock.pending(), 0);
});

test('several endpoints with one name are told in changing order', async () => {
  const { ask } = await begin(many(8, 'web') as typeof ENTRIES);
  const firsts = new Set<string>();
  for (let round = 0; round < 60; round++) firsts.add((await ask('one', 'web')).split(',')[0] ?? '');
  assert.equal(firsts.size, 8);
});

test('answers are short-lived and ours, keep the case of the question, and say that they can ask on', async () => {
  const { sockets } = await begin();
  const reply = Buffer.from((await sockets.query('one', query('wEb.frONT'), 'udp')) ?? []);
  const { answers: records, flag_aa: ours, questions } = decode(reply);
  assert.deepEqual([ours, questions[0]?.name, records[0]?.name], [true, 'wEb.frONT', 'wEb.frONT']);
  assert.equal((records[0] as unknown as { ttl: number }).ttl, TTL);
  assert.equal(reply.readUInt16BE(2) & 0x0180, 0x0180);
});

test('what does not fit is cut off over UDP, by the size that the asker takes, and whole over TCP', async () => {
  const { sockets } = await begin(many(200, 'web') as typeof ENTRIES);
  const opt = (udpPayloadSize: number) => ({
    type: 'OPT' as const,
    name: '.' as const,
    udpPayloadSize,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0 as const,
    options: [],
  });
  const ask = async (over: 'udp' | 'tcp', size?: number) => {
    const plain = {
      type: 'query',
      id: 1,
      flags: 0x100,
      questions: [{ name: 'web', type: 'A', class: 'IN' }],
    } as const;
    const message = encode(size === undefined ? plain : { ...plain, additionals: [opt(size)] });
    const reply = Buffer.from((await sockets.query('one', message, over)) ?? []);
    const { flag_tc: cut, answers: records, additionals } = decode(reply);
    return { bytes: reply.length, cut, count: records.length, edns: additionals.length };
  };
  const plain = await ask('udp');
  assert.deepEqual([plain.cut, plain.edns, plain.bytes <= 512], [true, 0, true]);
  assert.ok(plain.count > 20);
  const small = await ask('udp', 100);
  assert.ok(small.bytes > 300 && small.bytes <= 512, 'less than 512 is no size (RFC 6891 6.2.3)');
  const large = await ask('udp', 65_000);
  assert.deepEqual([large.cut, large.edns, large.bytes <= 1_232], [true, 1, true]);
  assert.ok(large.count > plain.count);
  assert.deepEqual(await ask('tcp'), { bytes: 12 + 9 + 200 * 16, cut: false, count: 200, edns: 0 });
});

test('what is no plain question is refused by its kind', () => {
  const message = query('web');
  const patched = (at: number, ...bytes: number[]) => {
    const copy = Buffer.from(message);
    copy.set(bytes, at);
    return copy;
  };
  const codeOf = (bytes: Uint8Array) => {
    const read = readQuery(bytes, 'udp');
    if (read.ok) return 'taken';
    return read.reply === undefined ? 'silence' : (read.reply[3] as number) & 0xf;
  };
  assert.equal(codeOf(message), 'taken');
  assert.equal(codeOf(patched(2, 0x80)), 'silence', 'an answer is never answered');
  assert.equal(codeOf(Buffer.alloc(11)), 'silence');
  assert.equal(codeOf(Buffer.concat([message, Buffer.alloc(600)])), 'silence');
  assert.equal(codeOf(patched(2, 0x28)), 4, 'an update');
  assert.equal(codeOf(patched(5, 2)), 1, 'two questions');
  assert.equal(codeOf(patched(5, 0)), 1, 'no question');
  assert.equal(codeOf(patched(7, 1)), 1, 'with an answer');
  assert.equal(codeOf(patched(10, 0xff, 0xff)), 1, 'with 65,535 records');
  assert.equal(codeOf(patched(11, 1)), 1, 'with a record that is not there');
  assert.equal(codeOf(patched(12, 0xc0, 12)), 1, 'a name that points to itself');
  assert.equal(codeOf(query('web', 'AXFR')), 5);
  assert.equal(codeOf(patched(message.length - 1, 3)), 5, 'another class');
});

test('an answer is one to this very question, under this very id', () => {
  const read = readQuery(query('example.com'), 'udp');
  assert.ok(read.ok);
  const id = Uint8Array.of(1, 2);
  const good = withId(
    encode({
      type: 'response',
      id: 0,
      flags: 0,
      questions: [{ name: 'EXAMPLE.com', type: 'A', class: 'IN' }],
    }),
    id,
  );
  assert.equal(answers(good, id, read.query), true);
  assert.equal(answers(good, Uint8Array.of(1, 3), read.query), false);
  assert.equal(answers(withId(query('example.com'), id), id, read.query), false, 'a question is no answer');
  for (const [name, type] of [
    ['example.org', 'A'],
    ['example.com', 'AAAA'],
    ['example.co', 'A'],
  ] as const) {
    const other = encode({
      type: 'response',
      id: 0x0102,
      flags: 0,
      questions: [{ name, type, class: 'IN' }],
    });
    assert.equal(answers(other, id, read.query), false, `${name} ${type}`);
  }
  assert.equal(answers(good.subarray(0, 20), id, read.query), false);
});
