import type { Timer } from '../../src/ports/clock.ts';
import { DockerError, type DockerEvent } from './api.ts';
import { type Containers, createContainers } from './containers.ts';
import { createDoubt } from './doubt.ts';
import { syncEndpoints } from './endpoints.ts';
import { syncNetworks } from './networks.ts';
import type { EngineParts, EngineWarning } from './parts.ts';
import { createSticky, type Sticky } from './sticky.ts';

/**
 * The daemon's side of Docker that asks instead of answering: it follows the engine's events, keeps its networks and endpoints in step with
 * the mesh's, and publishes its containers' names. Works beside the driver's handlers, never inside one.
 */
export interface Engine {
  start(): void;
  /** Resolves when nothing is under way any more. */
  stop(): Promise<void>;
  readonly sticky: Sticky;
  readonly containers: Pick<Containers, 'labels'>;
  status(): EngineStatus;
}

export interface EngineStatus {
  /** `absent`: nobody has answered on the socket yet, which is how it is on a host without Docker. */
  readonly state: 'up' | 'down' | 'absent';
  readonly warnings: readonly EngineWarning[];
}

/** Both sides are compared at least this often. */
const LOOK_EVERY = 60_000;
/** The second look after one that found a difference. */
const LOOK_AGAIN = 10_000;
/** A look that failed is repeated after this. */
const RETRY = 2_000;
/** After the stream of events broke; doubled up to the longest. */
const FIRST_PAUSE = 200;
const LONGEST_PAUSE = 5_000;

export function createEngine(parts: EngineParts): Engine {
  const { api, networks, driver, clock, log } = parts;
  const sticky = createSticky({ clock });
  const containers = createContainers(parts, sticky);
  const networksLeaked = createDoubt({ clock });
  const doubts = { leaked: createDoubt({ clock }), strange: createDoubt({ clock }) };
  const abort = new AbortController();
  const tasks = new Set<Promise<unknown>>();
  let state: EngineStatus['state'] = 'absent';
  let warnings: readonly EngineWarning[] = [];
  let syncing = false;
  let wanted = false;
  let timer: Timer | undefined;
  let unwatch = () => {};

  function inBackground(task: Promise<unknown>): void {
    tasks.add(task);
    task.finally(() => tasks.delete(task));
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        abort.signal.removeEventListener('abort', done);
        waiting.cancel();
        resolve();
      };
      const waiting = clock.setTimer(ms, done);
      abort.signal.addEventListener('abort', done);
    });
  }

  /** One look after the other; whoever asks during one gets another one. */
  async function sync(): Promise<void> {
    wanted = true;
    if (syncing) return;
    syncing = true;
    timer?.cancel();
    let delay = LOOK_EVERY;
    while (wanted && !abort.signal.aborted) {
      wanted = false;
      delay = await look();
    }
    syncing = false;
    if (!abort.signal.aborted) timer = clock.setTimer(delay, requestSync);
  }

  function requestSync(): void {
    if (state === 'up' && !abort.signal.aborted) inBackground(sync());
  }

  /** Resolves to the time until the next look. */
  async function look(): Promise<number> {
    try {
      await parts.beforeLook();
      const found = [...(await syncNetworks(parts, networksLeaked)), ...(await syncEndpoints(parts, doubts))];
      await containers.refreshAll();
      warnings = found;
      const isClear = [networksLeaked, doubts.leaked, doubts.strange].every((doubt) => !doubt.isOpen());
      return isClear ? LOOK_EVERY : LOOK_AGAIN;
    } catch (error) {
      if (!(error instanceof DockerError && error.code === 'unreachable')) {
        log.warn('cannot compare with Docker', { error: String(error) });
      }
      return RETRY;
    }
  }

  function onEvent(event: DockerEvent): void {
    sticky.onEvent(event);
    const { type, action, id, container } = event;
    if (type === 'container') {
      if (action === 'die' || action === 'destroy') containers.ended(id);
      if (action === 'start' || action === 'rename') inBackground(containers.refresh(id));
      return;
    }
    if (action === 'create' || action === 'destroy') requestSync();
    if (container === null) return;
    if (!driver.networks().has(id)) {
      // It may have got or lost another way out.
      if (containers.knows(container)) inBackground(containers.refresh(container));
      return;
    }
    if (action === 'disconnect') containers.left(container, id);
    if (action === 'connect') inBackground(containers.refresh(container));
  }

  async function follow(): Promise<void> {
    let wait = FIRST_PAUSE;
    while (!abort.signal.aborted) {
      const onOpen = () => {
        wait = FIRST_PAUSE;
        state = 'up';
        log.info('following Docker');
        requestSync();
      };
      try {
        await api.follow({ onOpen, onEvent }, abort.signal);
      } catch (error) {
        if (state === 'up') log.info('Docker is down', { error: String(error) });
        if (state === 'up') state = 'down';
      }
      await pause(wait);
      wait = Math.min(LONGEST_PAUSE, 2 * wait);
    }
  }

  return {
    start() {
      unwatch = networks.watch(requestSync);
      inBackground(follow());
    },
    async stop() {
      abort.abort();
      unwatch();
      timer?.cancel();
      api.close();
      await Promise.all(tasks);
    },
    sticky,
    containers,
    status: () => ({ state, warnings: state === 'up' ? warnings : [] }),
  };
}
