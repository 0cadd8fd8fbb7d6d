import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatIpv4, parseIpv4 } from '../../src/core/address.ts';
import { DEFAULT_NETWORK, type EndpointId, type PeerId } from '../../src/core/ids.ts';
import { openKeeper } from '../../src/mesh/keeper.ts';
import { createNames, MOST_NAMES, type Names } from '../../src/mesh/names.ts';
import type { RingSegment } from '../../src/mesh/space.ts';
import { createStaticNames } from '../../src/mesh/static-names.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';
import { createMemoryStore } from '../../src/ports/memory/store.ts';
import { silentLog } from '../hosts/log.ts';
import { createSharedRecords } from './support/shared-records.ts';

const A = 'peer-a' as PeerId;
const B = 'peer-b' as PeerId;
const number = (text: string) => {
  const parsed = parseIpv4(text);
  assert.ok(parsed.ok);
  return parsed.value;
};
const range = (start: string, last: string) => ({ start: number(start), last: number(last) });
const RANGE = range('10.32.0.0', '10.32.1.255');

/** Two peers with half of the range each. */
async function createWorld() {
  const clock = createVirtualClock();
  const shared = createSharedRecords();
  const members = new Set([A, B]);
  const up = new Set([A, B]);
  const watchers = new Set<(peer: PeerId) => void>();
  let ring: readonly RingSegment[] = [
    { ...range('10.32.0.0', '10.32.0.255'), owner: A, network: DEFAULT_NETWORK },
    { ...range('10.32.1.0', '10.32.1.255'), owner: B, network: DEFAULT_NETWORK },
  ];
  const watch = (handler: (peer: PeerId) => void) => {
    watchers.add(handler);
    return () => void watchers.delete(handler);
  };
  const live = async (self: PeerId) => {
    const keeper = await openKeeper({ store: createMemoryStore() });
    const records = shared.of(self);
    const membership = {
      isMember: (peer: PeerId) => members.has(peer),
      isRemoved: (peer: PeerId) => !members.has(peer),
      watch,
    };
    const statics = createStaticNames({ records, keeper, clock, membership, log: silentLog });
    const names = createNames({
      self,
      range: RANGE,
      records,
      membership,
      space: { ring: () => ring, watch },
      liveness: { isUp: (peer) => up.has(peer), onPeerUp: watch, onPeerDown: watch },
      statics,
      networks: () => [
        { id: 'weft', name: 'weft', subnet: RANGE },
        { id: 'f1', name: 'front', subnet: range('10.32.1.128', '10.32.1.255') },
      ],
      watchNetworks: watch,
    });
    return { records, names, statics };
  };
  return {
    sync: shared.sync,
    a: await live(A),
    b: await live(B),
    members,
    up,
    setRing(next: readonly RingSegment[]) {
      ring = next;
      for (const handler of watchers) handler(B);
    },
    change: () => {
      for (const handler of watchers) handler(B);
    },
    ring: () => ring,
  };
}

function told(names: Names, name: string, network = 'weft'): string {
  const found = names.resolve([network], { name, type: 'A' });
  return found.kind === 'addresses' ? found.addresses.map(formatIpv4).sort().join() : found.kind;
}

const endpoint = (id: string) => id as EndpointId;
const about = (address: string, ...names: string[]) => ({ network: 'weft', address, names });

test('a name that one peer publishes is known to the other, until it is withdrawn', async () => {
  const { a, b, sync } = await createWorld();
  await b.names.publish(endpoint('e1'), about('10.32.1.5', 'Web', 'www', 'not a name'));
  sync();
  assert.equal(told(a.names, 'web'), '10.32.1.5');
  assert.equal(told(a.names, 'www.weft.local'), '10.32.1.5');
  assert.deepEqual(a.names.view(), [
    {
      peer: B,
      endpoint: 'e1',
      network: 'weft',
      address: '10.32.1.5',
      names: ['web', 'www'],
      reachable: true,
    },
  ]);
  assert.deepEqual(b.names.published(), ['e1']);
  assert.deepEqual(a.names.published(), []);
  await b.names.withdraw(endpoint('e1'));
  await b.names.withdraw(endpoint('e1'));
  assert.equal(told(b.names, 'web'), 'elsewhere');
});

test('a thousand endpoints, two at a time, take no more keys than two', async () => {
  const { a } = await createWorld();
  const keys = new Set<string>();
  a.records.watch('name/', ({ key }) => keys.add(key));
  await a.names.publish(endpoint('e0'), about('10.32.0.1', 'web'));
  for (let number = 1; number < 1_000; number++) {
    await a.names.publish(endpoint(`e${number}`), about('10.32.0.2', 'web'));
    await a.names.withdraw(endpoint(`e${number - 1}`));
  }
  assert.deepEqual(a.names.published(), ['e999']);
  assert.equal(told(a.names, 'web'), '10.32.0.2');
  assert.deepEqual([...keys].sort(), ['name/0', 'name/1']);
});

test('an endpoint that comes back while it is taken away keeps its names, and nobody gets its key', async () => {
  const { a } = await createWorld();
  await a.names.publish(endpoint('e1'), about('10.32.0.1', 'one'));
  await Promise.all([
    a.names.withdraw(endpoint('e1')),
    a.names.publish(endpoint('e1'), about('10.32.0.1', 'one')),
    a.names.publish(endpoint('e2'), about('10.32.0.2', 'two')),
  ]);
  await a.names.publish(endpoint('e3'), about('10.32.0.3', 'three'));
  const all = ['one', 'two', 'three'].map((name) => told(a.names, name));
  assert.deepEqual(all, ['10.32.0.1', '10.32.0.2', '10.32.0.3']);
});

test('names that an earlier life wrote can be withdrawn, those that came back under two keys, too', async () => {
  const { a } = await createWorld();
  const value = { endpoint: 'old', network: 'weft', address: '10.32.0.7', names: ['old'] };
  await a.records.put('name/3', value);
  await a.names.publish(endpoint('e1'), about('10.32.0.1', 'one'));
  await a.records.put('name/5', value);
  assert.deepEqual([...a.names.published()].sort(), ['e1', 'old']);
  await a.names.withdraw(endpoint('old'));
  assert.deepEqual([told(a.names, 'old'), told(a.names, 'one')], ['elsewhere', '10.32.0.1']);
});

test('a peer can name its own addresses only', async () => {
  const { a, b, sync } = await createWorld();
  await b.names.publish(endpoint('e1'), about('10.32.0.5', 'thief'));
  await b.names.publish(endpoint('e2'), about('192.0.2.1', 'outsider'));
  sync();
  assert.equal(told(a.names, 'thief'), 'elsewhere');
  assert.equal(told(a.names, 'outsider'), 'elsewhere');
});

test('a name counts in the network whose subnet has the address, and in no other', async () => {
  const { a, b, sync } = await createWorld();
  await b.names.publish(endpoint('e1'), { network: 'f1', address: '10.32.1.5', names: ['wrong'] });
  await b.names.publish(endpoint('e2'), { network: 'f1', address: '10.32.1.200', names: ['right'] });
  await b.names.publish(endpoint('e3'), { network: 'nowhere', address: '10.32.1.6', names: ['lost'] });
  sync();
  assert.equal(told(a.names, 'wrong', 'f1'), 'elsewhere');
  assert.equal(told(a.names, 'right', 'f1'), '10.32.1.200');
  assert.equal(told(a.names, 'right', 'weft'), 'elsewhere');
  assert.equal(told(a.names, 'lost', 'nowhere'), 'elsewhere');
  await b.names.publish(endpoint('e4'), about('10.32.1.201', 'beside'));
  sync();
  assert.equal(told(a.names, 'beside'), 'elsewhere', 'the default network has what no other took');
});

test('a name goes with its address to nobody: when the address changes hands, it is gone', async () => {
  const { a, b, sync, setRing, ring } = await createWorld();
  await b.names.publish(endpoint('e1'), about('10.32.1.5', 'web'));
  sync();
  assert.equal(told(a.names, 'web'), '10.32.1.5');
  setRing(ring().map((segment) => ({ ...segment, owner: A })));
  assert.equal(told(a.names, 'web'), 'elsewhere');
});

test('names of a peer that is down are told only where nobody else has them; those of a removed one never', async () => {
  const { a, b, sync, up, members, change } = await createWorld();
  await a.names.publish(endpoint('e1'), about('10.32.0.5', 'both'));
  await b.names.publish(endpoint('e2'), about('10.32.1.5', 'both', 'far'));
  sync();
  assert.equal(told(a.names, 'both'), '10.32.0.5,10.32.1.5');
  up.delete(B);
  change();
  assert.equal(told(a.names, 'both'), '10.32.0.5');
  assert.equal(told(a.names, 'far'), '10.32.1.5');
  members.delete(B);
  change();
  assert.equal(told(a.names, 'far'), 'elsewhere');
});

test('what a peer writes in another form is no name, and harms no other', async () => {
  const { a, b, sync } = await createWorld();
  const wrong: unknown[] = [
    null,
    'web',
    [],
    {},
    { network: 'weft', address: '10.32.1.5', names: ['web'] },
    ...[
      { network: 'weft', address: '10.32.1.5' },
      { network: 'weft', address: '10.32.1.5', names: 'web' },
      { network: 'weft', address: '010.32.1.5', names: ['web'] },
      { network: '../weft', address: '10.32.1.5', names: ['web'] },
      { network: 'weft', address: '10.32.1.5', names: [7, null, 'a b', 'x.weft.local', 'localhost'] },
      { network: 'weft', address: '10.32.1.5', names: Array(MOST_NAMES + 1).fill('web') },
    ].map((value) => ({ endpoint: 'e', ...value })),
    { endpoint: 'e'.repeat(129), network: 'weft', address: '10.32.1.5', names: ['web'] },
    { endpoint: 7, network: 'weft', address: '10.32.1.5', names: ['web'] },
  ];
  await b.records.putAll(new Map(wrong.map((value, at) => [`name/${at}`, value])));
  await b.names.publish(endpoint('good'), about('10.32.1.9', 'good'));
  sync();
  assert.equal(told(a.names, 'web'), 'elsewhere');
  assert.deepEqual(
    a.names.view().map(({ endpoint: id }) => id),
    ['good'],
  );
});

test('watchers hear of each change', async () => {
  const { a, b, sync, change } = await createWorld();
  let heard = 0;
  const stop = a.names.watch(() => heard++);
  await b.names.publish(endpoint('e1'), about('10.32.1.5', 'web'));
  sync();
  assert.equal(heard, 1);
  change();
  assert.ok(heard > 1);
  const before = heard;
  stop();
  change();
  assert.equal(heard, before);
});

test('a name given by hand leads anywhere, beside those of endpoints, and every member may take it away', async () => {
  const { a, b, sync } = await createWorld();
  const entry = { network: 'weft', name: 'db', address: number('192.0.2.7') };
  await a.statics.add(entry);
  await a.statics.add({ ...entry, address: number('192.0.2.8') });
  await b.names.publish(endpoint('e1'), about('10.32.1.5', 'db'));
  sync();
  assert.equal(told(b.names, 'db'), '10.32.1.5,192.0.2.7,192.0.2.8');
  assert.equal(told(b.names, 'db', 'f1'), 'elsewhere');
  await b.statics.remove(entry);
  sync();
  assert.equal(told(a.names, 'db'), '10.32.1.5,192.0.2.8');
  await a.statics.add(entry);
  sync();
  assert.equal(told(b.names, 'db'), '10.32.1.5,192.0.2.7,192.0.2.8');
});

test('what a member writes under another key, or in another form, is no name', async () => {
  const { a, b, sync } = await createWorld();
  await b.statics.add({ network: 'weft', name: 'good', address: number('192.0.2.7') });
  const [record] = [...b.records.entries('static/')];
  const version = record?.value as object;
  await b.records.put('static/weft/db/192.0.2.7', version);
  await b.records.put('static/weft/x/1.2.3.4', 'x');
  sync();
  assert.deepEqual(
    a.statics.all().map(({ name }) => name),
    ['good'],
  );
});
