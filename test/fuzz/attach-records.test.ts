import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createRecords, type EndpointRecord } from '../../src/attach/records.ts';
import type { EndpointId, NetworkId } from '../../src/core/ids.ts';
import { KeeperError, openKeeper } from '../../src/mesh/keeper.ts';
import { createMemoryStore } from '../../src/ports/memory/store.ts';

const GOOD: EndpointRecord = {
  id: 'a' as EndpointId,
  kind: 'sandbox',
  phase: 'attached',
  network: 'weft' as NetworkId,
  name: null,
  sandbox: { given: 'web', path: '/run/netns/web', namespace: '4:1', birth: 'x' },
  address: '10.32.0.5',
  prefix: 12,
  link: { interface: 'eth0', hostLink: 'wftabc', mac: '0a:57:0a:20:00:05' },
};

/** Any JSON that can be written down: the codec refuses the key `__proto__`, which fast-check draws now and then. */
const anything = fc.jsonValue().filter((value) => !JSON.stringify(value).includes('"__proto__":'));

/** What the next life makes of a section with this content. */
async function read(content: unknown): Promise<readonly EndpointRecord[] | KeeperError> {
  const store = createMemoryStore();
  const first = await openKeeper({ store });
  await first.section('endpoints', (data) => data, null as unknown).set(content);
  try {
    return createRecords(await openKeeper({ store }), () => {}).all();
  } catch (error) {
    assert.ok(error instanceof KeeperError && error.code === 'bad-section', String(error));
    return error;
  }
}

test('stored endpoints come back as they were', async () => {
  const host = { ...GOOD, id: 'b', kind: 'host', sandbox: null, link: null };
  const early = { ...GOOD, id: 'c', phase: 'attaching', address: null, prefix: 0, link: null };
  assert.deepEqual(await read([GOOD, host, early]), [GOOD, host, early]);
});

test('one field of the wrong kind is found, and named', async () => {
  for (const field of Object.keys(GOOD)) {
    for (const value of [7.5, {}, true, 'x y']) {
      if (typeof value === 'string' && ['network', 'name', 'address'].includes(field)) continue;
      const result = await read([{ ...GOOD, [field]: value }]);
      assert.ok(result instanceof KeeperError, `${field}: ${value}`);
      assert.match(result.message, new RegExp(`section endpoints .*(${field}|given|interface)`));
    }
  }
  assert.ok((await read([GOOD, GOOD])) instanceof KeeperError);
});

test('anything else is refused as a whole', async () => {
  const record = fc.record(
    Object.fromEntries(
      Object.entries(GOOD).map(([key, value]) => [key, fc.oneof(fc.constant(value), anything)]),
    ),
    { requiredKeys: [] },
  );
  await fc.assert(
    fc.asyncProperty(fc.oneof(anything, fc.array(record, { maxLength: 3 })), async (content) => {
      const result = await read(content);
      if (result instanceof KeeperError) return;
      for (const { kind, sandbox, phase, address } of result) {
        assert.equal(kind === 'host', sandbox === null);
        assert.ok(phase !== 'attached' || address !== null);
      }
    }),
    { numRuns: 300 },
  );
});
