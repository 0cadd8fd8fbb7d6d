import assert from 'node:assert/strict';
import { parseIpv4, type Range } from '../../../src/core/address.ts';
import { DEFAULT_NETWORK, type EndpointId, type NetworkId, type PeerId } from '../../../src/core/ids.ts';
import { subtract } from '../../../src/core/ranges.ts';
import { checkHolders } from '../../../src/core/ring-check.ts';
import { createNetworkBook } from '../../../src/mesh/networks/book.ts';
import { createNetworks, type Networks } from '../../../src/mesh/networks.ts';
import { KEY } from '../../../src/mesh/records.ts';
import { type Allocation, createSpace, type Space } from '../../../src/mesh/space.ts';
import { silentLog } from '../../hosts/log.ts';
import { createFakeMesh, type FakeHost, type FakeMesh, MESH_RANGE } from './mesh-fakes.ts';

/** Hosts with nothing but their address space, on a fake mesh. */
export interface SpaceWorld {
  readonly mesh: FakeMesh;
  host(name: string): FakeHost;
  space(name: string): Space;
  networks(name: string): Networks;
  /** Starts the host, for the first time or again. */
  start(name: string): Promise<Space>;
  /** Brings a new host in through `by`, as joining does; `by` must be up. */
  join(name: string, by: string): Promise<void>;
  allocate(
    name: string,
    endpoint: string,
    wanted?: string,
    timeout?: number,
    network?: NetworkId,
  ): Promise<Allocation>;
  release(name: string, endpoint: string): Promise<void>;
  /** Moves time in small steps, checking after each that no two hosts may use one address; hosts that crashed start again. */
  run(ms: number): Promise<void>;
  /** Like `run`, until the promise has settled. */
  settled<T>(promise: Promise<T>, limit?: number): Promise<T>;
  check(): void;
}

const STEP = 10;
const DOWN_FOR = 200;

export function createSpaceWorld(
  options: { seed?: number; range?: Range; restart?: boolean } = {},
): SpaceWorld {
  const { seed = 1, range = MESH_RANGE, restart = false } = options;
  const mesh = createFakeMesh('anna', seed);
  const spaces = new Map<string, Space>();
  const made = new Map<string, Networks>();
  /** What was told to endpoints: holds for ever, in this test. */
  const told = new Map<string, string>();
  const downSince = new Map<string, number>();

  async function start(name: string): Promise<Space> {
    const host = mesh.host(name);
    spaces.delete(name);
    const life = await host.boot();
    const common = { ...life, self: host.peer, range, log: silentLog, random: mesh.random };
    const book = createNetworkBook({ ...common, creator: life.membership.creator });
    const space = createSpace({
      ...common,
      crypto: mesh.crypto,
      identity: host.identity,
      networks: book,
    });
    const networks = createNetworks({ ...common, book, space });
    if (host.life !== life) return space;
    spaces.set(name, space);
    made.set(name, networks);
    const tell = () => life.records.put(KEY.peer, { nickname: name, free: space.free() }).catch(() => {});
    space.watch(tell);
    void space
      .start()
      .then(() => networks.start())
      .then(tell);
    await mesh.clock.settle();
    return space;
  }

  function space(name: string): Space {
    const found = mesh.host(name).life === undefined ? undefined : spaces.get(name);
    if (found === undefined) throw new Error(`${name} is down`);
    return found;
  }

  function check(): void {
    const holders = new Map<PeerId, readonly Range[]>();
    for (const [name, live] of spaces) {
      const host = mesh.host(name);
      if (host.life === undefined) continue;
      const own = live.ring().filter(({ owner }) => owner === host.peer);
      holders.set(
        host.peer,
        own.flatMap((segment) => subtract(segment, live.pendingDonations())),
      );
    }
    assert.deepEqual(checkHolders(holders), []);
    const addresses = [...told.values()];
    assert.equal(new Set(addresses).size, addresses.length, `one address was given out twice: ${[...told]}`);
    for (const [key, address] of told) {
      const [name, endpoint] = key.split(' ') as [string, string];
      if (mesh.host(name).life === undefined || !spaces.has(name)) continue;
      const kept = space(name)
        .allocations()
        .find((item) => item.endpoint === endpoint);
      assert.equal(kept?.address, address, `${name} has forgotten the address of ${endpoint}`);
    }
  }

  async function step(): Promise<void> {
    await mesh.clock.advance(STEP);
    if (restart) {
      for (const name of spaces.keys()) {
        if (mesh.host(name).life !== undefined) continue;
        const since = downSince.get(name) ?? mesh.clock.now();
        downSince.set(name, since);
        if (mesh.clock.now() - since < DOWN_FOR) continue;
        downSince.delete(name);
        const starting = start(name);
        await mesh.clock.advance(0);
        await starting;
      }
    }
    check();
  }

  const world: SpaceWorld = {
    mesh,
    host: (name) => mesh.host(name),
    space,
    networks(name) {
      space(name);
      return made.get(name) as Networks;
    },
    start,
    check,
    async join(name, by) {
      const [host, issuer] = [mesh.host(name), mesh.host(by)];
      const first =
        issuer.peer === mesh.host('anna').peer && issuer.life?.membership.heirOf(issuer.peer) === undefined;
      const granted = first
        ? space(by)
            .grant(host.peer, { firstHeir: true })
            .then((entries) => ({ donor: issuer.peer, entries }))
        : space(by).grantFromBest(host.peer);
      const { entries, donor } = await world.settled(granted);
      if (first) mesh.setHeir(issuer, host);
      const heir = [...['anna'], ...spaces.keys()].find((other) => mesh.host(other).peer === donor) ?? by;
      mesh.setHeir(host, mesh.host(heir));
      mesh.addMember(host);
      const joined = await start(name);
      await world.settled(joined.adopt(structuredClone(entries)));
    },
    async allocate(name, endpoint, wanted, timeout, network = DEFAULT_NETWORK) {
      const request = { endpoint: endpoint as EndpointId, network };
      const allocation = await space(name).allocate({
        ...request,
        ...(wanted === undefined ? {} : { wanted }),
        ...(timeout === undefined ? {} : { timeout }),
      });
      told.set(`${name} ${endpoint}`, allocation.address);
      return allocation;
    },
    async release(name, endpoint) {
      told.delete(`${name} ${endpoint}`);
      await space(name).release(endpoint as EndpointId);
    },
    async run(ms) {
      for (let passed = 0; passed < ms; passed += STEP) await step();
    },
    async settled(promise, limit = 60_000) {
      let done = false;
      const end = () => {
        done = true;
      };
      promise.then(end, end);
      await mesh.clock.settle();
      for (let passed = 0; !done; passed += STEP) {
        if (passed > limit) throw new Error(`nothing came of it in ${limit} ms`);
        await step();
      }
      return promise;
    },
  };
  return world;
}

/** A number for an address in text, for arithmetic in tests. */
export function numberOf(text: string): number {
  const parsed = parseIpv4(text);
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.value;
}
