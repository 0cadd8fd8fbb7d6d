import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Control, isDegraded, type Phase } from '../../src/doors/control.ts';
import { codeOf, type ErrorCode } from '../../src/doors/errors.ts';

/** A Control of a fresh host, and what the suite needs to use it. */
export interface ControlFixture {
  readonly control: Control;
  /** Two sandboxes that are there. */
  readonly sandboxes: readonly [string, string];
  /** A token of another mesh that would let this host in. */
  foreignToken(): Promise<string>;
  close(): Promise<void>;
}

/** What every Control must do, whatever is behind it. */
export function controlContract(name: string, open: () => Promise<ControlFixture>): void {
  function story(title: string, run: (fixture: ControlFixture) => Promise<void>): void {
    test(`${name}: ${title}`, async () => {
      const fixture = await open();
      try {
        await run(fixture);
      } finally {
        await fixture.close();
      }
    });
  }

  story('a fresh host is idle, healthy, and in no mesh', async ({ control }) => {
    const status = control.status();
    assert.equal(status.phase.state, 'idle');
    assert.equal(status.mesh, null);
    assert.equal(status.ipam, null);
    assert.equal(status.degraded, false);
    assert.deepEqual(status.endpoints, []);
  });

  story('what needs a mesh is refused without one', async ({ control, sandboxes: [sandbox] }) => {
    await refused('no-mesh', () => control.invite({}));
    await refused('no-mesh', () => control.attach({ sandbox }));
    await refused('no-mesh', () => control.detach({ endpoint: 'x' }));
    await refused('no-mesh', () => control.expose({}));
    await refused('no-mesh', () => control.hide());
    await refused('no-mesh', async () => control.trusted());
    await refused('no-mesh', () => control.paths());
  });

  story('trust is added once, listed, and taken back once', async ({ control }) => {
    await control.found({});
    assert.deepEqual(control.trusted(), { everywhere: false, subnets: [] });
    const added = await control.trust({ subnet: '192.0.2.0/24' });
    assert.deepEqual(added.subnets, [{ subnet: '192.0.2.0/24', from: 'command' }]);
    assert.deepEqual(await control.trust({ subnet: '192.0.2.0/24' }), added);
    assert.equal((await control.trust({ subnet: '2001:db8:1::/64' })).subnets[1]?.subnet, '2001:db8:1::/64');
    assert.equal((await control.distrust({ subnet: '2001:db8:1::/64' })).subnets.length, 1);
    assert.deepEqual(await control.distrust({ subnet: '192.0.2.0/24' }), { everywhere: false, subnets: [] });
    await refused('unknown-subnet', () => control.distrust({ subnet: '192.0.2.0/24' }));
    assert.deepEqual(await control.paths(), { paths: [], relay: control.status().relay });
  });

  story('a mesh keeps to what it was made with', async ({ control }) => {
    await control.found({ encryption: true });
    await refused('other-encryption', () => control.found({ encryption: false }));
    assert.equal(control.status().mesh?.encryption, true);
  });

  story('founding goes through starting to ready, and a second time changes nothing', async ({ control }) => {
    const phases: Phase['state'][] = [];
    const stop = control.watchPhase((phase) => phases.push(phase.state));
    const first = await control.found({ range: '10.32.0.0/12' });
    assert.equal(first.created, true);
    assert.equal(first.status.phase.state, 'ready');
    assert.equal(phases[0], 'starting');
    assert.equal(phases.at(-1), 'ready');
    stop();
    const again = await control.found({});
    assert.equal(again.created, false);
    assert.equal(again.status.mesh?.id, first.status.mesh?.id);
    await refused('other-range', () => control.found({ range: '10.96.0.0/12' }));
  });

  story('a ready host has a mesh, a device, an id and addresses that add up', async ({ control }) => {
    const { status } = await control.found({});
    assert.match(status.mesh?.id ?? '', /^[0-9a-f]{64}$/);
    assert.ok(status.peer);
    assert.ok(status.device);
    const { ipam } = status;
    assert.ok(ipam);
    const own = ipam.own.reduce((sum, range) => sum + range.size, 0);
    const self = ipam.owners.find((owner) => owner.state === 'self');
    assert.equal(self?.addresses, own);
    assert.ok(ipam.allocated + ipam.free <= own);
    assert.equal(status.degraded, isDegraded(status.phase, status.warnings));
  });

  story('names are given, looked up, listed and taken away', async ({ control, sandboxes: [sandbox] }) => {
    assert.deepEqual(control.dns.list(), { names: [] });
    await refused('no-mesh', () => control.dns.lookup({ name: 'web' }));
    await control.found({});
    const { address, id } = await control.attach({ sandbox, name: 'Web' });
    await control.dns.add({ name: 'db', address: '192.0.2.7' });
    await control.dns.add({ name: 'DB', address: '192.0.2.8' });
    await control.dns.add({ name: 'db', address: '192.0.2.7' });
    const { names } = control.dns.list();
    assert.deepEqual(
      names.map((one) => [one.name, one.network, one.address, one.kind, one.endpoint]).sort(),
      [
        ['db', 'weft', '192.0.2.7', 'static', null],
        ['db', 'weft', '192.0.2.8', 'static', null],
        ['web', 'weft', address, 'endpoint', id],
      ],
    );
    assert.deepEqual((await control.dns.lookup({ name: 'WEB' })).addresses, [address]);
    assert.deepEqual([...(await control.dns.lookup({ name: 'db' })).addresses].sort(), [
      '192.0.2.7',
      '192.0.2.8',
    ]);
    assert.deepEqual((await control.dns.lookup({ name: address })).names, ['web.weft.weft.local']);
    const gone = await control.dns.remove({ name: 'db', address: '192.0.2.7' });
    assert.deepEqual(
      gone.names.map((one) => one.address),
      ['192.0.2.7'],
    );
    await control.dns.remove({ name: 'db' });
    await refused('unknown-name', () => control.dns.remove({ name: 'db' }));
    await refused('unknown-name', () => control.dns.remove({ name: 'web' }));
    await refused('unknown-name', () => control.dns.lookup({ name: 'db' }));
    await refused('unknown-network', () => control.dns.lookup({ name: 'web', network: 'nowhere' }));
    await refused('bad-name', () => control.dns.add({ name: 'x.weft.local', address: '192.0.2.7' }));
    await control.detach({ endpoint: id });
    await refused('unknown-name', () => control.dns.lookup({ name: 'web' }));
  });

  story(
    'a network is made once, shows in the status, and gives addresses of its own',
    async ({ control, sandboxes: [sandbox] }) => {
      await control.found({});
      assert.deepEqual(
        control.status().networks.map(({ id, name, subnet, clash }) => [id, name, subnet, clash]),
        [['weft', 'weft', '10.32.0.0/12', null]],
      );
      const web = await control.createNetwork({ name: 'web', subnet: '10.32.5.0/24', internal: true });
      assert.deepEqual([web.name, web.subnet, web.internal, web.used], ['web', '10.32.5.0/24', true, 0]);
      assert.equal((await control.createNetwork({ name: 'web', subnet: '10.32.5.0/24' })).id, web.id);
      await refused('network-name-taken', () => control.createNetwork({ name: 'web' }));
      await refused('subnet-taken', () => control.createNetwork({ name: 'other', subnet: '10.32.5.0/24' }));
      await refused('subnet-outside', () => control.createNetwork({ name: 'far', subnet: '192.168.0.0/24' }));
      await refused('bad-network', () => control.createNetwork({ name: 'odd', gateway: '10.32.6.1' }));
      await control.attach({ sandbox });
      const second = await control.attach({ sandbox, network: 'web' });
      assert.deepEqual([second.network, second.prefix, second.interface], ['web', 24, 'weft0']);
      assert.match(second.address, /^10\.32\.5\./);
      assert.deepEqual(await control.attach({ sandbox, network: web.id }), second);
      assert.equal((await control.expose({ network: 'web' })).prefix, 24);
      assert.deepEqual(
        control.status().networks.map(({ name, used }) => [name, used]),
        [
          ['weft', 1],
          ['web', 2],
        ],
      );
    },
  );

  story(
    'a network that is used is not removed, and a name is given to one only',
    async ({ control, sandboxes: [sandbox] }) => {
      await refused('no-mesh', () => control.createNetwork({ name: 'web' }));
      await control.found({});
      await control.createNetwork({ name: 'web' });
      const { id } = await control.renameNetwork({ network: 'web', name: 'shop' });
      await control.createNetwork({ name: 'web' });
      await refused('network-name-taken', () => control.renameNetwork({ network: id, name: 'web' }));
      const { id: endpoint } = await control.attach({ sandbox, network: 'shop' });
      await refused('network-in-use', () => control.removeNetwork({ network: 'shop' }));
      await control.detach({ endpoint });
      assert.equal((await control.removeNetwork({ network: 'shop' })).id, id);
      await refused('unknown-network', () => control.removeNetwork({ network: 'shop' }));
      await refused('unknown-network', () => control.attach({ sandbox, network: 'shop' }));
      await refused('network-permanent', () => control.removeNetwork({ network: 'weft' }));
      await refused('network-permanent', () => control.renameNetwork({ network: 'weft', name: 'x' }));
      assert.deepEqual(
        control.status().networks.map(({ name }) => name),
        ['weft', 'web'],
      );
    },
  );

  story('a status is plain JSON', async ({ control, sandboxes: [sandbox] }) => {
    await control.found({});
    await control.attach({ sandbox });
    const status = control.status();
    assert.deepEqual(JSON.parse(JSON.stringify(status)), status);
  });

  story('an invitation names what was asked for, and a day and one host otherwise', async ({ control }) => {
    await control.found({});
    const plain = await control.invite({});
    assert.match(plain.token, /^wf1_[A-Za-z0-9_-]+$/);
    assert.deepEqual([plain.ttl, plain.uses], [86_400, 1]);
    assert.ok(plain.addresses.length > 0);
    const other = await control.invite({ ttl: 60, uses: 7 });
    assert.deepEqual([other.ttl, other.uses], [60, 7]);
    assert.notEqual(other.token, plain.token);
  });

  story('a member of one mesh does not join another', async ({ control, foreignToken }) => {
    await control.found({});
    const token = await foreignToken();
    await refused('other-mesh', () => control.join({ token }));
    assert.equal(control.status().phase.state, 'ready');
  });

  story(
    'a sandbox that is attached has an address until it is detached',
    async ({ control, sandboxes: [sandbox] }) => {
      await control.found({});
      const attached = await control.attach({ sandbox, name: 'web' });
      assert.deepEqual(
        [attached.kind, attached.name, attached.network, attached.up],
        ['sandbox', 'web', 'weft', true],
      );
      assert.deepEqual(control.status().endpoints, [attached]);
      assert.equal(control.status().ipam?.allocated, 1);
      assert.deepEqual(await control.attach({ sandbox }), attached);
      const detached = await control.detach({ endpoint: 'web' });
      assert.equal(detached.id, attached.id);
      assert.deepEqual(control.status().endpoints, []);
      await refused('unknown-endpoint', () => control.detach({ endpoint: 'web' }));
    },
  );

  story(
    'an endpoint is found by id, start of id, name, address and sandbox',
    async ({ control, sandboxes: [sandbox] }) => {
      await control.found({});
      const references = [
        (e: Attached) => e.id,
        (e: Attached) => e.id.slice(0, 8),
        (e: Attached) => e.name,
        (e: Attached) => e.address,
        () => sandbox,
      ];
      for (const reference of references) {
        const attached = await control.attach({ sandbox, name: 'web' });
        const detached = await control.detach({ endpoint: reference(attached) ?? '' });
        assert.equal(detached.id, attached.id);
      }
    },
  );

  story(
    'a wanted address is given, and refused when it is taken or elsewhere',
    async ({ control, sandboxes: [one, two] }) => {
      await control.found({ range: '10.32.0.0/12' });
      assert.equal((await control.attach({ sandbox: one, ip: '10.32.0.7' })).address, '10.32.0.7');
      await refused('in-use', () => control.attach({ sandbox: two, ip: '10.32.0.7' }));
      await refused('outside-range', () => control.attach({ sandbox: two, ip: '192.0.2.1' }));
      await refused('reserved', () => control.attach({ sandbox: two, ip: '10.32.0.0' }));
      await refused('interface-taken', () => control.attach({ sandbox: one, ip: '10.32.0.8' }));
      assert.equal(control.status().endpoints.length, 1);
    },
  );

  story('two endpoints have two names', async ({ control, sandboxes: [one, two] }) => {
    await control.found({});
    await control.attach({ sandbox: one, name: 'web' });
    await refused('name-taken', () => control.attach({ sandbox: two, name: 'web' }));
    await refused('unknown-network', () => control.attach({ sandbox: two, network: 'other' }));
    assert.equal(control.status().ipam?.allocated, 1);
  });

  story('the host itself has an address from expose to hide', async ({ control }) => {
    await control.found({});
    const exposed = await control.expose({});
    assert.deepEqual([exposed.kind, exposed.sandbox], ['host', null]);
    assert.deepEqual(await control.expose({}), exposed);
    assert.deepEqual(
      (await control.hide()).map((one) => one.id),
      [exposed.id],
    );
    assert.deepEqual(await control.hide(), []);
    assert.deepEqual(control.status().endpoints, []);
  });

  story(
    'many at once each get an address of their own or a clear no',
    async ({ control, sandboxes: [one, two] }) => {
      await control.found({});
      const all = await Promise.all([
        control.attach({ sandbox: one }),
        control.attach({ sandbox: two }),
        control.expose({}),
      ]);
      assert.equal(new Set(all.map((endpoint) => endpoint.address)).size, 3);
      assert.equal(control.status().ipam?.allocated, 3);
    },
  );

  story('removing a host names it, and nothing changes where there is none', async ({ control }) => {
    await refused('no-mesh', () => control.removePeer({ peer: 'blue' }));
    await control.found({});
    await refused('unknown-peer', () => control.removePeer({ peer: 'blue', yes: true }));
    await refused('unknown-peer', () => control.recover({ peer: 'blue' }));
    await refused('own-peer', () => control.removePeer({ peer: control.status().nickname, yes: true }));
    await refused('unknown-peer', () => control.handOver({ to: 'blue' }));
    await refused('unknown-peer', () => control.handOver({ from: 'blue', to: control.status().nickname }));
    await refused('same-peer', () => control.handOver({ to: control.status().nickname }));
    assert.match((await control.exportRoot()).key, /^wfr1_[\w-]{48}$/);
    assert.equal(control.status().mesh?.epoch, 1);
  });

  story(
    'down detaches everything, and nothing is taken after it',
    async ({ control, sandboxes: [sandbox] }) => {
      await control.found({});
      await control.attach({ sandbox });
      assert.deepEqual(await control.down(), { detached: 1 });
      assert.equal(control.status().phase.state, 'stopping');
      await refused('stopping', () => control.attach({ sandbox }));
      await refused('stopping', () => control.found({}));
    },
  );
}

interface Attached {
  readonly id: string;
  readonly name: string | null;
  readonly address: string;
}

async function refused(code: ErrorCode, run: () => Promise<unknown>): Promise<void> {
  await assert.rejects(run, (error) => {
    assert.equal(codeOf(error), code, String(error));
    return true;
  });
}
