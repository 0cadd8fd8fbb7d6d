import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  formatHostPort,
  formatIpv4,
  formatIpv6,
  type Parsed,
  parseAddressWithPrefix,
  parseCidr,
  parseHostPort,
  parseIp,
  parseIpv4,
  parseIpv6,
  prefixOf,
} from '../../src/core/address.ts';

function read<T>(parsed: Parsed<T>): T {
  if (!parsed.ok) assert.fail(parsed.message);
  return parsed.value;
}

function messageOf(parsed: Parsed<unknown>): string {
  if (parsed.ok)
    assert.fail(
      `${JSON.stringify(parsed.value, (_, v) => (typeof v === 'bigint' ? `${v}` : v))} was accepted`,
    );
  return parsed.message;
}

test('an IPv4 address is four decimal numbers and nothing else', () => {
  assert.equal(read(parseIpv4('10.32.0.5')), 0x0a200005);
  assert.equal(read(parseIpv4('255.255.255.255')), 0xffff_ffff);
  assert.equal(read(parseIpv4('0.0.0.0')), 0);
  const bad = [
    '',
    '10',
    '10.1',
    '10.32.5',
    '10.32.0.5.6',
    '010.32.0.5',
    '10.32.0.05',
    '0x0a.32.0.5',
    '10.32.0.256',
    '10.32.0.-1',
    ' 10.32.0.5',
    '10.32.0.5 ',
    '10.32.0.5\n',
    '10..0.5',
    '10.32.0.',
    '1e1.0.0.1',
    '١٠.32.0.5',
    '10.32.0.5/12',
    '+1.2.3.4',
  ];
  for (const text of bad) assert.match(messageOf(parseIpv4(text)), /four numbers from 0 to 255/, text);
});

test('every IPv4 address survives being written and read', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), (address) => {
      assert.equal(read(parseIpv4(formatIpv4(address))), address);
    }),
  );
});

test('IPv6 addresses are read in every form of RFC 4291 and written as RFC 5952 says', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['2001:DB8:0:0:0:0:2:1', '2001:db8::2:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304'],
  ];
  for (const [text, canonical] of cases) assert.equal(formatIpv6(read(parseIpv6(text))), canonical, text);
  const bad = [
    '',
    ':',
    ':::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1::2::3',
    '1:2:3:4:5:6:7:8::',
    '::1:2:3:4:5:6:7:8',
    '12345::',
    'fe80::1%eth0',
    '::1.2.3',
    '::1.2.3.256',
    '::01.2.3.4',
    '1.2.3.4::',
    '::1.2.3.4:5',
    '[::1]',
    ':1:2:3:4:5:6:7',
    'g::',
    '1:',
    '1:2:3:4:5:6:7:1.2.3.4',
  ];
  for (const text of bad) assert.match(messageOf(parseIpv6(text)), /is not an IPv6 address/, text);
});

test('every IPv6 address survives being written and read', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }),
      fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }),
      (a, mask) => {
        assert.equal(read(parseIpv6(formatIpv6(a & mask))), a & mask);
      },
    ),
  );
});

test('an IPv4 address wrapped in IPv6 is the IPv4 address', () => {
  assert.deepEqual(read(parseIp('::ffff:10.32.0.5')), { family: 4, value: 0x0a200005 });
  assert.deepEqual(read(parseIp('::FFFF:0a20:5')), { family: 4, value: 0x0a200005 });
  assert.deepEqual(read(parseIp('::fffe:10.32.0.5')), { family: 6, value: 0xfffe0a200005n });
  assert.deepEqual(read(parseHostPort('[::ffff:192.0.2.7]:6783')), {
    kind: 'ipv4',
    host: '192.0.2.7',
    port: 6783,
  });
});

test('a block of addresses has no bits beyond its prefix', () => {
  const block = read(parseCidr('10.32.0.0/12'));
  assert.deepEqual(block, { address: 0x0a200000, prefix: 12, start: 0x0a200000, last: 0x0a2fffff });
  assert.equal(prefixOf(block), 12);
  assert.equal(prefixOf({ start: 1, last: 2 }), undefined);
  assert.equal(prefixOf({ start: 0, last: 2 }), undefined);
  assert.deepEqual(read(parseCidr('0.0.0.0/0')), { address: 0, prefix: 0, start: 0, last: 0xffff_ffff });
  assert.deepEqual(read(parseCidr('1.2.3.4/32')).last, 0x01020304);
  assert.match(messageOf(parseCidr('10.32.0.5/12')), /write 10\.32\.0\.0\/12/);
  assert.equal(read(parseAddressWithPrefix('10.32.0.5/12')).address, 0x0a200005);
  for (const text of [
    '10.32.0.0',
    '10.32.0.0/',
    '10.32.0.0/33',
    '10.32.0.0/012',
    '10.32.0.0/1 2',
    '10.32/12',
    '/12',
    '10.32.0.0/-1',
    '10.32.0.0/12/1',
  ]) {
    assert.match(messageOf(parseCidr(text)), /prefix from 0 to 32/, text);
  }
});

test('a socket is written host:port, with brackets around IPv6', () => {
  const socket = (text: string, port?: number) => read(parseHostPort(text, port));
  assert.deepEqual(socket('192.0.2.7:6783'), { kind: 'ipv4', host: '192.0.2.7', port: 6783 });
  assert.deepEqual(socket('[2001:DB8::7]:0'), { kind: 'ipv6', host: '2001:db8::7', port: 0 });
  assert.deepEqual(socket('Host-1.example.com:65535'), {
    kind: 'name',
    host: 'host-1.example.com',
    port: 65_535,
  });
  assert.deepEqual(socket('2001:db8::7', 6783), { kind: 'ipv6', host: '2001:db8::7', port: 6783 });
  assert.deepEqual(socket('[2001:db8::7]', 6783), { kind: 'ipv6', host: '2001:db8::7', port: 6783 });
  assert.deepEqual(socket('node', 6783), { kind: 'name', host: 'node', port: 6783 });
  const bad = [
    '',
    ':6783',
    '192.0.2.7',
    '192.0.2.7:',
    '192.0.2.7:65536',
    '192.0.2.7:06783',
    '192.0.2.7:6783x',
    '2001:db8::7',
    '[::1:6783',
    '[::1]6783',
    '[192.0.2.7]:1',
    '127.1:80',
    '0177.0.0.1:80',
    '0x7f.0.0.1:80',
    '2130706433:80',
    '0x7f000001:80',
    'a..b:80',
    '-a:80',
    'a b:80',
    'a/b:80',
    'a:b:80',
    '$(id):80',
    '1.2.3.4.:80',
    '[fe80::1%lo]:80',
    `${'a'.repeat(400)}:80`,
  ];
  for (const text of bad) assert.ok(messageOf(parseHostPort(text)).length > 20, text);
});

test('what is read as a socket is written so that it is read the same', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain()),
      fc.integer({ min: 0, max: 65_535 }),
      (host, port) => {
        const parsed = read(parseHostPort(formatHostPort(host, port)));
        assert.deepEqual(read(parseHostPort(formatHostPort(parsed.host, parsed.port))), parsed);
      },
    ),
  );
});

test('no text makes a reader throw, and messages stay on one line', () => {
  const readers = [
    parseIpv4,
    parseIpv6,
    parseIp,
    parseCidr,
    parseAddressWithPrefix,
    (text: string) => parseHostPort(text),
  ];
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 400 }),
    fc.string({ unit: fc.constantFrom(...'0123456789abcdefx.:[]/%- '), maxLength: 60 }),
  );
  fc.assert(
    fc.property(text, (input) => {
      for (const reader of readers) {
        const parsed: Parsed<unknown> = reader(input);
        if (!parsed.ok) assert.match(parsed.message, /^[\x20-\x7e…]{1,200}$/);
      }
    }),
    { numRuns: 2_000 },
  );
});
