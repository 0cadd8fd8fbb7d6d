import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatIpv4, parseIpv4, type Range } from '../../src/core/address.ts';
import { createNameTable, type NameEntry, readName, reverseName } from '../../src/core/names.ts';

const ip = (text: string) => {
  const parsed = parseIpv4(text);
  assert.ok(parsed.ok);
  return parsed.value;
};
const RANGE: Range = { start: ip('10.32.0.0'), last: ip('10.47.255.255') };
const NETWORKS = [
  { id: 'weft', name: 'weft' },
  { id: 'f1', name: 'Front' },
  { id: 'b2', name: 'back' },
  { id: 'n3', name: null },
];

const entry = (network: string, address: string, names: string[], reachable = true): NameEntry => ({
  network,
  address: ip(address),
  names,
  reachable,
});

const ENTRIES = [
  entry('weft', '10.32.0.1', ['web']),
  entry('f1', '10.33.0.1', ['web', 'shared', 'my.app']),
  entry('f1', '10.33.0.2', ['api', 'shared']),
  entry('b2', '10.34.0.1', ['db']),
  entry('b2', '10.34.0.2', ['api']),
  entry('n3', '10.35.0.1', ['lone']),
];

/** What a sandbox of these networks is told, in short: addresses or names with commas, else the kind. */
function told(scope: string[], name: string, type = 'A', entries: NameEntry[] = ENTRIES): string {
  const found = createNameTable({ entries, networks: NETWORKS, range: RANGE }).resolve(scope, { name, type });
  if (found.kind === 'addresses') return found.addresses.map(formatIpv4).sort().join();
  return found.kind === 'names' ? found.names.join() : found.kind;
}

test('a name is known bare, with its network, and in full, in any case', () => {
  for (const name of [
    'web',
    'web.front',
    'web.front.weft.local',
    'web.weft.local',
    'WEB.Front.Weft.LOCAL.',
  ]) {
    assert.equal(told(['f1'], name), '10.33.0.1', name);
  }
  for (const name of ['web', 'web.weft', 'web.weft.local', 'web.weft.weft.local']) {
    assert.equal(told(['weft'], name), '10.32.0.1', name);
  }
});

test('the first network of a sandbox that knows a bare name answers for it, and the others by their names', () => {
  assert.equal(told(['f1', 'b2'], 'api'), '10.33.0.2');
  assert.equal(told(['b2', 'f1'], 'api'), '10.34.0.2');
  assert.equal(told(['f1', 'b2'], 'api.back'), '10.34.0.2');
  assert.equal(told(['f1', 'b2'], 'db'), '10.34.0.1');
});

test('all endpoints that share a name are told', () => {
  assert.equal(told(['f1'], 'shared'), '10.33.0.1,10.33.0.2');
});

test('nothing of a network is told to a sandbox outside of it', () => {
  assert.equal(told(['f1'], 'db'), 'elsewhere');
  assert.equal(told(['f1'], 'db.back.weft.local'), 'no-name');
  assert.equal(told(['f1'], 'back.weft.local'), 'no-name');
  assert.equal(told(['f1'], reverseName(ip('10.34.0.1')), 'PTR'), 'no-name');
  assert.equal(told([], 'web.weft.local'), 'no-name');
});

test('a known name has no data of other types than A, and the domain itself has none of any', () => {
  for (const type of ['AAAA', 'MX', 'TXT', 'HTTPS']) assert.equal(told(['f1'], 'web', type), 'no-data');
  assert.equal(told(['f1'], 'weft.local'), 'no-data');
  assert.equal(told(['f1'], 'front.weft.local'), 'no-data');
});

test('an unknown name is denied under weft.local and left to others elsewhere', () => {
  assert.equal(told(['f1'], 'nobody.weft.local'), 'no-name');
  assert.equal(told(['f1'], 'nobody.front.weft.local'), 'no-name');
  assert.equal(told(['f1'], 'nobody'), 'elsewhere');
  assert.equal(told(['f1'], 'nobody.front'), 'elsewhere');
  assert.equal(told(['f1'], 'example.com'), 'elsewhere');
  assert.equal(told(['f1'], 'notweft.local'), 'elsewhere');
});

test('a name with dots needs its network or weft.local behind it', () => {
  assert.equal(told(['f1'], 'my.app'), 'elsewhere');
  assert.equal(told(['f1'], 'my.app.front'), '10.33.0.1');
  assert.equal(told(['f1'], 'my.app.weft.local'), '10.33.0.1');
});

test('an address of the own networks has its name in full', () => {
  const pointer = (address: string, scope = ['f1']) => told(scope, reverseName(ip(address)), 'PTR');
  assert.equal(pointer('10.33.0.1'), 'web.front.weft.local');
  assert.equal(pointer('10.35.0.1', ['n3']), 'lone.weft.local');
  assert.equal(pointer('10.33.0.77'), 'no-name');
  assert.equal(pointer('192.0.2.1'), 'elsewhere');
  assert.equal(told(['f1'], reverseName(ip('10.33.0.1')), 'A'), 'no-data');
  assert.equal(told(['f1'], '1.0.0.33.10.in-addr.arpa', 'PTR'), 'elsewhere');
  assert.equal(told(['f1'], '010.0.33.10.in-addr.arpa', 'PTR'), 'elsewhere');
});

test('an address that cannot be reached is told only when nobody else has the name', () => {
  const down = entry('f1', '10.33.0.9', ['shared', 'alone'], false);
  assert.equal(told(['f1'], 'shared', 'A', [down, ...ENTRIES]), '10.33.0.1,10.33.0.2');
  assert.equal(told(['f1'], 'alone', 'A', [down]), '10.33.0.9');
});

test('what cannot be a name is none', () => {
  assert.equal(readName('Web_1.App-2.'), 'web_1.app-2');
  const none = ['', '.', 'a..b', '.a', 'a b', 'a/b', 'ü', '-a', '*', 'a\0', 'localhost', 'x.weft.local'];
  for (const text of [...none, 'a'.repeat(64), `${'a.'.repeat(130)}a`, '\u212a']) {
    assert.equal(readName(text), undefined, JSON.stringify(text));
  }
});
