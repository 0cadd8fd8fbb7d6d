import { formatCidr, parseCidr, prefixOf } from '../core/address.ts';
import { decodeToken, TokenError } from '../core/token.ts';
import type { FoundRequest, JoinRequest, Stopped } from '../doors/control.ts';
import { ControlError, codeOf } from '../doors/errors.ts';
import { nodeCrypto } from '../host/crypto.ts';
import { systemRandom } from '../host/random.ts';
import { readUnderlay } from '../host/underlay.ts';
import { createLibp2pTransport } from '../mesh/libp2p/transport.ts';
import { foundMesh } from '../mesh/membership-state.ts';
import { joinPatiently } from '../mesh/patient-join.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Held } from './held.ts';
import { type Network, reachOf, startNetwork } from './network.ts';
import { openHost } from './open-host.ts';
import type { Config } from './options.ts';
import { createPhases, IDLE, type Phases } from './phases.ts';
import { readVersion } from './version.ts';

/** The daemon's life: idle → starting → ready → stopping. One change of phase at a time. */
export interface Runner {
  readonly phases: Phases;
  held(): Held;
  /** While ready. */
  network(): Network | undefined;
  /** False when the host was in its mesh before. Rejects with ControlError and what the parts reject with. */
  found(request: FoundRequest): Promise<boolean>;
  join(request: JoinRequest): Promise<boolean>;
  /** Starts the mesh that the state holds, if any. */
  resume(): Promise<void>;
  /** Closes everything and takes it off the machine. */
  down(): Promise<Stopped>;
  /** Closes everything and leaves the machine as it is. */
  stop(): Promise<void>;
}

export interface RunnerParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly held: Held;
  /** The state file anew: each section has one owner in a life of the keeper. */
  readonly reopen: () => Promise<Held>;
  /** An empty state with a new key; the old one is kept under the name. */
  readonly renew: (name: string) => Promise<Held>;
}

/** How long a join waits for the first session, and how often it looks, ms. */
const LINK_PATIENCE = 5_000;
const LOOK_EVERY = 20;

export function createRunner(parts: RunnerParts): Runner {
  const { config, clock, log } = parts;
  const random = systemRandom;
  const phases = createPhases();
  let held = parts.held;
  let network: Network | undefined;
  const abort = new AbortController();
  let under: Promise<unknown> = Promise.resolve();

  const isMember = () => held.membership.get()?.phase === 'member';

  /** Runs one start; whatever becomes of it is the phase. */
  async function starting<T>(text: string, run: () => Promise<T>): Promise<T> {
    const { state } = phases.get();
    if (state === 'starting' || state === 'stopping') throw new ControlError(state);
    phases.enter('starting', text);
    const task = run();
    under = task.catch(() => undefined);
    try {
      const result = await task;
      phases.enter('ready', 'the network is up');
      return result;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      log.error('the network is not up', { error: why });
      await held.keeper.flush().catch(() => undefined);
      held = await parts.reopen();
      if (isMember()) phases.enter('failed', why);
      else phases.enter('idle', IDLE);
      throw error;
    }
  }

  /** Who asks for a start during another waits for that one, and tries again when it fails. */
  async function settled(): Promise<void> {
    do await under;
    while (phases.get().state === 'starting');
  }

  async function bringUp(fresh: boolean): Promise<void> {
    const { keeper, identity, membership: state } = held;
    const progress = (text: string) => phases.enter('starting', text);
    const up = await startNetwork({ config, identity, keeper, state, clock, random, log, progress, fresh });
    if (abort.signal.aborted) {
      await up.close();
      throw new ControlError('stopping');
    }
    network = up;
  }

  function requireSameRange(range: string | undefined): void {
    const value = held.membership.get();
    if (range === undefined || value === null) return;
    const wanted = parseCidr(range);
    const { start, last } = value.genesis.range;
    if (wanted.ok && wanted.value.start === start && wanted.value.last === last) return;
    const own = formatCidr(start, prefixOf(value.genesis.range) ?? 32);
    throw new ControlError('other-range', `this host is in a mesh with the range ${own}, not ${range}`);
  }

  async function found({ range, encryption = true }: FoundRequest): Promise<boolean> {
    await settled();
    if (isMember()) {
      requireSameRange(range);
      if (!encryption && held.membership.get()?.genesis.plain === false)
        throw new ControlError('other-encryption');
      if (network === undefined) await starting('taking up the mesh', () => bringUp(false));
      return false;
    }
    const cidr = parseCidr(range ?? config.range);
    if (!cidr.ok) throw new ControlError('bad-request', `range: ${cidr.message}`);
    await starting('making the keys of the mesh', async () => {
      const { identity, membership: state } = held;
      const { start, last } = cidr.value;
      await foundMesh({
        crypto: nodeCrypto,
        random,
        identity,
        state,
        range: { start, last },
        plain: !encryption,
      });
      try {
        await bringUp(true);
      } catch (error) {
        // A mesh that nobody has seen yet: the next try makes another one, perhaps with another range.
        await state.set(null);
        throw error;
      }
    });
    return true;
  }

  async function join(request: JoinRequest): Promise<boolean> {
    const token = readToken(request.token);
    await settled();
    if (wasRemoved()) await renew();
    if (isMember()) {
      if (held.membership.get()?.genesis.mesh !== token.mesh) throw new ControlError('other-mesh');
      if (network === undefined) await starting('taking up the mesh', () => bringUp(false));
      return false;
    }
    await starting(`asking ${token.addresses.join(' or ')} for a place in the mesh`, async () => {
      await redeem(token);
      await bringUp(true);
      phases.enter('starting', 'linking to the other hosts');
      await linked();
    });
    return true;
  }

  const wasRemoved = () => isMember() && (held.membership.get()?.removal.length ?? 0) > 0;

  /** Of a host that was removed nothing is left but its folder: with another key it is another host. */
  async function renew(): Promise<void> {
    const { state } = phases.get();
    if (state === 'starting' || state === 'stopping') throw new ControlError(state);
    phases.enter('starting', 'putting away what this host was before it was removed');
    const closing = network;
    network = undefined;
    try {
      await closing?.close();
      await openHost(config, log).restore();
      await held.keeper.flush();
      held = await parts.renew(held.identity.peer.slice(-8));
    } catch (error) {
      phases.enter('failed', error instanceof Error ? error.message : String(error));
      throw error;
    }
    phases.enter('idle', IDLE);
  }

  async function redeem(token: ReturnType<typeof readToken>): Promise<void> {
    const { identity, membership: state } = held;
    const underlay = await readUnderlay({ device: config.device, range: undefined });
    const about = { nickname: config.nickname, version: readVersion(), ...reachOf(config, underlay) };
    const transport = await createLibp2pTransport({
      identity,
      // Nobody has a reason to dial a host that is in no mesh yet.
      doorkeeper: () => ({ admit: false, reason: 'busy' }),
      clock,
      random,
      log,
    });
    try {
      const onRetry = (text: string) => phases.enter('starting', text);
      await joinPatiently(
        { crypto: nodeCrypto, clock, identity, transport, state, log, about, onRetry },
        token,
        abort.signal,
      );
    } finally {
      await transport.close();
    }
  }

  /** A host that has just joined is of use when packets reach at least one other; it is a member all the same when none can be reached. */
  async function linked(): Promise<void> {
    const deadline = clock.now() + LINK_PATIENCE;
    while (!abort.signal.aborted && clock.now() < deadline && !reachesAnother()) {
      await new Promise<void>((resolve) => clock.setTimer(LOOK_EVERY, resolve));
    }
  }

  function reachesAnother(): boolean {
    const { liveness, sessions, membership } = (network as Network).mesh;
    const others = liveness.up().filter((peer) => peer !== membership.self);
    return others.some((peer) => sessions.status(peer)?.state === 'established');
  }

  /** Waits for a start that is under way: it notices that it is no longer wanted. */
  async function close(): Promise<void> {
    abort.abort();
    await under;
    const closing = network;
    network = undefined;
    await closing?.close();
    await held.keeper.flush();
  }

  return {
    phases,
    held: () => held,
    network: () => network,
    found,
    join,
    async resume() {
      if (!isMember()) return;
      await starting('taking up the mesh', () => bringUp(false));
    },
    async down() {
      const containers = network?.docker.endpoints().filter(({ sandbox }) => sandbox !== null) ?? [];
      const detached = (network?.endpoints.list().length ?? 0) + containers.length;
      phases.enter('stopping', 'taking the network down');
      try {
        await close();
        await openHost(config, log).restore();
      } catch (error) {
        // What is there is not this daemon's, which has let go of its device: it may end.
        if (codeOf(error) === 'machine-in-use') return { detached };
        phases.enter('failed', error instanceof Error ? error.message : String(error));
        throw error;
      }
      return { detached };
    },
    async stop() {
      phases.enter('stopping', 'ending');
      await close();
    },
  };
}

function readToken(text: string) {
  try {
    return decodeToken(text, nodeCrypto);
  } catch (error) {
    if (error instanceof TokenError) throw new ControlError('bad-token', error.message);
    throw error;
  }
}
