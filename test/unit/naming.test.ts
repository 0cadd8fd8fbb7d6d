import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EndpointId } from '../../src/core/ids.ts';
import { createNaming, type NamedEndpoint } from '../../src/daemon/naming.ts';
import type { NamePlace, OpenPlace } from '../../src/doors/dns/dns.ts';
import type { Publication } from '../../src/mesh/names.ts';
import { silentLog } from '../hosts/log.ts';

const one: NamedEndpoint = {
  id: 'e1' as EndpointId,
  network: 'weft',
  address: '10.32.0.1',
  sandbox: 'blue',
  names: ['web'],
};

/** Sources that a test sets; names and sandboxes as lists. `missing`: sandboxes that are not there yet. */
function createWorld(published: readonly string[] = []) {
  let list: readonly NamedEndpoint[] = [];
  const watchers = new Set<() => void>();
  const names = new Map<string, Publication | null>(published.map((id) => [id, null]));
  const places = new Map<string, OpenPlace>();
  const missing = new Map<string, () => void>();
  const calls: string[] = [];
  let full = false;
  const naming = createNaming({
    sources: [
      {
        list: () => list,
        watch(handler) {
          watchers.add(handler);
          return () => watchers.delete(handler);
        },
      },
    ],
    names: {
      async publish(endpoint, about) {
        calls.push(`publish ${endpoint}`);
        if (full) throw new Error('disk full');
        names.set(endpoint, about);
      },
      async withdraw(endpoint) {
        names.delete(endpoint);
      },
      published: () => [...names.keys()] as EndpointId[],
    },
    dns: {
      async open(place: NamePlace) {
        calls.push(`open ${place.sandbox}`);
        places.set(place.endpoint, { ...place, works: false });
        if (place.sandbox === 'late') await new Promise<void>((come) => missing.set(place.endpoint, come));
        places.set(place.endpoint, { ...place, works: true });
        return true;
      },
      async close(endpoint) {
        places.delete(endpoint);
      },
      list: () => [...places.values()],
      stop: async () => places.clear(),
    },
    log: silentLog,
  });
  return {
    naming,
    names,
    calls,
    missing,
    open: () => [...places.values()].map(({ endpoint, sandbox, works }) => `${endpoint} ${sandbox} ${works}`),
    set(next: readonly NamedEndpoint[]) {
      list = next;
      for (const watcher of watchers) watcher();
    },
    setFull(value: boolean) {
      full = value;
    },
  };
}

test('names and sandboxes follow what is attached', async () => {
  const { naming, names, open, set, calls } = createWorld();
  set([one]);
  await naming.settle('e1');
  assert.deepEqual(names.get('e1'), { network: 'weft', address: '10.32.0.1', names: ['web'] });
  assert.deepEqual(open(), ['e1 blue true']);
  set([one]);
  await naming.settle();
  assert.deepEqual(calls, ['publish e1', 'open blue'], 'what is the same is left alone');
  set([{ ...one, names: ['www'], sandbox: 'green' }]);
  await naming.settle('e1');
  assert.deepEqual(names.get('e1')?.names, ['www']);
  assert.deepEqual(open(), ['e1 green true']);
  set([]);
  await naming.settle();
  assert.deepEqual([names.size, open().length], [0, 0]);
});

test('names of an earlier life go with their endpoints; those that somebody else publishes stay', async () => {
  const { naming, names, set } = createWorld(['gone', 'docker']);
  set([{ ...one, id: 'docker' as EndpointId, names: null }]);
  await naming.settle();
  assert.deepEqual([...names.keys()], ['docker']);
});

test('a sandbox that is not there yet holds up no other', async () => {
  const { naming, open, set, missing } = createWorld();
  set([{ ...one, id: 'e9' as EndpointId, sandbox: 'late' }, one]);
  await naming.settle('e1');
  assert.deepEqual(open(), ['e9 late false', 'e1 blue true']);
  missing.get('e9')?.();
  await naming.settle('e9');
  assert.deepEqual(open(), ['e9 late true', 'e1 blue true']);
});

test('what could not be published is tried again with the next change', async () => {
  const { naming, names, set, setFull } = createWorld();
  setFull(true);
  set([one]);
  await naming.settle('e1');
  assert.equal(names.size, 0);
  setFull(false);
  await naming.settle();
  assert.equal(names.size, 1);
});

test('after stop nothing is answered and nothing followed; names stay', async () => {
  const { naming, names, open, set, calls } = createWorld();
  set([one]);
  await naming.settle('e1');
  await naming.stop();
  assert.deepEqual([open().length, names.size], [0, 1]);
  set([{ ...one, id: 'e2' as EndpointId }]);
  await naming.settle();
  assert.equal(calls.length, 2);
});
