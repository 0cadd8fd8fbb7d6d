import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { createEndpoints, type Endpoints } from '../../src/attach/endpoints.ts';
import type { Addresses } from '../../src/attach/parts.ts';
import { DEFAULT_NETWORK } from '../../src/core/ids.ts';
import { createLinuxHost } from '../../src/host/linux.ts';
import { openKeeper } from '../../src/mesh/keeper.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';
import { createSeededRandom } from '../../src/ports/memory/random.ts';
import { createMemoryStore } from '../../src/ports/memory/store.ts';
import { silentLog } from './log.ts';
import { createNamespaces, type Namespaces, needsRoot } from './namespaces.ts';

describe('attaching to a real host', { skip: needsRoot }, () => {
  let net: Namespaces;
  let one: string;
  let two: string;
  let live: () => Promise<Endpoints>;
  const allocated = new Map<string, string>();
  const space: Addresses = {
    async allocate({ endpoint, wanted }) {
      const address = allocated.get(endpoint) ?? wanted ?? `10.32.0.${100 + allocated.size}`;
      allocated.set(endpoint, address);
      return { address, prefix: 12 };
    },
    async release(endpoint) {
      allocated.delete(endpoint);
    },
  };

  beforeEach(async () => {
    allocated.clear();
    net = await createNamespaces();
    one = await net.add('one');
    two = await net.add('two');
    const store = createMemoryStore();
    let lives = 0;
    live = async () => {
      const { stateDirectory, hostPath: netns } = net;
      const host = createLinuxHost({ stateDirectory, netns, log: silentLog });
      await host.prepare({ device: 'weft0', range: '10.32.0.0/12', mtu: 1400 });
      return createEndpoints({
        space,
        networks: { get: () => ({ id: DEFAULT_NETWORK }) },
        host,
        keeper: await openKeeper({ store }),
        clock: createVirtualClock(),
        random: createSeededRandom(lives++),
        log: silentLog,
        device: 'weft0',
        mtu: () => 1400,
        others: () => false,
      });
    };
  });
  afterEach(() => net.close());

  const ping = (from: string, to: string) => net.run(from, 'ping', '-n', '-q', '-c', '1', '-W', '1', to);

  test('what was cut, lost or left behind while the daemon was away is put right by its next start', async () => {
    const endpoints = await live();
    const gone = await net.add('gone');
    const a = await endpoints.attach({ sandbox: one, name: 'a' });
    const b = await endpoints.attach({ sandbox: two, name: 'b' });
    const c = await endpoints.attach({ sandbox: gone });
    const h = await endpoints.expose();
    await ping(one, b.address);
    await net.run(one, 'ip', 'link', 'del', a.interface);
    await net.run('host', 'ip', 'route', 'del', b.address, 'table', '173', 'dev', String(b.hostLink));
    await net.run('host', 'ip', 'address', 'del', `${h.address}/32`, 'dev', 'weft0');
    await net.remove(gone);
    // The kernel takes namespaces apart in its own time.
    while ((await net.run('host', 'ip', '-o', 'link')).includes(String(c.hostLink)));
    const next = await live();
    const { replugged, released, removed, failed } = await next.reconcile();
    assert.deepEqual([replugged, released, removed, failed], [[a.id, b.id], [c.id], [], []]);
    assert.deepEqual(
      next.list().map(({ id, address, up }) => [id, address, up]),
      [a, b, h].map(({ id, address }) => [id, address, true]),
    );
    await ping(one, b.address);
    await ping(two, h.address);
  });

  test('attach, detach and attach again need no wait in between', async () => {
    const endpoints = await live();
    const { address: neighbour } = await endpoints.attach({ sandbox: two });
    for (let round = 0; round < 5; round++) {
      const { address, interface: link } = await endpoints.attach({ sandbox: one, ip: '10.32.0.5' });
      assert.deepEqual([address, link], ['10.32.0.5', 'eth0']);
      await ping(two, address);
      await ping(one, neighbour);
      await endpoints.detach(one);
      assert.doesNotMatch(await net.run(one, 'ip', 'link'), /eth0/);
    }
    assert.equal(allocated.size, 1);
  });

  test('twenty sandboxes attached at once are twenty endpoints', async () => {
    const endpoints = await live();
    const sandboxes: string[] = [];
    for (let number = 0; number < 20; number++) sandboxes.push(await net.add(`n${number}`));
    const attached = await Promise.all(sandboxes.map((sandbox) => endpoints.attach({ sandbox })));
    assert.equal(new Set(attached.map(({ address }) => address)).size, 20);
    await ping(String(sandboxes[0]), String(attached[19]?.address));
    await Promise.all(sandboxes.map((sandbox) => endpoints.detach(sandbox)));
    assert.doesNotMatch(await net.run('host', 'ip', 'link'), /wft/);
    assert.equal(allocated.size, 0);
  });
});
