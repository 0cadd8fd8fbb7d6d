import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Cidr, type IpAddress, parseCidr, parseIp } from '../../src/core/address.ts';
import { blocksOf, type Declaration, judge, type PathFacts, readDeclaration } from '../../src/core/path.ts';

const VXLAN = { vni: 7, port: 4789 };
const declare = (...subnets: string[]): Declaration => ({ subnets, vxlan: VXLAN, obstacle: null });
const address = (text: string): IpAddress => {
  const parsed = parseIp(text);
  assert.ok(parsed.ok);
  return parsed.value;
};

function verdict(facts: Partial<PathFacts>) {
  const [theirs, ours] = [[address('192.0.2.2')], [address('192.0.2.1')]];
  const here = declare('192.0.2.0/24');
  const found = judge({ plain: false, here, there: here, theirs, ours, name: 'h2', ...facts });
  return found.trusted ? `trusted at ${found.address === '192.0.2.2' ? 'h2' : found.address}` : found.reason;
}

test('a link that both ends trust takes the fast path, at the first address that is trusted', () => {
  assert.equal(verdict({}), 'trusted at h2');
  const theirs = [address('203.0.113.9'), address('192.0.2.77')];
  assert.equal(verdict({ theirs }), 'trusted at 192.0.2.77');
});

test('who disagrees is named on both sides', () => {
  assert.equal(verdict({ there: declare() }), 'this host trusts the link, h2 does not trust 192.0.2.1');
  assert.equal(verdict({ here: declare() }), 'h2 trusts this link, this host does not trust 192.0.2.2');
  assert.equal(verdict({ here: declare(), there: declare() }), 'the link is not declared trusted');
  assert.equal(verdict({ there: undefined }), 'h2 has not said whom it trusts');
});

test('in a mesh without encryption every link is trusted, and what is in the way is still said', () => {
  const [here, there] = [declare(), declare()];
  assert.equal(verdict({ plain: true, here, there }), 'trusted at h2');
  assert.equal(verdict({ plain: true, here, there, theirs: [] }), 'no address of h2 is known');
  assert.equal(
    verdict({ plain: true, here, there: { ...there, vxlan: null, obstacle: 'no VXLAN' } }),
    'on h2: no VXLAN',
  );
  assert.equal(
    verdict({ plain: true, here, there: { ...there, vxlan: { vni: 8, port: 4789 } } }),
    'h2 uses VNI 8 on UDP port 4789, this host VNI 7 on UDP port 4789',
  );
});

const [US, US6, THEM, THEM6] = ['192.0.2.1', '2001:db8::1', '192.0.2.2', '2001:db8::2'].map(address) as [
  IpAddress,
  IpAddress,
  IpAddress,
  IpAddress,
];

test('over IPv6 a link is trusted like one over IPv4, and where both do it is IPv4', () => {
  const six = { here: declare('2001:db8::/64'), there: declare('2001:db8::/64') };
  assert.equal(verdict({ ...six, theirs: [THEM6], ours: [US6] }), 'trusted at 2001:db8::2');
  assert.equal(verdict({ ...six, theirs: [THEM, THEM6], ours: [US, US6] }), 'trusted at 2001:db8::2');
  const both = declare('192.0.2.0/24', '2001:db8::/64');
  const dual = { theirs: [THEM6, THEM], ours: [US, US6] };
  assert.equal(verdict({ ...dual, here: both, there: both }), 'trusted at h2');
  assert.equal(verdict({ ...dual, here: both, there: declare('2001:db8::/64') }), 'trusted at 2001:db8::2');
  assert.equal(verdict({ ...dual, plain: true }), 'trusted at h2');
});

test('ends that trust each other by different families say so', () => {
  const [here, there] = [declare('192.0.2.0/24'), declare('2001:db8::/64')];
  assert.equal(
    verdict({ here, there, theirs: [THEM, THEM6], ours: [US, US6] }),
    'this host trusts h2 by IPv4, h2 trusts this host by IPv6: both must trust the same',
  );
});

test('one verdict trusts only when the other does, whatever is declared', () => {
  const four = ['192.0.2.1/32', '192.0.2.2/32', '192.0.2.0/30', '10.0.0.0/8'];
  const six = ['2001:db8::1/128', '2001:db8::2/128', '2001:db8::/64'];
  const side = fc.array(fc.constantFrom(...four, ...six), { maxLength: 3 });
  fc.assert(
    fc.property(side, side, (left, right) => {
      const view = (here: string[], there: string[], ours: IpAddress[], theirs: IpAddress[]) =>
        judge({ plain: false, here: declare(...here), there: declare(...there), theirs, ours, name: 'x' });
      const [one, two] = [
        view(left, right, [US, US6], [THEM6, THEM]),
        view(right, left, [THEM6, THEM], [US, US6]),
      ];
      assert.equal(one.trusted, two.trusted);
      if (!one.trusted || !two.trusted) return;
      assert.equal(one.address.includes(':'), two.address.includes(':'), 'both ends take the same family');
    }),
  );
});

test('what is no declaration is none, and a good one is read as it is', () => {
  assert.deepEqual(readDeclaration(declare('10.0.0.0/8')), declare('10.0.0.0/8'));
  const none = { subnets: [], vxlan: null, obstacle: 'why' };
  assert.deepEqual(readDeclaration(none), none);
  const wrong: unknown[] = [
    null,
    7,
    { ...none, subnets: ['10.0.0.1/8'] },
    { ...none, subnets: Array(65).fill('10.0.0.0/8') },
    { ...none, vxlan: { vni: 0, port: 1 } },
    { ...none, vxlan: { vni: 1, port: 65_536 } },
    { ...none, obstacle: 'x'.repeat(201) },
    { ...none, obstacle: 7 },
  ];
  for (const value of wrong) assert.equal(readDeclaration(value), undefined, JSON.stringify(value));
  fc.assert(fc.property(fc.anything(), (value) => void readDeclaration(value)));
});

test('blocks cover a range exactly, and none is one that is taken', () => {
  const point = fc.nat(4_000);
  const base = 0x0a200000;
  const taken = ['10.32.0.0/24', '10.32.4.0/22', '10.32.0.0/20'].map((text) => {
    const parsed = parseCidr(text);
    assert.ok(parsed.ok);
    return parsed.value;
  });
  const same = (a: Cidr, b: Cidr) => a.start === b.start && a.prefix === b.prefix;
  fc.assert(
    fc.property(point, point, (a, b) => {
      const [start, last] = [base + Math.min(a, b), base + Math.max(a, b)];
      let next = start;
      for (const block of blocksOf(start, last, taken)) {
        assert.equal(block.start, next);
        assert.equal(block.start % (block.last - block.start + 1), 0);
        assert.ok(!taken.some((one) => same(one, block)));
        next = block.last + 1;
      }
      assert.equal(next, last + 1);
    }),
  );
  assert.equal(blocksOf(0, 2 ** 32 - 1).length, 1);
});
