import { createDockerDoor, type DockerDoor } from '../../docker-plugin/door.ts';
import type { Engine } from '../../docker-plugin/engine/engine.ts';
import { createEndpoints, type Endpoints } from '../attach/endpoints.ts';
import { formatCidr, formatHostPort, prefixOf } from '../core/address.ts';
import type { Identity } from '../core/crypto.ts';
import { openNativeDatapath } from '../datapath/native.ts';
import { hasAesInstructions } from '../host/cpu.ts';
import { nodeCrypto } from '../host/crypto.ts';
import { createDatagramBatches, kernelLinks } from '../host/datagram-batches.ts';
import { openProbes } from '../host/probes.ts';
import { hasIpv6, readUnderlay, type Underlay } from '../host/underlay.ts';
import type { Reach } from '../mesh/announcer.ts';
import type { OpenedKeeper } from '../mesh/keeper.ts';
import { createLibp2pTransport } from '../mesh/libp2p/transport.ts';
import { genesisOf, type MembershipStateSection } from '../mesh/membership-state.ts';
import { type Mesh, startMesh } from '../mesh/mesh.ts';
import { createPaths, type Paths } from '../mesh/paths.ts';
import { createRelays, type Relays } from '../mesh/relays.ts';
import { createTrust, type Trust } from '../mesh/trust.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Datapath } from '../ports/datapath.ts';
import { type Host, HostError } from '../ports/host.ts';
import type { Log } from '../ports/log.ts';
import type { Random } from '../ports/random.ts';
import { followDocker } from './docker-engine.ts';
import { createIsolation } from './isolation.ts';
import { meshMtu } from './mesh-mtu.ts';
import { createNameParts, type NameParts } from './names.ts';
import { openHost } from './open-host.ts';
import type { Config } from './options.ts';
import { readVersion } from './version.ts';

/** A member at work on this machine: the mesh, the device with its packet path, and what is attached. */
export interface Network {
  readonly mesh: Mesh;
  readonly endpoints: Endpoints;
  readonly docker: DockerDoor;
  /** Undefined where Docker is none of the daemon's business. */
  readonly engine: Engine | undefined;
  readonly names: NameParts;
  readonly datapath: Datapath;
  readonly paths: Paths;
  readonly relays: Relays;
  readonly trust: Trust;
  /** CIDR of the mesh. */
  readonly range: string;
  readonly mtu: number;
  /** What others are told to dial. */
  reach(): Reach;
  /** Set when the packet path has failed for good. */
  failure(): string | undefined;
  /** Ends the processes of this host's part and leaves device, links and routes: packets flow again at the next start. */
  close(): Promise<void>;
}

export interface NetworkParts {
  readonly config: Config;
  readonly identity: Identity;
  readonly keeper: OpenedKeeper;
  readonly state: MembershipStateSection;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Told what is being done, for people. */
  readonly progress: (text: string) => void;
  /** Nothing of the mesh is on this machine yet: a start that fails takes everything away again. */
  readonly fresh: boolean;
}

/** IPv4 20 or IPv6 40, UDP 8, and what the data path adds: header 16, description of a slice 12, tag 16. */
const OVERHEAD_V4 = 72;
const OVERHEAD_V6 = 92;
const MIN_MTU = 576;
const DEFAULT_UNDERLAY_MTU = 1500;
/** A laptop's addresses change without a word. */
const LOOK_AT_UNDERLAY_EVERY = 15_000;
/** A host without an address is of no use to others until it has one. */
const LOOK_FOR_ADDRESS_EVERY = 1_000;
/** Looking takes a program of its own; with Docker, who closes the chain most often, it is looked at whenever Docker changes something, too. */
const LOOK_AT_FORWARDING_EVERY = 60_000;
const LOOK_AT_FLOODS_EVERY = 250;

export async function startNetwork(parts: NetworkParts): Promise<Network> {
  const { config, log, fresh } = parts;
  const host = openHost(config, log);
  try {
    return await assemble(parts, host);
  } catch (error) {
    // What is there may also be another daemon's.
    if (fresh && !(error instanceof HostError && error.code === 'machine-in-use')) {
      await host
        .restore()
        .catch((cause: unknown) => log.error('cannot undo the failed start', { error: String(cause) }));
    }
    throw error;
  }
}

async function assemble(parts: NetworkParts, host: Host): Promise<Network> {
  const { config, identity, keeper, state, clock, random, log, progress } = parts;
  const { range } = genesisOf(state);
  const cidr = formatCidr(range.start, prefixOf(range) ?? 32);
  const look = () => readUnderlay({ device: config.device, range });
  const underlay = await look();
  const mtu = config.mtu ?? mtuFor(underlay, config);
  let failure: string | undefined;
  let datapath: Datapath | undefined;
  let relays: Relays | undefined;

  const mesh = await startMesh({
    identity,
    crypto: nodeCrypto,
    clock,
    random,
    log,
    keeper,
    state,
    openTransport: (doorkeeper) => createLibp2pTransport({ identity, doorkeeper, clock, random, log }),
    async openDatapath(onEvent) {
      progress('bringing up the device');
      await host.prepare({ device: config.device, range: cidr, mtu });
      datapath = await openNativeDatapath({
        device: config.device,
        port: config.port,
        address: config.listen === '::' && !hasIpv6() ? '0.0.0.0' : config.listen,
        carries: config.relay,
        onEvent(event) {
          if (event.type === 'failed') {
            failure = event.message;
            log.error('the packet path has failed', { error: event.message });
          }
          onEvent(event);
          relays?.take(event);
        },
      });
      return datapath;
    },
    settings: {
      nickname: config.nickname,
      release: readVersion(),
      listen: bindings(config),
      reach: reachOf(config, underlay),
      aes: hasAesInstructions(),
      mtu,
    },
  });
  const { space, networks } = mesh;
  const self = identity.peer;
  const smallestMtu = () => meshMtu({ own: mtu, mesh, paths, relays: relays as Relays });
  const docker = createDockerDoor({
    self,
    driver: config.dockerDriver,
    scope: config.dockerScope,
    networks,
    space,
    host,
    keeper,
    clock,
    random,
    log,
    mtu,
    meshMtu: smallestMtu,
    suggest: (network, container) => engine?.sticky.suggest(network, container),
  });
  let unguard: (() => Promise<void>) | undefined;
  const isolation = createIsolation({ networks, space, host, clock, log });
  const { device } = config;
  const others = docker.owns;
  const endpoints = createEndpoints({
    space,
    networks,
    host,
    keeper,
    clock,
    random,
    log,
    device,
    mtu: smallestMtu,
    others,
  });
  const names = createNameParts({ keeper, clock, random, log, mesh, endpoints, docker });
  const engine =
    config.docker === 'off'
      ? undefined
      : followDocker({
          config,
          mesh,
          door: docker,
          names,
          host,
          clock,
          log,
        });
  let reach = reachOf(config, underlay);
  const trust = createTrust({ keeper, configured: config.trustedSubnets });
  const paths = createPaths({
    ...mesh,
    self: identity.peer,
    crypto: nodeCrypto,
    clock,
    random,
    log,
    host,
    openProbes,
    trust,
    settings: { vni: config.vxlanVni, port: config.vxlanPort, mtu, ours: () => reach.data },
  });
  relays = createRelays({
    ...mesh,
    self,
    clock,
    log,
    datapath: datapath as Datapath,
    carries: config.relay,
  });
  try {
    progress('looking after what is attached');
    await isolation.start();
    unguard = await host.guard();
    await endpoints.start();
    await docker.start();
    engine?.start();
    await names.settle();
    await paths.start();
    await relays.start();
  } catch (error) {
    isolation.stop();
    await unguard?.();
    relays.close();
    await paths.close();
    await Promise.all([endpoints.stop(), docker.stop(), engine?.stop()]);
    await mesh.close();
    throw error;
  }

  const lookAgain = async () => {
    reach = reachOf(config, await look());
    mesh.announce(reach);
  };
  const lookForAddress = async () => {
    if (reach.data.length === 0) await lookAgain();
  };
  const sent = async () =>
    Number((datapath as Datapath).counters().total.sentPackets) + (await host.fastPathSent());
  const batches = createDatagramBatches({ links: kernelLinks(), clock, log, sent });
  const looks = [
    repeat(clock, LOOK_AT_FLOODS_EVERY, batches.look, (error) =>
      log.warn('cannot look at the packets of containers', { error }),
    ),
    repeat(clock, LOOK_AT_UNDERLAY_EVERY, lookAgain, (error) =>
      log.warn('cannot look at the interfaces', { error }),
    ),
    repeat(clock, LOOK_FOR_ADDRESS_EVERY, lookForAddress, (error) =>
      log.warn('cannot look for an address', { error }),
    ),
    repeat(clock, LOOK_AT_FORWARDING_EVERY, host.admitForwarding, (error) =>
      log.warn('cannot look at the chain FORWARD', { error }),
    ),
  ];

  return {
    mesh,
    endpoints,
    docker,
    engine,
    names,
    datapath: datapath as Datapath,
    paths,
    relays,
    trust,
    range: cidr,
    mtu,
    reach: () => reach,
    failure: () => failure,
    async close() {
      for (const stop of looks) stop();
      await batches
        .end()
        .catch((error: unknown) => log.warn('cannot put links back', { error: String(error) }));
      relays?.close();
      isolation.stop();
      await unguard?.();
      await names.stop();
      await Promise.all([endpoints.stop(), docker.stop(), engine?.stop(), paths.close()]);
      await mesh.close();
    },
  };
}

/** A host that has IPv6 may be reached by it even where IPv4 is there, so packets must fit behind the longer header. */
function mtuFor({ addresses, mtu = DEFAULT_UNDERLAY_MTU }: Underlay, { listen }: Config): number {
  const bound = listen === '::' ? addresses : [listen];
  const overhead = bound.some((address) => address.includes(':')) ? OVERHEAD_V6 : OVERHEAD_V4;
  return Math.max(MIN_MTU, mtu - overhead);
}

/** One port number serves TCP and UDP, so both lists are the same. */
export function reachOf(config: Config, underlay: Pick<Underlay, 'addresses'>): Reach {
  const { advertise, listen, port } = config;
  const bound = listen === '::' || listen === '0.0.0.0' ? underlay.addresses : [listen];
  const usable = listen === '0.0.0.0' ? bound.filter((address) => !address.includes(':')) : bound;
  const told = advertise.length > 0 ? advertise : usable.map((address) => formatHostPort(address, port));
  return { control: told.slice(0, MAX_TOLD), data: told.slice(0, MAX_TOLD) };
}

/** For libp2p, `::` is IPv6 alone. A kernel without IPv6 cannot bind it. */
function bindings({ listen, port }: Config): readonly string[] {
  if (listen !== '::') return [formatHostPort(listen, port)];
  const v4 = formatHostPort('0.0.0.0', port);
  return hasIpv6() ? [v4, formatHostPort('::', port)] : [v4];
}

/** As many as a token can hold. */
const MAX_TOLD = 16;

function repeat(
  clock: Clock,
  interval: number,
  run: () => Promise<void>,
  onFailure: (error: string) => void,
): () => void {
  let timer: Timer;
  let stopped = false;
  const next = () => {
    timer = clock.setTimer(interval, async () => {
      try {
        await run();
      } catch (error) {
        onFailure(String(error));
      }
      if (!stopped) next();
    });
  };
  next();
  return () => {
    stopped = true;
    timer.cancel();
  };
}
