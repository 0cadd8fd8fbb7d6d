import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { EndpointId } from '../../src/core/ids.ts';
import { type Host, HostError, type HostErrorCode, type PlugPlan } from '../../src/ports/host.ts';

/** One machine to try a Host on. */
export interface HostBench {
  /** A Host on the machine as it is: called again, it is the daemon's next life. */
  start(): Host;
  /** Makes a sandbox with these interfaces besides `lo`; resolves to what `plug` calls it. */
  addSandbox(name: string, interfaces?: readonly string[]): Promise<string>;
  removeSandbox(sandbox: string): Promise<void>;
  /** Interfaces besides `lo`, sorted. */
  interfaces(sandbox: string): Promise<readonly string[]>;
  /** Takes an interface down from inside. */
  setDown(sandbox: string, endpoint: EndpointId): Promise<void>;
  /** Takes an offered link into a sandbox as Docker does: name, address with prefix, up. */
  takeOffer(link: string, sandbox: string, name: string, address: string): Promise<void>;
  /** Links on the host that are offered and not taken. */
  offers(): Promise<readonly string[]>;
  /** Subnets that are kept apart, sorted. */
  networks(): Promise<readonly string[]>;
  close(): Promise<void>;
}

const MESH = { device: 'weft0', range: '10.32.0.0/12', mtu: 1400 };
const FAST = {
  vni: 7_824_742,
  port: 4789,
  mac: '06:57:00:00:00:01',
  linkLocal: 'fe80::1',
  own: [{ start: 0x0a200000, last: 0x0a27ffff }],
  peers: [
    {
      underlay: '192.0.2.7',
      mac: '06:57:00:00:00:02',
      linkLocal: 'fe80::2',
      // From 10.40.0.0 to 10.44.0.4: blocks of several sizes, the last of one address.
      ranges: [{ start: 0x0a280000, last: 0x0a2c0004 }],
      mtu: 1400,
    },
  ],
} as const;
const A = 'a'.repeat(64) as EndpointId;
const B = 'b-1.eth0' as EndpointId;

function refuses(code: HostErrorCode, task: Promise<unknown>): Promise<void> {
  return assert.rejects(task, (error) => error instanceof HostError && error.code === code);
}

/** What every Host does, whatever it stands on. */
export function hostContract(title: string, skip: string | false, makeBench: () => Promise<HostBench>): void {
  describe(title, { skip }, () => {
    let bench: HostBench;
    let host: Host;
    let one: string;
    let two: string;
    const plan = (sandbox: string, more: Partial<PlugPlan> = {}): PlugPlan => {
      return { endpoint: A, sandbox, address: '10.32.0.5/12', mtu: 1400, ...more };
    };
    const endpoints = async (of = host) => (await of.plugged()).map(({ endpoint }) => endpoint).sort();

    beforeEach(async () => {
      bench = await makeBench();
      host = bench.start();
      await host.prepare(MESH);
      one = await bench.addSandbox('one');
      two = await bench.addSandbox('two', ['eth0']);
    });
    afterEach(() => bench.close());

    test('a plug gives the sandbox an interface and shows in the list', async () => {
      const result = await host.plug(plan(one));
      assert.equal(result.interface, 'eth0');
      assert.match(result.mac, /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
      assert.ok(result.sandboxPath.startsWith('/'));
      assert.deepEqual(await bench.interfaces(one), ['eth0']);
      assert.deepEqual(await host.plugged(), [{ endpoint: A, hostLink: result.hostLink, up: true }]);
    });

    test('the same plug twice is one link with the same names', async () => {
      const first = await host.plug(plan(one));
      assert.deepEqual(await host.plug(plan(one)), first);
      assert.deepEqual(await bench.interfaces(one), ['eth0']);
    });

    test('the path that a plug gives finds the same sandbox again', async () => {
      const { sandboxPath } = await host.plug(plan(one));
      assert.deepEqual(await host.locate(sandboxPath), await host.locate(one));
      assert.notEqual((await host.locate(one)).namespace, (await host.locate(two)).namespace);
    });

    test('a sandbox that takes the place of another of the same name is told from it', async () => {
      const before = await host.locate(one);
      await bench.removeSandbox(one);
      assert.equal(await bench.addSandbox('one'), one);
      assert.notEqual((await host.locate(one)).birth, before.birth);
    });

    test('where eth0 is taken the interface is weft0, then weft1', async () => {
      assert.equal((await host.plug(plan(two))).interface, 'weft0');
      const second = plan(two, { endpoint: B, address: '10.32.0.6/12' });
      assert.equal((await host.plug(second)).interface, 'weft1');
      assert.deepEqual(await bench.interfaces(two), ['eth0', 'weft0', 'weft1']);
    });

    test('a name that is asked for is taken or refused, never changed', async () => {
      await refuses('interface-taken', host.plug(plan(two, { interface: 'eth0' })));
      assert.deepEqual(await host.plugged(), []);
      assert.equal((await host.plug(plan(two, { interface: 'mesh.1' }))).interface, 'mesh.1');
    });

    test('a plug with another interface name replaces the first', async () => {
      await host.plug(plan(one));
      await host.plug(plan(one, { interface: 'eth7' }));
      assert.deepEqual(await bench.interfaces(one), ['eth7']);
      assert.deepEqual(await endpoints(), [A]);
    });

    test('an endpoint that is plugged elsewhere moves', async () => {
      await host.plug(plan(one));
      await host.plug(plan(two));
      assert.deepEqual(await bench.interfaces(one), []);
      assert.deepEqual(await bench.interfaces(two), ['eth0', 'weft0']);
      assert.deepEqual(await endpoints(), [A]);
    });

    test('an address is used once on a host', async () => {
      await host.plug(plan(one));
      await refuses('address-taken', host.plug(plan(two, { endpoint: B })));
      await refuses('address-taken', host.setHostAddresses([{ address: '10.32.0.5/12' }]));
      await host.setHostAddresses([{ address: '10.32.0.9/12' }]);
      await refuses('address-taken', host.plug(plan(two, { endpoint: B, address: '10.32.0.9/12' })));
      assert.deepEqual(await endpoints(), [A]);
    });

    test('what is no sandbox is refused', async () => {
      for (const text of ['nobody', '/run/netns/nobody', '4194999', '']) {
        await refuses('sandbox-missing', host.plug(plan(text)));
        await refuses('sandbox-missing', host.locate(text));
      }
    });

    test('what is no name or address is refused and leaves nothing', async () => {
      await refuses('bad-request', host.plug(plan(one, { interface: 'a b' })));
      await refuses('bad-request', host.plug(plan(one, { endpoint: 'x;y' as EndpointId })));
      await refuses('bad-request', host.plug(plan(one, { address: '10.32.0.5' })));
      await refuses('bad-request', host.plug(plan(one, { address: '10.32.0.05/12' })));
      assert.deepEqual(await bench.interfaces(one), []);
    });

    test('an unplug takes the interface away, and may be repeated', async () => {
      await host.plug(plan(one));
      await host.unplug(A);
      await host.unplug(A);
      assert.deepEqual(await bench.interfaces(one), []);
      assert.deepEqual(await host.plugged(), []);
    });

    test('a sandbox that ends takes its link along, and the unplug after it is fine', async () => {
      await host.plug(plan(one));
      await bench.removeSandbox(one);
      // The kernel takes namespaces apart in its own time.
      for (let looks = 0; looks < 500 && (await host.plugged()).length > 0; looks++);
      assert.deepEqual(await host.plugged(), []);
      await host.unplug(A);
    });

    test('an interface that is taken down inside shows, and a plug raises it', async () => {
      await host.plug(plan(one));
      await bench.setDown(one, A);
      assert.deepEqual(
        (await host.plugged()).map(({ up }) => up),
        [false],
      );
      await host.plug(plan(one));
      assert.deepEqual(
        (await host.plugged()).map(({ up }) => up),
        [true],
      );
    });

    test('the next life of the daemon finds what the last one made', async () => {
      const first = await host.plug(plan(one));
      const next = bench.start();
      await next.prepare(MESH);
      assert.deepEqual(await endpoints(next), [A]);
      assert.deepEqual(await next.plug(plan(one)), first);
      await next.unplug(A);
      assert.deepEqual(await bench.interfaces(one), []);
    });

    const offer = { endpoint: A, address: '10.32.0.5/12', mtu: 1400 };
    const MAC = '02:11:22:33:44:55';
    const up = async () => (await host.plugged()).map((link) => link.up);

    test('an offered link waits on the host until somebody takes it into a sandbox', async () => {
      const { link, hostLink } = await host.offerLink(offer);
      assert.deepEqual(await host.plugged(), [{ endpoint: A, hostLink, up: false }]);
      assert.deepEqual(await bench.offers(), [link]);
      await bench.takeOffer(link, one, 'eth0', '10.32.0.5/12');
      assert.deepEqual(await bench.offers(), []);
      assert.deepEqual(await bench.interfaces(one), ['eth0']);
      assert.deepEqual(await up(), [true]);
    });

    test('the same offer twice is one link', async () => {
      const first = await host.offerLink(offer);
      assert.deepEqual(await host.offerLink(offer), first);
      assert.deepEqual(await bench.offers(), [first.link]);
    });

    test('an offer for an endpoint whose link was taken makes a new link', async () => {
      const first = await host.offerLink(offer);
      await bench.takeOffer(first.link, one, 'eth0', '10.32.0.5/12');
      assert.deepEqual(await host.offerLink(offer), first);
      assert.deepEqual(await bench.interfaces(one), []);
      await bench.takeOffer(first.link, two, 'eth7', '10.32.0.5/12');
      assert.deepEqual(await bench.interfaces(two), ['eth0', 'eth7']);
    });

    test('an offered link has the Ethernet address that was asked for, else always the same', async () => {
      const own = (await host.offerLink(offer)).mac;
      assert.equal((await host.offerLink({ ...offer, mac: MAC })).mac, MAC);
      assert.equal((await host.offerLink(offer)).mac, own);
      for (const mac of ['01:00:5e:00:00:01', '02:11:22:33:44', '02:11:22:33:44:5G', '']) {
        await refuses('bad-request', host.offerLink({ ...offer, mac }));
      }
    });

    test('an address is offered once on a host', async () => {
      await host.offerLink(offer);
      await refuses('address-taken', host.offerLink({ ...offer, endpoint: B }));
      await refuses('address-taken', host.plug(plan(one, { endpoint: B })));
    });

    test('an unplug takes an offered link away, whether it was taken or not', async () => {
      const { link } = await host.offerLink(offer);
      await host.unplug(A);
      assert.deepEqual(await bench.offers(), []);
      await host.offerLink(offer);
      await bench.takeOffer(link, one, 'eth0', '10.32.0.5/12');
      await host.unplug(A);
      assert.deepEqual(await bench.interfaces(one), []);
      assert.deepEqual(await host.plugged(), []);
    });

    test('a plug gives an endpoint whose link was taken and lost a new one', async () => {
      const { link } = await host.offerLink({ ...offer, mac: MAC });
      await bench.takeOffer(link, one, 'eth0', '10.32.0.5/12');
      const again = await host.plug(plan(one, { mac: MAC }));
      assert.deepEqual([again.interface, again.mac], ['eth0', MAC]);
      await host.unplug(A);
      assert.equal((await host.plug(plan(one, { mac: MAC }))).mac, MAC);
    });

    test('a fast path shows what was asked for, again and again, until it is not wanted', async () => {
      assert.equal(await host.fastPath(), null);
      const none = { packets: 0, bytes: 0 };
      const open = { underlay: FAST.peers[0].underlay, mac: FAST.peers[0].mac, sent: none, received: none };
      await host.setFastPath(FAST);
      await host.setFastPath(FAST);
      assert.deepEqual(await host.fastPath(), { peers: [{ ...open, mtu: 1400 }] });
      await host.setFastPath({ ...FAST, peers: [{ ...FAST.peers[0], mtu: null }] });
      assert.deepEqual(await host.fastPath(), { peers: [{ ...open, mtu: null }] });
      await host.setFastPath({ ...FAST, peers: [] });
      assert.deepEqual(await host.fastPath(), { peers: [] });
      await host.setFastPath(null);
      await host.setFastPath(null);
      assert.equal(await host.fastPath(), null);
    });

    test('the next life of the daemon finds the fast path of the last one, and a restore ends it', async () => {
      await host.setFastPath(FAST);
      const before = await host.fastPath();
      const next = bench.start();
      await next.prepare(MESH);
      assert.deepEqual(await next.fastPath(), before);
      await next.restore();
      assert.equal(await next.fastPath(), null);
    });

    test('the subnets that are kept apart are those told last, also in the next life, until a restore', async () => {
      await host.setNetworks(['10.33.1.0/24', '10.33.2.0/24']);
      await host.setNetworks(['10.33.2.0/24', '10.40.0.0/16']);
      assert.deepEqual(await bench.networks(), ['10.33.2.0/24', '10.40.0.0/16']);
      const next = bench.start();
      await next.prepare(MESH);
      assert.deepEqual(await bench.networks(), ['10.33.2.0/24', '10.40.0.0/16']);
      await refuses('bad-request', next.setNetworks(['10.33.0.0/16', '10.33.2.0/24']));
      await refuses('bad-request', next.setNetworks(['10.33.2.1/24']));
      assert.deepEqual(await bench.networks(), ['10.33.2.0/24', '10.40.0.0/16']);
      await next.setNetworks([]);
      assert.deepEqual(await bench.networks(), []);
      await next.setNetworks(['10.33.2.0/24']);
      await next.restore();
      assert.deepEqual(await bench.networks(), []);
    });

    test('a guard that is begun again takes the place of the first, follows the networks, and leaves them', async () => {
      const ends = [await host.guard(), await host.guard()];
      await host.setNetworks(['10.33.1.0/24']);
      await host.plug(plan(one));
      await host.setNetworks(['10.33.2.0/24']);
      for (const end of ends) await end();
      assert.deepEqual(await bench.networks(), ['10.33.2.0/24']);
      assert.deepEqual(await endpoints(), [A]);
    });

    test('a restore removes everything, and may be repeated by a later life', async () => {
      await host.plug(plan(one));
      await host.setHostAddresses([{ address: '10.32.0.9/12' }]);
      const next = bench.start();
      await next.restore();
      await next.restore();
      assert.deepEqual(await bench.interfaces(one), []);
      assert.deepEqual(await next.plugged(), []);
      await next.prepare(MESH);
      await next.plug(plan(one, { address: '10.32.0.9/12' }));
    });
  });
}
