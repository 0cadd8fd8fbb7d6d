import { quote } from '../src/core/address.ts';
import type { NetworkId } from '../src/core/ids.ts';
import type { JsonObject } from '../src/core/json.ts';
import type { Locks } from '../src/core/locks.ts';
import type { NetworkInfo } from '../src/core/network.ts';
import { DockerError } from './errors.ts';
import { idOf, listOf, mapOf, textOf } from './fields.ts';
import type { DoorParts } from './parts.ts';
import { poolReply } from './pools.ts';
import type { Records, SwarmRecord } from './records.ts';

/**
 * What the leading manager of a swarm asks. Its allocator wants an address of each task before anybody knows on which node the task will
 * run, but an address belongs to one host: the one that routes to it. So the manager is given a placeholder for each of them, the
 * last address of the subnet, which is nobody's; the node asks again in its own name, with the placeholder as wish, and takes the address
 * of its own part of the ring that it gets instead. Names in Docker's own DNS and on the node are made from that one. A new leader that
 * repeats all requests of the one before finds nothing to know.
 *
 *   network create   RequestPool → AllocateNetwork       on the manager: makes the network of the mesh
 *   task             RequestAddress → placeholder        on the manager
 *                    RequestPool, CreateNetwork, RequestAddress(placeholder) → own address       on the node
 *   network rm       FreeNetwork → ReleasePool           on the manager: removes the network of the mesh
 */
export interface Swarm {
  requestPool(body: JsonObject): Promise<object>;
  releasePool(body: JsonObject): Promise<object>;
  allocateNetwork(body: JsonObject): Promise<object>;
  freeNetwork(body: JsonObject): Promise<object>;
  /** Removes networks that were in use somewhere when the swarm gave them up. */
  tidy(): Promise<void>;
}

export interface SwarmParts extends DoorParts {
  readonly records: Records;
  readonly locks: Locks;
  /** The network that the call asks for, made when there is none; `made` says which. */
  readonly findOrMake: (body: JsonObject) => Promise<FoundNetwork>;
}

export interface FoundNetwork {
  readonly network: NetworkInfo;
  readonly made: boolean;
}

const PREFIX = 'swarm-';

/** A manager is a node as well, whose own pools have the network's id. */
export function swarmPoolOf(id: NetworkId): string {
  return `${PREFIX}${id}`;
}

/** Undefined for a pool of the node's own. */
export function networkOfSwarmPool(pool: string): string | undefined {
  return pool.startsWith(PREFIX) ? pool.slice(PREFIX.length) : undefined;
}

export function createSwarm({ networks, records, locks, findOrMake, log }: SwarmParts): Swarm {
  const { swarm } = records;

  async function requestPool(body: JsonObject): Promise<object> {
    const { network, made } = await findOrMake(body);
    const old = swarm.get(network.id) ?? { id: network.id, made, used: false, networks: [] };
    await swarm.put(old);
    return poolReply(network, swarmPoolOf(network.id));
  }

  async function allocateNetwork(body: JsonObject): Promise<object> {
    const id = idOf(body, 'NetworkID');
    const subnet = textOf(mapOf({ first: listOf(body, 'IPv4Data')[0] ?? null }, 'first'), 'Pool');
    const network = networks.list().find((one) => one.subnet === subnet);
    if (network === undefined) {
      throw new DockerError(
        'unknown-network',
        `the subnet ${quote(subnet)} is no network of the mesh: create it with the address driver of weft as well (--ipam-driver)`,
      );
    }
    await locks(network.id, async () => {
      const old = swarm.get(network.id) ?? { id: network.id, made: false, used: false, networks: [] };
      await swarm.put({ ...old, used: true, networks: [...new Set([...old.networks, id])] });
    });
    log.info('swarm network allocated', { network: network.id, subnet, swarm: id });
    return { Options: mapOf(body, 'Options') };
  }

  async function freeNetwork(body: JsonObject): Promise<object> {
    const id = idOf(body, 'NetworkID');
    for (const record of swarm.all().filter((one) => one.networks.includes(id))) {
      await locks(record.id, async () => {
        const { networks: all, ...rest } = swarm.get(record.id) ?? record;
        await swarm.put({ ...rest, networks: all.filter((one) => one !== id) });
      });
    }
    return {};
  }

  async function releasePool(body: JsonObject): Promise<object> {
    const id = networkOfSwarmPool(textOf(body, 'PoolID')) ?? '';
    return locks(id, async () => {
      const record = swarm.get(id);
      if (record !== undefined && record.networks.length === 0) await end(record);
      return {};
    });
  }

  /** The record stays while the network is in use somewhere: a task on another node may still be ending. */
  async function end({ id, made, used }: SwarmRecord): Promise<void> {
    if ((made || used) && id !== 'weft' && networks.get(id) !== undefined) {
      try {
        await networks.remove(id);
      } catch (error) {
        if (!used) throw error;
        log.info('a network of the swarm is removed once nobody uses it', {
          network: id,
          why: String(error),
        });
        return;
      }
    }
    await swarm.remove(id);
  }

  async function tidy(): Promise<void> {
    for (const { id } of swarm.all()) {
      await locks(id, async () => {
        const record = swarm.get(id);
        if (record === undefined) return;
        // Another manager leads, and has removed it.
        if (networks.get(id) === undefined) await swarm.remove(id);
        else if (record.used && record.networks.length === 0) await end(record);
      });
    }
  }

  return { requestPool, releasePool, allocateNetwork, freeNetwork, tidy };
}
