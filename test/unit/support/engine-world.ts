import { createEngine, type Engine } from '../../../docker-plugin/engine/engine.ts';
import { createMemoryDocker, type MemoryDocker } from '../../../docker-plugin/engine/memory-api.ts';
import type { DriverEndpoint, MeshNetwork, NameRecord } from '../../../docker-plugin/engine/parts.ts';
import { createVirtualClock, type VirtualClock } from '../../../src/ports/memory/clock.ts';

/** One host's engine part with a Docker in memory; the mesh's networks and the driver's records are set by the test. */
export interface EngineWorld {
  readonly clock: VirtualClock;
  readonly docker: MemoryDocker;
  readonly engine: Engine;
  /** What the mesh has; `change` tells the watchers. */
  readonly mesh: Map<string, MeshNetwork>;
  readonly removed: Set<string>;
  change(): void;
  /** Docker's network → the mesh's, as the driver knows it. */
  readonly known: Map<string, string>;
  readonly endpoints: Map<string, DriverEndpoint>;
  /** By endpoint. */
  readonly names: Map<string, NameRecord>;
  /** Endpoints of containers with another way out. */
  readonly leadOut: ReadonlySet<string>;
  /** Codes of the warnings. */
  warnings(): string[];
  /** Docker's networks of the driver, by name. */
  dockerNetworks(): Promise<string[]>;
}

export const APP: MeshNetwork = { id: 'a1a1', name: 'app', subnet: '10.32.1.0/24', internal: false };

export function createEngineWorld(...networks: readonly MeshNetwork[]): EngineWorld {
  return createScopedWorld('local', networks);
}

/** `global`: the engine is part of a swarm. */
export function createScopedWorld(scope: 'local' | 'global', networks: readonly MeshNetwork[]): EngineWorld {
  const clock = createVirtualClock();
  const docker = createMemoryDocker();
  const mesh = new Map(networks.map((network) => [network.id, network]));
  const removed = new Set<string>();
  const known = new Map<string, string>();
  const endpoints = new Map<string, DriverEndpoint>();
  const names = new Map<string, NameRecord>();
  const leadOut = new Set<string>();
  const watchers = new Set<() => void>();
  const change = () => {
    for (const watcher of watchers) watcher();
  };
  const engine = createEngine({
    api: docker,
    driverName: 'weft',
    scope,
    clock,
    log: { debug() {}, info() {}, warn() {}, error() {} },
    beforeLook: async () => {},
    networks: {
      list: () => [...mesh.values()],
      isRemoved: (id) => removed.has(id),
      async rename(id, name) {
        const there = mesh.get(id) as MeshNetwork;
        if ([...mesh.values()].some((other) => other.name === name)) throw new Error(`${name} is taken`);
        mesh.set(id, { ...there, name });
        change();
      },
      watch(listener) {
        watchers.add(listener);
        return () => watchers.delete(listener);
      },
    },
    driver: {
      networks: () => known,
      endpoints: () => [...endpoints.values()],
      name: async () => {},
      leadsOut: (endpoint, outside) => void (outside ? leadOut.add(endpoint) : leadOut.delete(endpoint)),
      async releaseEndpoint(id) {
        endpoints.delete(id);
      },
      async releaseNetwork(id) {
        known.delete(id);
      },
    },
    names: {
      async publish(endpoint, record) {
        names.set(endpoint, record);
      },
      async withdraw(endpoint) {
        names.delete(endpoint);
      },
      published: () => [...names.keys()],
    },
  });
  return {
    clock,
    docker,
    engine,
    mesh,
    removed,
    change,
    known,
    endpoints,
    names,
    leadOut,
    warnings: () => engine.status().warnings.map(({ code }) => code),
    dockerNetworks: async () => {
      const all = await docker.networks();
      return all.filter(({ driver }) => driver === 'weft').map(({ name }) => name);
    },
  };
}
