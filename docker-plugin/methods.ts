import type { JsonObject } from '../src/core/json.ts';
import { GLOBAL_SPACE, type Ipam, LOCAL_SPACE } from './ipam.ts';
import type { NetworkDriver } from './network-driver.ts';
import type { Scope } from './parts.ts';
import type { Swarm } from './swarm.ts';

/** What the methods that need the mesh call: the door, or what leads to it. */
export interface Answering {
  readonly ipam: Pick<Ipam, 'requestPool' | 'releasePool' | 'requestAddress' | 'releaseAddress'>;
  readonly driver: Pick<
    NetworkDriver,
    'createNetwork' | 'deleteNetwork' | 'createEndpoint' | 'deleteEndpoint' | 'join' | 'leave'
  >;
  readonly swarm: Pick<Swarm, 'allocateNetwork' | 'freeNetwork'>;
}

/** One method of the plugin protocol. */
export type Method =
  /** Answered in every phase of the daemon. */
  | { readonly kind: 'fixed'; readonly run: (body: JsonObject) => object }
  /** Waits for the mesh, and needs a body. */
  | { readonly kind: 'mesh'; readonly run: (door: Answering, body: JsonObject) => Promise<object> };

/**
 * Every method of docker/libnetwork's remote drivers, `docs/remote.md` and `docs/ipam.md` there; which engine sends what was recorded with
 * 20.10, 28.5 and 29.7.
 */
export function createMethods(scope: Scope): ReadonlyMap<string, Method> {
  const fixed = (run: (body: JsonObject) => object): Method => ({ kind: 'fixed', run });
  const mesh = (run: (door: Answering, body: JsonObject) => Promise<object>): Method => {
    return { kind: 'mesh', run };
  };
  const nothing = fixed(() => ({}));
  return new Map<string, Method>([
    ['Plugin.Activate', fixed(() => ({ Implements: ['NetworkDriver', 'IpamDriver'] }))],

    [
      'IpamDriver.GetCapabilities',
      fixed(() => ({ RequiresMACAddress: false, RequiresRequestReplay: false })),
    ],
    [
      'IpamDriver.GetDefaultAddressSpaces',
      fixed(() => ({ LocalDefaultAddressSpace: LOCAL_SPACE, GlobalDefaultAddressSpace: GLOBAL_SPACE })),
    ],
    ['IpamDriver.RequestPool', mesh(({ ipam }, body) => ipam.requestPool(body))],
    ['IpamDriver.ReleasePool', mesh(({ ipam }, body) => ipam.releasePool(body))],
    ['IpamDriver.RequestAddress', mesh(({ ipam }, body) => ipam.requestAddress(body))],
    ['IpamDriver.ReleaseAddress', mesh(({ ipam }, body) => ipam.releaseAddress(body))],

    [
      'NetworkDriver.GetCapabilities',
      fixed(() => ({ Scope: scope, ConnectivityScope: 'global', GwAllocChecker: true })),
    ],
    // 28 and later: no address is allocated for a gateway that no container has.
    ['NetworkDriver.GwAllocCheck', fixed(() => ({ SkipIPv4: true, SkipIPv6: true }))],
    ['NetworkDriver.CreateNetwork', mesh(({ driver }, body) => driver.createNetwork(body))],
    ['NetworkDriver.DeleteNetwork', mesh(({ driver }, body) => driver.deleteNetwork(body))],
    ['NetworkDriver.CreateEndpoint', mesh(({ driver }, body) => driver.createEndpoint(body))],
    ['NetworkDriver.DeleteEndpoint', mesh(({ driver }, body) => driver.deleteEndpoint(body))],
    ['NetworkDriver.Join', mesh(({ driver }, body) => driver.join(body))],
    ['NetworkDriver.Leave', mesh(({ driver }, body) => driver.leave(body))],

    // An error of this one keeps a container from starting on 20.10, and there is nothing to tell.
    ['NetworkDriver.EndpointOperInfo', fixed(() => ({ Value: {} }))],
    // Asked only of drivers that are the way out; Docker's own bridge is.
    ['NetworkDriver.ProgramExternalConnectivity', nothing],
    ['NetworkDriver.RevokeExternalConnectivity', nothing],
    // Swarm: on the leading manager.
    ['NetworkDriver.AllocateNetwork', mesh(({ swarm }, body) => swarm.allocateNetwork(body))],
    ['NetworkDriver.FreeNetwork', mesh(({ swarm }, body) => swarm.freeNetwork(body))],
    // The addresses of the nodes, which Weft knows by itself.
    ['NetworkDriver.DiscoverNew', nothing],
    ['NetworkDriver.DiscoverDelete', nothing],
  ]);
}
