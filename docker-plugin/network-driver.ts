import { quote } from '../src/core/address.ts';
import type { EndpointId } from '../src/core/ids.ts';
import type { JsonObject } from '../src/core/json.ts';
import type { Locks } from '../src/core/locks.ts';
import type { NetworkInfo } from '../src/core/network.ts';
import type { OfferPlan } from '../src/ports/host.ts';
import { DockerError } from './errors.ts';
import { addressOf, endpointOf, idOf, listOf, macOf, mapOf, textOf } from './fields.ts';
import { GLOBAL_SPACE, LOCAL_SPACE, noIpv6 } from './ipam.ts';
import type { Leases } from './leases.ts';
import { createOffers } from './offers.ts';
import type { DoorParts } from './parts.ts';
import type { EndpointRecord, NetworkRecord, Records } from './records.ts';

/** The part of Docker's NetworkDriver that has state. */
export interface NetworkDriver {
  createNetwork(body: JsonObject): Promise<object>;
  deleteNetwork(body: JsonObject): Promise<object>;
  createEndpoint(body: JsonObject): Promise<object>;
  deleteEndpoint(body: JsonObject): Promise<object>;
  join(body: JsonObject): Promise<object>;
  leave(body: JsonObject): Promise<object>;
  /** Takes the link away and forgets the endpoint; its lease stays, without an endpoint. For callers that hold the endpoint's lock. */
  dropEndpoint(id: EndpointId): Promise<void>;
  /** Forgets a Docker network with all its endpoints. */
  dropNetwork(id: string): Promise<void>;
}

export interface NetworkDriverParts extends DoorParts {
  readonly records: Records;
  readonly leases: Leases;
  readonly locks: Locks;
}

const INTERNAL = 'com.docker.network.internal';
const IPV6 = 'com.docker.network.enable_ipv6';
const GENERIC = 'com.docker.network.generic';
const MTU = 'com.docker.network.driver.mtu';
const SMALLEST_MTU = 576;

export function createNetworkDriver(parts: NetworkDriverParts): NetworkDriver {
  const { driver, networks, records, leases, locks, host, log } = parts;
  const { pools, endpoints } = records;
  const offers = createOffers(host);

  async function createNetwork(body: JsonObject): Promise<object> {
    const id = idOf(body, 'NetworkID');
    const options = mapOf(body, 'Options');
    if (options[IPV6] === true || listOf(body, 'IPv6Data').length > 0) throw noIpv6();
    const network = networkOf(body);
    const internal = options[INTERNAL] === true;
    const mtu = mtuOf(mapOf(options, GENERIC), parts.mtu);
    return locks(network.id, async () => {
      const pool = pools.get(network.id) ?? { id: network.id, uses: 1, made: false, used: false };
      if (network.internal !== internal) {
        // A swarm tells it to the nodes only, all of them the same.
        if (parts.scope === 'local' && (!pool.made || pool.used)) throw otherKind(network);
        await networks.change(network.id, { internal });
      }
      await Promise.all([
        records.networks.put({ id, network: network.id, internal, mtu }),
        pools.put({ ...pool, used: true }),
      ]);
      log.info('docker network created', { network: network.id, subnet: network.subnet, docker: id });
      return {};
    });
  }

  /** By its subnet: the pool's id is not passed. */
  function networkOf(body: JsonObject): NetworkInfo {
    const data = listOf(body, 'IPv4Data');
    const first = mapOf({ first: data[0] ?? null }, 'first');
    const space = textOf(first, 'AddressSpace');
    if (space !== LOCAL_SPACE && space !== GLOBAL_SPACE) {
      throw new DockerError(
        'not-supported',
        `a weft network takes its addresses from weft: docker network create -d ${driver} --ipam-driver ${driver} NAME`,
      );
    }
    if (data.length > 1)
      throw new DockerError('not-supported', 'a weft network has one subnet: give --subnet once');
    const subnet = textOf(first, 'Pool');
    const network = networks.list().find((one) => one.subnet === subnet);
    if (network === undefined) {
      throw new DockerError(
        'unknown-network',
        `the subnet ${quote(subnet)} is no network of the mesh any more: create it again`,
      );
    }
    return network;
  }

  function otherKind({ name, id, internal }: NetworkInfo): DockerError {
    const how = internal ? 'with --internal: give it here too' : 'without --internal: leave it out here too';
    return new DockerError('not-supported', `the network ${name ?? id} was made ${how}`);
  }

  async function deleteNetwork(body: JsonObject): Promise<object> {
    await dropNetwork(idOf(body, 'NetworkID'));
    return {};
  }

  async function dropNetwork(id: string): Promise<void> {
    for (const endpoint of endpoints.all()) {
      if (endpoint.docker !== id) continue;
      await locks(endpoint.id, async () => {
        await dropEndpoint(endpoint.id);
        await leases.release(endpoint.lease);
      });
    }
    if (records.networks.get(id) !== undefined) await records.networks.remove(id);
  }

  async function createEndpoint(body: JsonObject): Promise<object> {
    const { id: docker, network, mtu } = knownNetwork(body);
    const id = endpointOf(body);
    const wish = mapOf(body, 'Interface');
    if (textOf(wish, 'AddressIPv6') !== '') throw noIpv6();
    const address = addressOf(wish, 'Address');
    if (address === undefined) {
      throw new DockerError(
        'not-supported',
        `Docker gave no address for the container: create the network with --ipam-driver ${driver}`,
      );
    }
    const mac = macOf(wish) ?? null;
    return locks(id, async () => {
      const old = endpoints.get(id);
      if (old !== undefined && (old.address !== address || old.docker !== docker)) {
        throw new DockerError('bad-call', `the endpoint ${id.slice(0, 12)} is there with ${old.address}`);
      }
      if (old === undefined) {
        // Docker has the lease that it was given, unless that was taken back in between.
        const lease = leases.at(network, address) ?? (await leases.take(network, address));
        if (leases.holder(lease) !== undefined) {
          throw new DockerError('address-in-use', `${address} is in use by another container here`);
        }
        const fresh = { mac, sandbox: null, name: null };
        const { id: leased, prefix } = lease;
        const record: EndpointRecord = { id, docker, network, lease: leased, address, prefix, ...fresh };
        // Join follows at once and finds the link made, or being made.
        offers.make(offerOf(record, mtu));
        await endpoints.put(record);
      }
      return { Interface: mac === null ? { MacAddress: macFor(address) } : {} };
    });
  }

  function knownNetwork(body: JsonObject): NetworkRecord {
    const id = idOf(body, 'NetworkID');
    const found = records.networks.get(id);
    if (found !== undefined) return found;
    throw new DockerError(
      'unknown-network',
      `weft does not know the Docker network ${id.slice(0, 12)}: remove it (docker network rm) and create it again`,
    );
  }

  async function join(body: JsonObject): Promise<object> {
    const { mtu } = knownNetwork(body);
    const id = endpointOf(body);
    const sandbox = textOf(body, 'SandboxKey');
    return locks(id, async () => {
      const record = endpoints.get(id);
      if (record === undefined) {
        throw new DockerError(
          'unknown-endpoint',
          `weft does not know the endpoint ${id.slice(0, 12)}: start the container again`,
        );
      }
      const [{ link }] = await Promise.all([
        offers.take(offerOf(record, mtu)),
        endpoints.put({ ...record, sandbox }),
      ]);
      log.info('docker container attached', { endpoint: id, address: record.address });
      // No gateway: Docker then gives the container its own bridge as way out, and publishes ports there.
      return { InterfaceName: { SrcName: link, DstPrefix: 'eth' } };
    });
  }

  function offerOf({ id, address, prefix, mac }: EndpointRecord, mtu: number | null): OfferPlan {
    return {
      endpoint: id,
      address: `${address}/${prefix}`,
      mtu: mtu === null ? parts.meshMtu() : Math.min(mtu, parts.mtu),
      mac: mac ?? macFor(address),
    };
  }

  /** Docker takes the interface out of the container by itself; the link goes with DeleteEndpoint. */
  async function leave(body: JsonObject): Promise<object> {
    const id = endpointOf(body);
    return locks(id, async () => {
      const record = endpoints.get(id);
      // Not waited for: a leave that a crash loses is made up for by the DeleteEndpoint that comes next.
      if (record !== undefined) endpoints.put({ ...record, sandbox: null }).catch(() => undefined);
      return {};
    });
  }

  async function deleteEndpoint(body: JsonObject): Promise<object> {
    const id = endpointOf(body);
    await locks(id, () => dropEndpoint(id));
    return {};
  }

  async function dropEndpoint(id: EndpointId): Promise<void> {
    const record = endpoints.get(id);
    if (record === undefined) return;
    offers.forget(id);
    await host.unplug(id);
    await endpoints.remove(id);
    log.info('docker container detached', { endpoint: id, address: record.address });
  }

  return {
    createNetwork,
    deleteNetwork,
    createEndpoint,
    deleteEndpoint,
    join,
    leave,
    dropEndpoint,
    dropNetwork,
  };
}

/** Made from the address, so that neighbours' entries stay true when a container comes back; locally administered. */
export function macFor(address: string): string {
  const bytes = address.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'));
  return `0a:57:${bytes.join(':')}`;
}

/** Throws unless it fits through the mesh. */
function mtuOf(generic: JsonObject, largest: number): number | null {
  const text = textOf(generic, MTU);
  if (text === '') return null;
  const mtu = /^[1-9][0-9]{0,5}$/.test(text) ? Number(text) : 0;
  if (mtu >= SMALLEST_MTU && mtu <= largest) return mtu;
  throw new DockerError(
    'not-supported',
    `--opt ${MTU}=${quote(text)} must be from ${SMALLEST_MTU} to ${largest}, the largest packet that this host sends into the mesh`,
  );
}
