import assert from 'node:assert/strict';
import type { Range } from '../../src/core/address.ts';
import type { Crypto } from '../../src/core/crypto.ts';
import type { PeerId } from '../../src/core/ids.ts';
import { subtract } from '../../src/core/ranges.ts';
import { buildRing, type Segment, witnessFault } from '../../src/core/ring.ts';
import { checkHolders, checkRing } from '../../src/core/ring-check.ts';
import { decodeEntry, type RingEntry } from '../../src/core/ring-entry.ts';
import type { Mesh } from '../../src/mesh/mesh.ts';
import { KEY } from '../../src/mesh/records.ts';
import { type MeshWorld, packetOf, type SimHost, textOf } from './mesh-world.ts';

/** What must hold of a mesh in a simulation, at every moment or once nothing stands in the way. */

export function meshOf({ name, mesh }: SimHost): Mesh {
  if (mesh === undefined) throw new Error(`${name} is not up`);
  return mesh;
}

/** The ring entries in a host's records whose witness is in order. */
function entriesOf(crypto: Crypto, { records, membership }: Mesh): readonly RingEntry[] {
  return [...records.entries(KEY.ring)].flatMap(({ value }) => {
    const decoded = decodeEntry(value);
    if (!decoded.ok) return [];
    const fault = witnessFault(crypto, membership.mesh, decoded.value, membership.heirOf, membership.mayAct);
    return fault === undefined ? [decoded.value] : [];
  });
}

/** At every moment: the ring of each host is one, no address may be used by two that are admitted, no endpoints of theirs share one. */
export function createChecks(world: MeshWorld) {
  /** Addresses that endpoints were told, by `host endpoint`: they use them even while the daemon is down. */
  const told = new Map<string, string>();
  const before = new Map<SimHost, { readonly life: number; readonly segments: readonly Segment[] }>();

  function checkRings(): void {
    for (const host of world.running()) {
      const { mesh, life } = host;
      if (mesh === undefined) continue;
      const history = entriesOf(world.crypto, mesh);
      const rules = { range: mesh.membership.genesis.range, creator: mesh.membership.creator };
      const sources = history.map((entry) => ({ entry, trusted: false }));
      const { segments } = buildRing(rules, sources);
      const last = before.get(host);
      const previous = last?.life === life ? { previous: last.segments } : {};
      const faults = checkRing(segments, { ...rules, history, ...previous });
      assert.deepEqual(faults, [], `the ring of ${host.name}`);
      before.set(host, { life, segments });
    }
  }

  /** Removed, as any host knows: what such a one still holds is for itself alone. */
  const isGone = ({ peer }: SimHost) => world.running().some(({ mesh }) => mesh?.membership.isRemoved(peer));
  const admitted = () => world.running().filter((host) => !isGone(host));

  function checkHeld(): void {
    const holders = new Map<PeerId, readonly Range[]>();
    for (const { mesh, peer } of admitted()) {
      if (mesh === undefined) continue;
      const own = mesh.space.ring().filter(({ owner }) => owner === peer);
      holders.set(
        peer,
        own.flatMap((segment) => subtract(segment, mesh.space.pendingDonations())),
      );
    }
    assert.deepEqual(checkHolders(holders), []);
  }

  function checkAllocations(): void {
    const users = new Map<string, string>();
    const use = (address: string, user: string) => {
      const other = users.get(address) ?? user;
      assert.equal(other, user, `${address} is used by ${other} and by ${user}`);
      users.set(address, user);
    };
    const gone = new Set(world.hosts.filter(isGone).map(({ name }) => name));
    for (const [user, address] of told) if (!gone.has(user.split(' ')[0] as string)) use(address, user);
    for (const { name, mesh } of admitted()) {
      for (const { endpoint, address } of mesh?.space.allocations() ?? [])
        use(address, `${name} ${endpoint}`);
    }
  }

  /** What was promised to an endpoint is still there, whatever its host has been through. */
  function checkPromises(): void {
    for (const { name, mesh } of world.running()) {
      if (mesh === undefined) continue;
      const held = new Map(
        mesh.space.allocations().map(({ endpoint, address }) => [`${name} ${endpoint}`, address]),
      );
      for (const [user, address] of told) {
        if (user.startsWith(`${name} `)) assert.equal(held.get(user), address, `what ${user} was promised`);
      }
    }
  }

  return {
    told,
    check(): void {
      checkRings();
      checkHeld();
      checkAllocations();
      checkPromises();
    },
  };
}

export type Checks = ReturnType<typeof createChecks>;

const ringOf = ({ mesh }: SimHost) => JSON.stringify(mesh?.space.ring());
const digestOf = ({ mesh }: SimHost) => JSON.stringify(mesh?.records.replica.digest());

/** What is not yet as it has to be once everybody reaches everybody; undefined when all is. */
export function unrest(hosts: readonly SimHost[], members = hosts): string | undefined {
  const [first] = hosts;
  if (first === undefined) return undefined;
  const idsOf = (some: readonly SimHost[]) =>
    some
      .map(({ peer }) => peer)
      .sort()
      .join();
  for (const host of hosts) {
    const { mesh, name } = host;
    if (mesh === undefined) return `${name} is not up`;
    if (mesh.membership.members().join() !== idsOf(members)) return `${name} knows other members`;
    if (mesh.liveness.up().join() !== idsOf(hosts)) return `${name} does not find everybody up`;
    if (digestOf(host) !== digestOf(first)) return `${name} and ${first.name} hold different records`;
    if (ringOf(host) !== ringOf(first)) return `${name} and ${first.name} know different rings`;
    if (mesh.space.pendingDonations().length > 0) return `${name} has donations that are not through`;
    const silent = hosts.find((one) => one !== host && !isEstablished(host, one));
    if (silent !== undefined) return `${name} has no session with ${silent.name}`;
  }
  return undefined;
}

export function isEstablished({ mesh }: SimHost, other: SimHost): boolean {
  return mesh?.sessions.status(other.peer)?.state === 'established';
}

/** Lets time pass until all is at rest; a failure says what is not, and what happened last. */
export async function rest(world: MeshWorld, limit: number): Promise<void> {
  const hosts = world.running();
  const members = world.hosts.filter((host) => host.wasMember());
  const end = world.clock.now() + limit;
  for (;;) {
    const problem = unrest(hosts, members);
    if (problem === undefined) return;
    if (world.clock.now() >= end) throw new Error(`not at rest after ${limit} ms: ${problem}`);
    await world.clock.advance(20);
  }
}

/** Every address of the range has one owner, who is a member, and (where there are enough) each host owns some. */
export function assertWholeRing(hosts: readonly SimHost[], hasEnough = true): void {
  const peers = new Set(hosts.map(({ peer }) => peer));
  const owners = new Set<PeerId>();
  const { membership, space } = meshOf(hosts[0] as SimHost);
  const { start, last } = membership.genesis.range;
  let next = start;
  for (const segment of space.ring()) {
    assert.equal(segment.start, next, 'no gap and no overlap');
    assert.ok(segment.owner !== undefined && peers.has(segment.owner), 'owned by a member');
    owners.add(segment.owner);
    next = segment.last + 1;
  }
  assert.equal(next, last + 1, 'up to the end of the range');
  if (hasEnough) assert.equal(owners.size, hosts.length, 'everybody owns something');
  for (const { mesh: one, name } of hosts) assert.deepEqual(one?.space.quarantine(), [], name);
}

/** Sends a packet from each endpoint to each other one; all arrive, once. `addresses` by host. */
export async function assertTraffic(
  world: MeshWorld,
  addresses: ReadonlyMap<SimHost, string>,
): Promise<void> {
  const expected = new Map<SimHost, string[]>();
  const before = new Map([...addresses.keys()].map((host) => [host, host.received.length]));
  for (const [from, source] of addresses) {
    for (const [to, destination] of addresses) {
      if (from === to) continue;
      const text = `from ${from.name} to ${to.name}`;
      from.datapath?.send(packetOf(source, destination, text));
      expected.set(to, [...(expected.get(to) ?? []), text]);
    }
  }
  await world.clock.advance(100);
  for (const [host, texts] of expected) {
    const got = host.received.slice(before.get(host)).map(textOf);
    assert.deepEqual(got.sort(), texts.sort(), `what arrives at ${host.name}`);
  }
}
