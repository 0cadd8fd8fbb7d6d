import type { Server } from 'node:net';
import { DockerError } from '../../../docker-plugin/errors.ts';
import type { Answering } from '../../../docker-plugin/methods.ts';
import type { Scope } from '../../../docker-plugin/parts.ts';
import { createPluginServer } from '../../../docker-plugin/server.ts';
import type { JsonObject } from '../../core/json.ts';
import type { Clock, Timer } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import type { PluginAnswer } from './call.ts';
import { DISMISS } from './dismiss.ts';

/**
 * Answers Docker in weftd's place while weftd hangs, and after it was killed: Docker waits without limit for a driver that takes its calls and
 * does not answer, also while it starts. It is a process of its own that has weftd's listening socket as well, and accepts nothing as long as
 * weftd gives signs of life.
 *
 *   waiting ── no sign of life for SILENCE, or weftd is gone ──▶ serving ── weftd is back, or the next one ──▶ leaving
 *
 * What is the same in every answer it says itself. Any other call it holds until weftd is back, and then leads there; or it refuses it,
 * once weftd has been silent for PATIENCE.
 */
export interface StandIn {
  /** A sign of life of weftd. */
  beat(): void;
  /** weftd is gone without having ended this process first. */
  orphan(): void;
  /** Refuses what is held, and leaves. */
  stop(): void;
  /** Resolves when nothing is left to do. */
  readonly ended: Promise<void>;
}

export interface StandInParts {
  /** Begins to accept connections of weftd's socket. */
  readonly listen: (server: Server) => void;
  /** Calls weftd, by its socket; rejects with the error of the connection. */
  readonly call: (method: string, body: JsonObject) => Promise<PluginAnswer>;
  readonly socket: StandInSocket;
  readonly scope: Scope;
  readonly clock: Clock;
  readonly log: Log;
}

/** The socket in the file system. */
export interface StandInSocket {
  /** systemd's, which keeps calls waiting itself while there is no weftd. */
  readonly lent: boolean;
  /** Whether it is still there and still the one that was given to this process. */
  isOurs(): boolean;
  remove(): void;
}

/** weftd gives a sign of life that often, ms. */
export const BEAT = 500;
/** A daemon that is merely busy is back within this. What it misses is only held up. */
export const SILENCE = 2_000;
/** Docker's own for a driver that is not there is 15 s for each call. */
export const PATIENCE = 10_000;
const LOOK_AGAIN = 100;
/** For the calls that are led to weftd, which may wait for its mesh. */
const LAST_CALLS = 30_000;
/** Errors of a connection at which weftd has seen nothing of the call. */
const NOBODY = ['ENOENT', 'ECONNREFUSED'];

export function createStandIn(parts: StandInParts): StandIn {
  const { listen, call, socket, clock, log } = parts;
  let state: 'waiting' | 'serving' | 'leaving' = 'waiting';
  let orphaned = false;
  let heard = clock.now();
  let timer: Timer | undefined;
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const plugin = createPluginServer({
    door: async () => leadingTo(lead),
    explain: () => 'weft: the call could not be led to weftd: try again',
    extra: [[DISMISS, { kind: 'fixed', run: dismiss }]],
    scope: parts.scope,
    clock,
    log,
  });

  const silence = () => clock.now() - heard;

  function look(): void {
    if (state === 'waiting' && silence() >= SILENCE) serve('hangs');
    // Somebody took the socket away or bound another one: nobody comes here any more.
    if (orphaned && state === 'serving' && !socket.isOurs()) leave();
    if (state !== 'leaving') timer = clock.setTimer(BEAT, look);
  }

  function serve(why: string): void {
    state = 'serving';
    log.warn('answering Docker instead of weftd', { why: `weftd ${why}` });
    listen(plugin.server);
  }

  function leave(): void {
    if (state === 'leaving') return;
    state = 'leaving';
    timer?.cancel();
    void plugin.close(LAST_CALLS).then(end);
  }

  /** Holds a call until there is a weftd to take it. */
  async function lead(method: string, body: JsonObject): Promise<object> {
    for (;;) {
      if (state === 'leaving') {
        const answer = await tryCall(method, body);
        if (answer !== undefined) return resultOf(answer);
      }
      if (silence() >= PATIENCE) throw new DockerError('no-answer', noAnswer(orphaned));
      await new Promise<void>((resolve) => clock.setTimer(LOOK_AGAIN, resolve));
    }
  }

  async function tryCall(method: string, body: JsonObject): Promise<PluginAnswer | undefined> {
    try {
      return await call(method, body);
    } catch (error) {
      if (NOBODY.includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
      throw error;
    }
  }

  function dismiss(): object {
    if (!orphaned) throw new DockerError('not-supported', 'weftd hangs, and its process is still there');
    heard = clock.now();
    socket.remove();
    leave();
    return {};
  }

  look();
  return {
    beat() {
      heard = clock.now();
      if (state === 'serving') leave();
    },
    orphan() {
      if (orphaned) return;
      orphaned = true;
      if (socket.lent) leave();
      else if (state === 'waiting') serve('was killed');
    },
    stop() {
      heard = Number.NEGATIVE_INFINITY;
      if (orphaned && !socket.lent && socket.isOurs()) socket.remove();
      leave();
    },
    ended,
  };
}

/** Recognised by whoever looks for containers that could not start because of it: NO_ANSWER in docker-plugin/engine/containers.ts. */
function noAnswer(orphaned: boolean): string {
  return orphaned
    ? 'no answer from weftd, which has ended without being told to: start it again with `weft up`, and see its log for why'
    : 'no answer from weftd, which hangs: see what its process waits for; `kill -9` ends it and `weft up` starts it again';
}

function resultOf({ status, body }: PluginAnswer): object {
  if (status === 200) return body;
  throw new DockerError('refused', typeof body.Err === 'string' ? body.Err : 'weftd refused the call');
}

function leadingTo(lead: (method: string, body: JsonObject) => Promise<object>): Answering {
  const ipam = (name: string) => (body: JsonObject) => lead(`IpamDriver.${name}`, body);
  const driver = (name: string) => (body: JsonObject) => lead(`NetworkDriver.${name}`, body);
  return {
    ipam: {
      requestPool: ipam('RequestPool'),
      releasePool: ipam('ReleasePool'),
      requestAddress: ipam('RequestAddress'),
      releaseAddress: ipam('ReleaseAddress'),
    },
    driver: {
      createNetwork: driver('CreateNetwork'),
      deleteNetwork: driver('DeleteNetwork'),
      createEndpoint: driver('CreateEndpoint'),
      deleteEndpoint: driver('DeleteEndpoint'),
      join: driver('Join'),
      leave: driver('Leave'),
    },
    swarm: { allocateNetwork: driver('AllocateNetwork'), freeNetwork: driver('FreeNetwork') },
  };
}
