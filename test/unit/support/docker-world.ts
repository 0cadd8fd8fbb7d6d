import { createDockerDoor, type DockerDoor } from '../../../docker-plugin/door.ts';
import type { Addresses, Networks, Scope } from '../../../docker-plugin/parts.ts';
import { createEndpoints } from '../../../src/attach/endpoints.ts';
import { formatIpv4, parseCidr } from '../../../src/core/address.ts';
import type { EndpointId, NetworkId, PeerId } from '../../../src/core/ids.ts';
import type { JsonObject } from '../../../src/core/json.ts';
import type { NetworkInfo } from '../../../src/core/network.ts';
import { includes } from '../../../src/core/ranges.ts';
import { openKeeper } from '../../../src/mesh/keeper.ts';
import { SpaceError } from '../../../src/mesh/space.ts';
import type { Host } from '../../../src/ports/host.ts';
import { createVirtualClock, type VirtualClock } from '../../../src/ports/memory/clock.ts';
import { createMemoryHost, createMemoryMachine, type MemoryMachine } from '../../../src/ports/memory/host.ts';
import { createSeededRandom } from '../../../src/ports/memory/random.ts';
import { createMemoryStore } from '../../../src/ports/memory/store.ts';
import { silentLog } from '../../hosts/log.ts';
import type { Fault } from './attach-world.ts';

/** One host as Docker sees it; networks, addresses, links and the disk outlive the door. */
export interface DockerWorld {
  readonly machine: MemoryMachine;
  readonly clock: VirtualClock;
  readonly networks: Map<string, NetworkInfo>;
  /** As another host makes one. */
  addNetwork(network: NetworkInfo): void;
  /** Lease → address. */
  readonly leases: Map<string, string>;
  /** A life of the door; calls into the world go through `fault`. What the daemon does first is done: links that no record knows are gone. */
  live(fault?: Fault): Promise<DockerDoor>;
}

const SELF = 'self' as PeerId;
export const RANGE = '10.0.0.0/8';
export const MTU = 1400;

export function createDockerWorld(scope: Scope = 'local'): DockerWorld {
  const machine = createMemoryMachine();
  const clock = createVirtualClock();
  const disk = createMemoryStore();
  const networks = new Map<string, NetworkInfo>();
  const leases = new Map<string, string>();
  const homes = new Map<string, string>();
  const watchers = new Set<() => void>();
  let made = 0;
  let lives = 0;
  const addNetwork = (network: NetworkInfo) => {
    networks.set(network.id, network);
    for (const watcher of watchers) watcher();
  };
  const add = (id: string, name: string | null, subnet: string, ipRange: string | null): NetworkInfo => {
    const none = { internal: false, gateway: null, reserved: [], clash: null, options: {}, creator: SELF };
    const network = { id: id as NetworkId, name, subnet, ipRange, ...none };
    addNetwork(network);
    return network;
  };
  add('weft', 'weft', RANGE, null);

  const meshNetworks: Networks = {
    list: () => [...networks.values()],
    get: (id) => networks.get(id),
    async create({ name, subnet = `10.99.${made}.0/24`, ipRange }) {
      const same = [...networks.values()].find((network) => network.subnet === subnet);
      if (same !== undefined) return same;
      return add((made++).toString(16).padStart(16, '0'), name, subnet, ipRange ?? null);
    },
    async change(id, change) {
      const network = { ...(networks.get(id) as NetworkInfo), ...change };
      networks.set(id, network);
      return network;
    },
    watch(listener) {
      watchers.add(listener);
      return () => watchers.delete(listener);
    },
    async remove(id) {
      if ([...homes.values()].includes(id)) throw new Error('endpoints are in it');
      networks.delete(id);
    },
  };
  const space: Addresses = {
    async allocate({ endpoint, network, wanted }) {
      const taken = new Set(leases.values());
      const known = leases.get(endpoint);
      const home = networks.get(network);
      if (home === undefined) throw new SpaceError('unknown-network', `there is no network ${network}`);
      if (wanted !== undefined && known === undefined && taken.has(wanted))
        throw new SpaceError('in-use', `${wanted} is in use`);
      const address = known ?? wanted ?? firstFree(home, taken);
      leases.set(endpoint, address);
      homes.set(endpoint, network);
      return { address, prefix: prefixOf(home.subnet) };
    },
    async release(endpoint) {
      leases.delete(endpoint);
      homes.delete(endpoint);
    },
    allocations: () =>
      [...leases].map(([endpoint, address]) => {
        const network = homes.get(endpoint) as NetworkId;
        const prefix = prefixOf(networks.get(network)?.subnet ?? '/32');
        return { endpoint: endpoint as EndpointId, network, address, prefix };
      }),
  };

  return {
    machine,
    clock,
    networks,
    addNetwork,
    leases,
    async live(fault) {
      const guard = fault?.guard ?? ((call) => call());
      const store = { read: () => disk.read(), write: (bytes: Uint8Array) => guard(() => disk.write(bytes)) };
      const parts = {
        networks: guarded(meshNetworks, ['create', 'change', 'remove'], guard),
        space: guarded(space, ['allocate', 'release'], guard),
        host: guarded<Host>(createMemoryHost(machine), ['offerLink', 'plug', 'unplug', 'plugged'], guard),
        keeper: await openKeeper({ store }),
        random: createSeededRandom(`life ${lives++}`),
        clock,
        log: silentLog,
      };
      const door = createDockerDoor({
        self: SELF,
        driver: 'weft',
        scope,
        mtu: MTU,
        meshMtu: () => MTU,
        ...parts,
      });
      await createEndpoints({ ...parts, mtu: () => MTU, device: 'weft0', others: door.owns }).reconcile();
      return door;
    },
  };
}

const prefixOf = (subnet: string) => Number(subnet.split('/')[1]);

function firstFree({ subnet, ipRange, gateway, reserved }: NetworkInfo, taken: ReadonlySet<string>): string {
  const [whole, part] = [parseCidr(subnet), parseCidr(ipRange ?? subnet)];
  if (!whole.ok || !part.ok) throw new Error(`${subnet} or ${ipRange} is no network`);
  for (let value = whole.value.start + 1; value < whole.value.last; value++) {
    const text = formatIpv4(value);
    if (includes(part.value, value) && !taken.has(text) && !reserved.includes(text) && text !== gateway)
      return text;
  }
  throw new SpaceError('no-space', 'no address is free');
}

/** The same object with these methods sent through `guard`. */
function guarded<T extends object>(target: T, methods: readonly (keyof T)[], guard: Fault['guard']): T {
  const copy = { ...target };
  for (const method of methods) {
    const call = target[method] as (...args: unknown[]) => Promise<unknown>;
    copy[method] = ((...args: unknown[]) => guard(() => call(...args))) as T[keyof T];
  }
  return copy;
}

/** What Docker sends, in the words of a user. Replies are what the door answers. */
export function createDocker(door: () => DockerDoor) {
  let count = 0;
  const id = (kind: string) => `${kind}${(++count).toString(16).padStart(63, '0')}`;
  const ipam = () => door().ipam;
  const driver = () => door().driver;
  type Reply = Readonly<Record<string, never>> & { readonly [key: string]: string };

  return {
    id,
    /** `docker network create`, up to its last call. */
    async createNetwork(
      options: {
        readonly subnet?: string;
        readonly ipRange?: string;
        readonly gateway?: string;
        readonly aux?: readonly string[];
        readonly internal?: boolean;
        readonly opt?: JsonObject;
      } = {},
    ) {
      const { subnet = '', ipRange = '', gateway, aux = [], internal = false, opt = {} } = options;
      const pool = (await ipam().requestPool({
        AddressSpace: 'WeftLocal',
        Pool: subnet,
        SubPool: ipRange,
        Options: null,
        V6: false,
      })) as { PoolID: string; Pool: string; Data: Record<string, string> };
      const PoolID = pool.PoolID;
      if (gateway !== undefined) {
        const Options = { RequestAddressType: 'com.docker.network.gateway' };
        await ipam().requestAddress({ PoolID, Address: gateway, Options });
      }
      for (const Address of aux) await ipam().requestAddress({ PoolID, Address, Options: null });
      const NetworkID = id('a');
      await driver().createNetwork({
        NetworkID,
        Options: {
          'com.docker.network.enable_ipv6': false,
          'com.docker.network.generic': opt,
          ...(internal ? { 'com.docker.network.internal': true } : {}),
        },
        IPv4Data: [{ AddressSpace: 'WeftLocal', Gateway: '', Pool: pool.Pool }],
        IPv6Data: [],
      });
      return { PoolID, NetworkID, subnet: pool.Pool, data: pool.Data };
    },
    async removeNetwork({ PoolID, NetworkID }: { PoolID: string; NetworkID: string }) {
      await ipam().releasePool({ PoolID });
      await driver().deleteNetwork({ NetworkID });
    },
    async requestAddress(PoolID: string, Address = ''): Promise<string> {
      const reply = (await ipam().requestAddress({ PoolID, Address, Options: null })) as Reply;
      return reply.Address ?? '';
    },
    createEndpoint(NetworkID: string, EndpointID: string, Address: string, MacAddress = '') {
      const Interface = { Address, AddressIPv6: '', MacAddress };
      return driver().createEndpoint({ NetworkID, EndpointID, Interface, Options: {} }) as Promise<{
        Interface: { MacAddress?: string };
      }>;
    },
    join(NetworkID: string, EndpointID: string, SandboxKey: string) {
      return driver().join({ NetworkID, EndpointID, SandboxKey, Options: {} }) as Promise<{
        InterfaceName: { SrcName: string; DstPrefix: string };
      }>;
    },
    leave: (NetworkID: string, EndpointID: string) => driver().leave({ NetworkID, EndpointID }),
    deleteEndpoint: (NetworkID: string, EndpointID: string) =>
      driver().deleteEndpoint({ NetworkID, EndpointID }),
    releaseAddress: (PoolID: string, Address: string) => ipam().releaseAddress({ PoolID, Address }),
  };
}

export type Docker = ReturnType<typeof createDocker>;
