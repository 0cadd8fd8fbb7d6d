import { parseCidr, parseIpv4, quote } from '../src/core/address.ts';
import type { EndpointId, NetworkId } from '../src/core/ids.ts';
import type { JsonObject } from '../src/core/json.ts';
import type { Locks } from '../src/core/locks.ts';
import type { NetworkInfo } from '../src/core/network.ts';
import { includes } from '../src/core/ranges.ts';
import { DockerError } from './errors.ts';
import { addressOf, mapOf, textOf } from './fields.ts';
import type { Lease, Leases } from './leases.ts';
import type { DoorParts } from './parts.ts';
import { baseOf, GATEWAY, placeholderOf, poolReply, prefixOf } from './pools.ts';
import type { PoolRecord, Records } from './records.ts';
import { createSwarm, type FoundNetwork, networkOfSwarmPool, type Swarm } from './swarm.ts';

/** Docker's IpamDriver: a pool is a network of the mesh, and its id the network's. */
export interface Ipam {
  requestPool(body: JsonObject): Promise<object>;
  releasePool(body: JsonObject): Promise<object>;
  requestAddress(body: JsonObject): Promise<object>;
  releaseAddress(body: JsonObject): Promise<object>;
  /** One Docker network on it is gone without a word; the network of the mesh stays. */
  forgetPool(id: string): Promise<void>;
  /** A Docker network is gone. Docker has released its pool before; that call may have been lost. */
  settlePool(id: string): Promise<void>;
  /** Removes what a crash left between the making of a network and the answer to Docker, which knows nothing of it. */
  tidy(): Promise<void>;
  readonly swarm: Swarm;
}

export interface IpamParts extends DoorParts {
  readonly records: Records;
  readonly leases: Leases;
  readonly locks: Locks;
  /** Takes an endpoint's link away and forgets it; its lease stays. */
  readonly dropEndpoint: (id: EndpointId) => Promise<void>;
}

/** How the pools of this driver are marked in CreateNetwork. */
export const LOCAL_SPACE = 'WeftLocal';
export const GLOBAL_SPACE = 'WeftGlobal';

/** What a manager of a swarm has made is known to all hosts in a tenth of a second; to one that was cut off, later. */
const NEWS_PATIENCE = 5_000;

/** CreateNetwork follows RequestPool at once. Only a pool for another driver's network stays without it, and gives out addresses. */
const ABANDONED_AFTER = 600_000;

const CONTAINER = 'com.docker.network.endpoint.name';

export function createIpam(parts: IpamParts): Ipam {
  const { self, scope, networks, records, leases, locks, dropEndpoint, clock, log } = parts;
  const { pools } = records;
  const swarm = createSwarm({ ...parts, findOrMake });
  const idleSince = new Map<string, number>();
  let making = 0;

  async function requestPool(body: JsonObject): Promise<object> {
    if (body.V6 === true) throw noIpv6();
    making += 1;
    try {
      if (textOf(body, 'AddressSpace') === GLOBAL_SPACE) return await swarm.requestPool(body);
      const { network, made } = await (scope === 'local' ? findOrMake(body) : findSwarms(body));
      await usePool(network, made);
      return poolReply(network, network.id);
    } finally {
      making -= 1;
    }
  }

  /** On a node of a swarm, which makes no network: the manager has, and that may have to get here. */
  async function findSwarms(body: JsonObject): Promise<FoundNetwork> {
    const subnet = cidrOf(body, 'Pool') ?? '';
    const find = () => networks.list().find((network) => network.subnet === subnet);
    const network = find() ?? (await appears(find));
    if (network !== undefined) return { network, made: false };
    throw new DockerError(
      'unknown-network',
      `the swarm's network ${quote(subnet)} is not in the mesh of this host: see with \`weft status peers\` whether it reaches the managers`,
    );
  }

  function appears(find: () => NetworkInfo | undefined): Promise<NetworkInfo | undefined> {
    return new Promise((resolve) => {
      const done = (found: NetworkInfo | undefined) => {
        timer.cancel();
        stop();
        resolve(found);
      };
      const timer = clock.setTimer(NEWS_PATIENCE, () => done(undefined));
      const stop = networks.watch(() => {
        const found = find();
        if (found !== undefined) done(found);
      });
    });
  }

  async function findOrMake(body: JsonObject): Promise<FoundNetwork> {
    const [subnet, ipRange] = [cidrOf(body, 'Pool'), cidrOf(body, 'SubPool')];
    const there = networks.list().find((network) => network.subnet === subnet);
    if (there !== undefined && ipRange !== undefined && ipRange !== there.ipRange) {
      const own = there.ipRange === null ? 'without an --ip-range' : `with --ip-range ${there.ipRange}`;
      throw new DockerError(
        'not-supported',
        `the network ${there.name ?? there.id} was made ${own}, which holds on every host: give the same, or leave it out`,
      );
    }
    if (there !== undefined) return { network: there, made: false };
    const wish = {
      ...(subnet === undefined ? {} : { subnet }),
      ...(ipRange === undefined ? {} : { ipRange }),
    };
    return { network: await networks.create({ name: null, ...wish }), made: true };
  }

  /** No await before the write: calls for one subnet at a time count each other. */
  async function usePool({ id }: NetworkInfo, made: boolean): Promise<void> {
    const old = pools.get(id) ?? { id, uses: 0, made, used: false };
    try {
      await pools.put({ ...old, uses: old.uses + 1 });
    } catch (error) {
      if (made) await networks.remove(id).catch(() => undefined);
      throw error;
    }
  }

  async function tidy(): Promise<void> {
    if (making > 0) return;
    for (const { id, name, clash, creator } of networks.list()) {
      if (creator !== self || name !== null || clash !== null) continue;
      if (pools.get(id) !== undefined || records.swarm.get(id) !== undefined) continue;
      log.info('network removed that was never given to Docker', { network: id });
      await networks.remove(id);
    }
    for (const pool of pools.all()) {
      const idle = !pool.used && leases.all().every(({ network }) => network !== pool.id);
      if (!idle) idleSince.delete(pool.id);
      else if (!idleSince.has(pool.id)) idleSince.set(pool.id, clock.now());
      else if (clock.now() - (idleSince.get(pool.id) ?? 0) >= ABANDONED_AFTER) await endPool(pool);
    }
  }

  async function settlePool(id: string): Promise<void> {
    await locks(id, async () => {
      const pool = pools.get(id);
      const left = records.networks.all().filter(({ network }) => network === id).length;
      // One that is not used yet belongs to a create that has just begun.
      if (pool?.used !== true || pool.uses <= left) return;
      if (left === 0) await endPool(pool);
      else await pools.put({ ...pool, uses: left });
    });
  }

  async function releasePool(body: JsonObject): Promise<object> {
    if (isSwarms(body)) return swarm.releasePool(body);
    const id = textOf(body, 'PoolID');
    return locks(id, async () => {
      const pool = pools.get(id);
      if (pool === undefined) return {};
      if (pool.uses > 1) await pools.put({ ...pool, uses: pool.uses - 1 });
      else await endPool(pool);
      return {};
    });
  }

  function forgetPool(id: string): Promise<void> {
    return locks(id, async () => {
      const pool = pools.get(id);
      if (pool !== undefined && pool.uses > 1) await pools.put({ ...pool, uses: pool.uses - 1 });
      else await pools.remove(id);
    });
  }

  /** The network goes with the last Docker network on it, unless others use it; a start that failed takes only what it made. */
  async function endPool(pool: PoolRecord): Promise<void> {
    // Docker removes no network that has containers: what is still here is what it lost while weft was down.
    for (const { id, network } of records.endpoints.all()) {
      if (network === pool.id) await locks(id, () => dropEndpoint(id));
    }
    for (const { id, network } of leases.all()) if (network === pool.id) await leases.release(id);
    const owned = scope === 'local' && (pool.made || pool.used) && pool.id !== 'weft';
    if (owned && networks.get(pool.id) !== undefined) {
      try {
        await networks.remove(pool.id);
      } catch (error) {
        log.info('the network stays, for others use it', { network: pool.id, why: String(error) });
      }
    }
    idleSince.delete(pool.id);
    await pools.remove(pool.id);
  }

  async function requestAddress(body: JsonObject): Promise<object> {
    const [network, pool] = findPool(body);
    const named = addressOf(body, 'Address');
    const isPlaceholder = scope === 'global' && named === placeholderOf(network);
    const wanted = isPlaceholder ? undefined : named;
    const gateway = mapOf(body, 'Options').RequestAddressType === GATEWAY;
    if (gateway && wanted === undefined) return reply(baseOf(network));
    if (wanted !== undefined) {
      const base = baseOf(network);
      if (gateway && base.startsWith(`${wanted}/`)) return reply(base);
      if (gateway || !pool.used) return reserve(pool, wanted, gateway);
      // Whether it can be had is up to the node that has the container.
      if (isSwarms(body)) return reply(`${wanted}/${prefixOf(network)}`);
      if (setAside(network).includes(wanted)) {
        throw new DockerError(
          'address-in-use',
          `${wanted} is set aside in this network, as its gateway or with --aux-address: choose another one`,
        );
      }
    }
    if (isSwarms(body)) return reply(`${placeholderOf(network)}/${prefixOf(network)}`);
    const lease = await (wanted === undefined
      ? takeAny(network.id, textOf(mapOf(body, 'Options'), CONTAINER) || undefined)
      : leases.take(network.id, wanted));
    return reply(`${lease.address}/${lease.prefix}`);
  }

  /** The address that the container had, when it is still free. */
  async function takeAny(network: NetworkId, container: string | undefined): Promise<Lease> {
    const before = parts.suggest?.(network, container);
    if (before !== undefined && leases.at(network, before) === undefined) {
      try {
        return await leases.take(network, before);
      } catch (error) {
        log.debug('a container does not get its address back', { address: before, why: String(error) });
      }
    }
    return leases.take(network, undefined);
  }

  function findPool(body: JsonObject): readonly [NetworkInfo, PoolRecord] {
    const id = networkOfSwarmPool(textOf(body, 'PoolID')) ?? textOf(body, 'PoolID');
    const network = networks.get(id);
    if (network === undefined || network.id !== id) {
      throw new DockerError(
        'unknown-pool',
        `there is no network ${quote(id)} in the mesh any more: remove this Docker network and create it again`,
      );
    }
    // A pool that a lost state file has forgotten is taken up again: Docker does not ask for it a second time.
    const record = isSwarms(body) ? records.swarm.get(id) : pools.get(id);
    if (record !== undefined) return [network, { uses: 1, ...record }];
    return [network, { id: network.id, uses: 1, made: false, used: true }];
  }

  /** Gateway and auxiliary addresses belong to the network, not to a host: every host's create command names the same ones. */
  function reserve(pool: PoolRecord, address: string, gateway: boolean): Promise<object> {
    return locks(pool.id, async () => {
      const network = networks.get(pool.id);
      if (network === undefined)
        throw new DockerError('unknown-pool', 'the network has just been removed: create it again');
      const whole = parseCidr(network.subnet);
      const parsed = parseIpv4(address);
      if (!whole.ok || !parsed.ok || !includes(whole.value, parsed.value)) {
        throw new DockerError('bad-call', `${address} is outside the network's subnet ${network.subnet}`);
      }
      const there = setAside(network);
      if (there.includes(address)) return reply(`${address}/${whole.value.prefix}`);
      if (!pool.made || pool.used) {
        const own = there.length === 0 ? 'none' : there.join(', ');
        throw new DockerError(
          'address-in-use',
          `the network ${network.name ?? network.id} exists with other set-aside addresses (${own}): leave out --gateway and --aux-address, or give those`,
        );
      }
      const change = gateway ? { gateway: address } : { reserved: [...network.reserved, address] };
      await networks.change(pool.id, change);
      return reply(`${address}/${whole.value.prefix}`);
    });
  }

  async function releaseAddress(body: JsonObject): Promise<object> {
    const network = textOf(body, 'PoolID') as NetworkId;
    const lease = leases.at(network, addressOf(body, 'Address') ?? '');
    if (lease === undefined) return {};
    return locks(leases.holder(lease) ?? lease.id, async () => {
      // Docker thinks that the container is gone. A DeleteEndpoint that failed or never came is not repeated.
      const holder = leases.holder(lease);
      if (holder !== undefined) await dropEndpoint(holder);
      await leases.release(lease.id);
      return {};
    });
  }

  return { requestPool, releasePool, requestAddress, releaseAddress, forgetPool, settlePool, tidy, swarm };
}

function isSwarms(body: JsonObject): boolean {
  return networkOfSwarmPool(textOf(body, 'PoolID')) !== undefined;
}

function setAside({ gateway, reserved }: NetworkInfo): readonly string[] {
  return gateway === null ? reserved : [gateway, ...reserved];
}

function reply(address: string): object {
  return { Address: address, Data: {} };
}

function cidrOf(body: JsonObject, name: string): string | undefined {
  const text = textOf(body, name);
  if (text === '') return undefined;
  if (text.includes(':')) throw noIpv6();
  const parsed = parseCidr(text);
  if (!parsed.ok) throw new DockerError('bad-call', parsed.message);
  return text;
}

export function noIpv6(): DockerError {
  return new DockerError(
    'not-supported',
    'networks of weft have no IPv6 yet: leave out --ipv6 and IPv6 subnets',
  );
}
