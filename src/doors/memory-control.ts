import {
  type AttachRequest,
  type Control,
  type EndpointStatus,
  type ExposeRequest,
  type FoundRequest,
  type Invitation,
  type InviteRequest,
  isDegraded,
  type OwnerShare,
  type PeerStatus,
  type Phase,
  pathRowsOf,
  type Started,
  type Status,
  type TrustStatus,
  type Warning,
} from './control.ts';
import type { DnsName } from './dns-control.ts';
import { findEndpoints } from './endpoints.ts';
import { ControlError, type ErrorCode } from './errors.ts';
import { createMemoryDns } from './memory-dns.ts';
import { createMemoryNetworks } from './memory-networks.ts';
import { createMemoryRemoval } from './memory-removal.ts';
import type { MeshStatus } from './mesh-status.ts';
import type { NetworkStatus } from './networks.ts';

/**
 * The twin of the daemon's Control: the same answers, and no network behind them. Everything is in memory and deterministic.
 * Addresses are handed out from 10.32.0.1 upwards.
 */
export interface MemoryControl extends Control {
  /** What status shows besides what was done through Control. */
  show(facts: Partial<MemoryFacts>): void;
}

export interface MemoryFacts {
  readonly peers: readonly PeerStatus[];
  readonly warnings: readonly Warning[];
  readonly drops: Readonly<Record<string, number>>;
  readonly owners: readonly OwnerShare[];
}

/** What a token that this twin knows leads to: a mesh, or a refusal. */
export type MemoryToken = { readonly mesh: string } | { readonly refusal: ErrorCode };

export interface MemoryControlOptions {
  readonly nickname?: string;
  readonly version?: string;
  readonly tokens?: ReadonlyMap<string, MemoryToken>;
  /** Sandboxes that are there; absent: any. */
  readonly sandboxes?: ReadonlySet<string>;
}

const PEER = '12D3KooWMemory1111111111111111111111111111111111111';
const OWN_MESH = '0'.repeat(64);
const DEFAULT_RANGE = '10.32.0.0/12';
const TOTAL = 1_048_576;
const DAY = 86_400;
const NO_TRAFFIC = { sentPackets: 0, sentBytes: 0, receivedPackets: 0, receivedBytes: 0, dropped: 0 };

export function createMemoryControl(options: MemoryControlOptions = {}): MemoryControl {
  let phase: Phase = { state: 'idle', text: 'in no mesh' };
  let mesh: MeshStatus | null = null;
  const trusted = new Set<string>();
  let facts: MemoryFacts = { peers: [], warnings: [], drops: {}, owners: [] };
  let made = 0;
  const endpoints = new Map<string, EndpointStatus>();
  const watchers = new Set<(phase: Phase) => void>();
  const networks = createMemoryNetworks(
    () => mesh?.range ?? DEFAULT_RANGE,
    (name) =>
      [...endpoints.values()]
        .filter(({ network }) => network === (name ?? network))
        .map(({ address }) => address),
  );

  function enter(state: Phase['state'], text: string): void {
    phase = { state, text };
    for (const watcher of watchers) watcher(phase);
  }

  const show = (more: Partial<MemoryFacts>) => {
    facts = { ...facts, ...more };
  };

  function requireRunning(): void {
    if (phase.state === 'starting' || phase.state === 'stopping') throw new ControlError(phase.state);
  }

  function requireMesh(): void {
    requireRunning();
    if (mesh === null) throw new ControlError('no-mesh');
  }

  function whileInMesh<Request, Result>(call: (request: Request) => Promise<Result>) {
    return async (request: Request) => {
      requireMesh();
      return call(request);
    };
  }

  async function start(id: string, creator: boolean, range: string, encryption = true): Promise<Started> {
    enter('starting', creator ? 'making the keys of the mesh' : 'asking a peer for addresses');
    await Promise.resolve();
    enter('starting', 'bringing up the device');
    await Promise.resolve();
    mesh = { id, creator, range, encryption, epoch: 1, digest: '0-0-0' };
    enter('ready', 'ready');
    return { created: true, status: status() };
  }

  function add(
    request: Partial<AttachRequest>,
    kind: EndpointStatus['kind'],
    network: NetworkStatus,
  ): EndpointStatus {
    const address = networks.claim(request.ip, network);
    made += 1;
    const id = made.toString(16).padStart(4, '0').repeat(4);
    const endpoint: EndpointStatus = {
      id,
      name: request.name ?? null,
      kind,
      network: network.name ?? network.id,
      address,
      prefix: Number(network.subnet.split('/')[1]),
      sandbox: request.sandbox ?? null,
      interface: request.interface ?? (kind === 'host' ? 'weft0' : 'eth0'),
      hostLink: kind === 'host' ? null : `wv${made}`,
      mac: kind === 'host' ? null : `02:00:00:00:00:${made.toString(16).padStart(2, '0')}`,
      up: true,
    };
    endpoints.set(id, endpoint);
    return endpoint;
  }

  async function attach(request: AttachRequest): Promise<EndpointStatus> {
    requireMesh();
    const network = networks.find(request.network);
    if (options.sandboxes !== undefined && !options.sandboxes.has(request.sandbox)) {
      throw new ControlError('sandbox-missing', `There is no sandbox ${request.sandbox}`);
    }
    const all = [...endpoints.values()];
    const inside = all.filter((endpoint) => endpoint.sandbox === request.sandbox);
    const there = inside.find((endpoint) =>
      request.interface === undefined
        ? endpoint.network === network.name
        : endpoint.interface === request.interface,
    );
    if (there !== undefined) {
      if (request.ip === undefined || request.ip === there.address) return there;
      throw new ControlError(
        'interface-taken',
        `${there.interface} of ${request.sandbox} has ${there.address}`,
      );
    }
    if (request.name !== undefined && all.some((endpoint) => endpoint.name === request.name)) {
      throw new ControlError('name-taken', `Another endpoint is called ${request.name}`);
    }
    const next = inside.length === 0 ? 'eth0' : `weft${inside.length - 1}`;
    return add({ interface: next, ...request }, 'sandbox', network);
  }

  async function detach(request: { endpoint: string }): Promise<EndpointStatus> {
    requireMesh();
    const found = findEndpoints([...endpoints.values()], request.endpoint);
    const [first, second] = found;
    if (first === undefined)
      throw new ControlError('unknown-endpoint', `No endpoint here is called ${request.endpoint}`);
    if (second !== undefined) {
      throw new ControlError(
        'ambiguous-endpoint',
        `${request.endpoint} may be ${found.map((one) => one.address).join(' or ')}`,
      );
    }
    endpoints.delete(first.id);
    return first;
  }

  async function expose(request: ExposeRequest): Promise<EndpointStatus> {
    requireMesh();
    const network = networks.find(request.network);
    const hosts = [...endpoints.values()].filter((endpoint) => endpoint.kind === 'host');
    const there = hosts.find((endpoint) => endpoint.network === network.name);
    if (there !== undefined && (request.ip === undefined || request.ip === there.address)) return there;
    return add(request, 'host', network);
  }

  async function hide(): Promise<readonly EndpointStatus[]> {
    requireMesh();
    const hosts = [...endpoints.values()].filter((endpoint) => endpoint.kind === 'host');
    for (const endpoint of hosts) endpoints.delete(endpoint.id);
    return hosts;
  }

  async function invite(request: InviteRequest): Promise<Invitation> {
    requireMesh();
    made += 1;
    const id = made.toString(16).padStart(32, '0');
    const token = `wf1_${id}${'A'.repeat(43)}`;
    return { token, id, ttl: request.ttl ?? DAY, uses: request.uses ?? 1, addresses: ['192.0.2.1:6783'] };
  }

  async function found(request: FoundRequest): Promise<Started> {
    requireRunning();
    if (mesh === null) return start(OWN_MESH, true, request.range ?? DEFAULT_RANGE, request.encryption);
    if (request.encryption === false && mesh.encryption) throw new ControlError('other-encryption');
    if (request.range !== undefined && request.range !== mesh.range) {
      throw new ControlError('other-range', `This mesh has ${mesh.range}`);
    }
    return { created: false, status: status() };
  }

  async function join(request: { token: string }): Promise<Started> {
    requireRunning();
    const known = options.tokens?.get(request.token);
    if (known === undefined) throw new ControlError('unknown-token');
    if ('refusal' in known) throw new ControlError(known.refusal);
    if (mesh !== null && mesh.id !== known.mesh) throw new ControlError('other-mesh');
    if (mesh !== null) return { created: false, status: status() };
    return start(known.mesh, false, DEFAULT_RANGE);
  }

  function named(): readonly DnsName[] {
    const host = options.nickname ?? 'memory';
    return [...endpoints.values()].flatMap(({ name, address, id }) =>
      name === null
        ? []
        : [
            {
              name: name.toLowerCase(),
              network: 'weft',
              address,
              kind: 'endpoint' as const,
              host,
              endpoint: id,
              reachable: true,
            },
          ],
    );
  }

  async function down(): Promise<{ detached: number }> {
    enter('stopping', 'taking everything down');
    const detached = endpoints.size;
    endpoints.clear();
    return { detached };
  }

  function trustStatus(): TrustStatus {
    requireMesh();
    const subnets = [...trusted].map((subnet) => ({ subnet, from: 'command' as const }));
    return { everywhere: mesh?.encryption === false, subnets };
  }

  function status(): Status {
    const size = mesh === null ? 0 : TOTAL;
    const self: OwnerShare = {
      peer: PEER,
      nickname: options.nickname ?? 'memory',
      state: 'self',
      addresses: size,
      free: size - endpoints.size,
    };
    return {
      version: options.version ?? '0.1.0',
      phase,
      degraded: isDegraded(phase, facts.warnings),
      nickname: self.nickname,
      peer: mesh === null ? null : PEER,
      uptime: 61,
      mesh,
      listen: { control: ['0.0.0.0:6783'], data: ['0.0.0.0:6783'], advertised: ['192.0.2.1:6783'] },
      device: mesh === null ? null : { name: 'weft0', mtu: 1420 },
      peers: facts.peers,
      ipam:
        mesh === null
          ? null
          : {
              range: mesh.range,
              total: TOTAL,
              own: [{ start: '10.32.0.0', last: '10.47.255.255', network: 'weft', size }],
              allocated: endpoints.size,
              free: self.free ?? 0,
              owners: [self, ...facts.owners],
              disputes: [],
              waiting: [],
            },
      networks: mesh === null ? [] : networks.list(),
      endpoints: [...endpoints.values()],
      traffic: NO_TRAFFIC,
      drops: facts.drops,
      relay: mesh === null ? null : { on: true, pairs: 0, bytes: 0 },
      warnings: facts.warnings,
      state: { path: '/var/lib/weft', generation: 'new', note: null },
    };
  }

  return {
    status,
    watchPhase(handler) {
      watchers.add(handler);
      return () => watchers.delete(handler);
    },
    found,
    join,
    invite,
    attach,
    detach,
    expose,
    hide,
    async paths() {
      requireMesh();
      return { paths: pathRowsOf(facts.peers), relay: status().relay };
    },
    trusted: trustStatus,
    async trust({ subnet }) {
      requireMesh();
      trusted.add(subnet);
      return trustStatus();
    },
    async distrust({ subnet }) {
      requireMesh();
      if (!trusted.delete(subnet)) throw new ControlError('unknown-subnet');
      return trustStatus();
    },
    ...createMemoryRemoval({ peer: PEER, nickname: options.nickname ?? 'memory' }, requireMesh, {
      get: () => facts.peers,
      set: (peers) => show({ peers }),
    }),
    dns: createMemoryDns(named, requireMesh),
    down,
    createNetwork: whileInMesh(networks.createNetwork),
    removeNetwork: whileInMesh(networks.removeNetwork),
    renameNetwork: whileInMesh(networks.renameNetwork),
    show,
  };
}
