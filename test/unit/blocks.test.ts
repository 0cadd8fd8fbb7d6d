import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatIpv6, parseIp } from '../../src/core/address.ts';
import { formatBlock, isInBlock, parseBlock } from '../../src/core/blocks.ts';

const read = (text: string): string => {
  const parsed = parseBlock(text);
  return parsed.ok ? formatBlock(parsed.value) : parsed.message;
};

test('blocks of both families are read and written in one spelling', () => {
  for (const text of ['10.0.0.0/8', '0.0.0.0/0', '192.0.2.1/32', '2001:db8::/32', '::/0', 'fd00::1/128']) {
    assert.equal(read(text), text);
  }
  assert.equal(read('2001:DB8:0:0::/64'), '2001:db8::/64');
});

test('what is no block is refused with what would be right', () => {
  assert.match(read('2001:db8::1/64'), /bits set beyond its prefix: write 2001:db8::\/64/);
  assert.match(read('10.0.0.1/8'), /write 10\.0\.0\.0\/8/);
  for (const text of [
    '::/129',
    '::',
    '::/',
    '::/01',
    '::/1/2',
    ':/8',
    '::%eth0/64',
    '::ffff:10.0.0.0/104',
    '',
  ]) {
    assert.equal(parseBlock(text).ok, false, text);
  }
});

test('a block holds the addresses that have its first bits, and none of the other family', () => {
  const within = (block: string, text: string) => {
    const [parsed, address] = [parseBlock(block), parseIp(text)];
    assert.ok(parsed.ok && address.ok);
    return isInBlock(parsed.value, address.value);
  };
  assert.ok(within('2001:db8::/32', '2001:db8:ffff::1') && !within('2001:db8::/32', '2001:db9::'));
  assert.ok(within('192.0.2.0/24', '192.0.2.255') && !within('192.0.2.0/24', '192.0.3.0'));
  assert.ok(within('0.0.0.0/0', '203.0.113.1') && within('::/0', 'fe80::1'));
  assert.ok(!within('::/0', '203.0.113.1') && !within('0.0.0.0/0', '::1'));
});

test('every block of IPv6 holds its own first address and comes back as it was', () => {
  const word = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n });
  fc.assert(
    fc.property(word, fc.integer({ min: 0, max: 128 }), (value, prefix) => {
      const rest = BigInt(128 - prefix);
      const text = `${formatIpv6((value >> rest) << rest)}/${prefix}`;
      const parsed = parseBlock(text);
      if (!parsed.ok) return assert.match(text, /^::ffff:/, parsed.message);
      assert.equal(formatBlock(parsed.value), text);
      assert.ok(isInBlock(parsed.value, { family: 6, value }));
    }),
  );
});
