import type { NameQuestion, Resolution } from '../../core/names.ts';
import type { Clock, Timer } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import type { NameSockets, SandboxNames } from '../../ports/name-sockets.ts';
import type { Random } from '../../ports/random.ts';
import { createForwarder } from './forwarder.ts';
import { createResponder } from './responder.ts';

/** Names inside sandboxes: every sandbox that is open here asks this daemon first, whatever its resolv.conf leads to 127.0.0.11. */
export interface Dns {
  /**
   * Answers in the endpoint's sandbox what its networks know. The sandbox may come later: it is waited for until `close`. Once more for the same endpoint:
   * takes the new values. Resolves when it works, to true, or to false when it does not after PATIENCE ms; it is tried on. Never rejects.
   */
  open(place: NamePlace): Promise<boolean>;
  /** Fine for an endpoint that is not open. Resolves when the sandbox is as it was. */
  close(endpoint: string): Promise<void>;
  /** What is open, or waits for its sandbox. */
  list(): readonly OpenPlace[];
  /** Closes everything: sandboxes ask whom they asked before. */
  stop(): Promise<void>;
}

export interface NamePlace {
  readonly endpoint: string;
  /** Text as for Host.locate: Docker's SandboxKey, what was given to attach. */
  readonly sandbox: string;
  /** Id of the network. Bare names are looked for in the networks of a sandbox in the order in which they were opened. */
  readonly network: string;
  /** The sandbox has other ways out than Weft's networks, so unknown names may leave it. Absent: as the networks say. */
  readonly outside?: boolean;
}

export interface OpenPlace extends NamePlace {
  readonly works: boolean;
}

export interface DnsParts {
  readonly sockets: NameSockets;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly resolve: (scope: readonly string[], question: NameQuestion) => Resolution;
  /** Whether names that are asked for in this network may be told to anybody outside. */
  readonly leadsOut: (network: string) => boolean;
  /** The sandboxes of these endpoints have ended. */
  readonly onGone: (endpoints: readonly string[]) => void;
}

/** Docker 20.10 mounts a sandbox some 200 ms after it has announced it. */
export const PATIENCE = 2_000;
const RETRY_EVERY = 25;
/** How soon the end of a sandbox is seen; with the TTL this is how long a name outlives its container. */
export const LOOK_EVERY = 2_000;
/** What others may have changed inside is put right one sandbox at a look, each no more often than this. */
const RESTORE_EVERY = 30_000;

interface Sandbox {
  /** By which it is opened; first of `texts`. */
  readonly text: string;
  /** All by which it has been called. */
  readonly texts: Set<string>;
  readonly places: Map<string, NamePlace>;
  names: SandboxNames | undefined;
  restored: number;
  /** The last thing that was begun for this sandbox: one at a time. */
  tail: Promise<unknown>;
}

export function createDns({ sockets, clock, random, log, resolve, leadsOut, onGone }: DnsParts): Dns {
  const sandboxes = new Set<Sandbox>();
  const forwarder = createForwarder(random);
  let timer: Timer | undefined;
  let stopped = false;

  function inTurn<T>(sandbox: Sandbox, task: () => Promise<T>): Promise<T> {
    const result = sandbox.tail.then(task);
    sandbox.tail = result.catch(() => undefined);
    return result;
  }

  function answerIn(sandbox: Sandbox) {
    const places = () => [...sandbox.places.values()];
    return createResponder({
      random,
      resolve: (question) => resolve([...new Set(places().map(({ network }) => network))], question),
      mayForward: () => places().some(({ network, outside }) => outside ?? leadsOut(network)),
      async forward(query, over) {
        const { names, text } = sandbox;
        return names && forwarder.forward(query, over, names.ask, text);
      },
    });
  }

  /** Whether it works. */
  function establish(sandbox: Sandbox): Promise<boolean> {
    return inTurn(sandbox, async () => {
      if (sandbox.names !== undefined) return true;
      if (stopped || sandbox.places.size === 0) return false;
      try {
        const names = await sockets.open(sandbox.text, answerIn(sandbox));
        sandbox.names = names;
        sandbox.restored = clock.now();
        await mergeTwin(sandbox, names);
        return true;
      } catch (error) {
        log.debug('names cannot be answered in a sandbox yet', {
          sandbox: sandbox.text,
          error: String(error),
        });
        return false;
      }
    });
  }

  /** The same namespace, open by another text: the newer one answers for both. */
  async function mergeTwin(sandbox: Sandbox, { namespace, restore }: SandboxNames): Promise<void> {
    for (const twin of [...sandboxes]) {
      if (twin === sandbox || twin.names?.namespace !== namespace) continue;
      for (const [endpoint, place] of twin.places) sandbox.places.set(endpoint, place);
      for (const text of twin.texts) sandbox.texts.add(text);
      sandboxes.delete(twin);
      await shut(twin);
      await restore();
    }
  }

  async function shut(sandbox: Sandbox): Promise<void> {
    const { names } = sandbox;
    sandbox.names = undefined;
    await names
      ?.close()
      .catch((error: unknown) =>
        log.debug('a sandbox could not be left as it was', { sandbox: sandbox.text, error: String(error) }),
      );
  }

  function sandboxOf(text: string): Sandbox {
    const known = [...sandboxes].find(({ texts }) => texts.has(text));
    if (known !== undefined) return known;
    const names = undefined;
    const tail = Promise.resolve();
    const sandbox: Sandbox = {
      text,
      texts: new Set([text]),
      places: new Map(),
      names,
      restored: 0,
      tail,
    };
    sandboxes.add(sandbox);
    return sandbox;
  }

  async function open(place: NamePlace): Promise<boolean> {
    const holder = holderOf(place.endpoint);
    if (holder !== undefined && !holder.texts.has(place.sandbox)) await close(place.endpoint);
    const sandbox = sandboxOf(place.sandbox);
    sandbox.places.set(place.endpoint, place);
    schedule();
    const deadline = clock.now() + PATIENCE;
    while (!(await establish(sandbox))) {
      if (stopped || clock.now() >= deadline || !sandbox.places.has(place.endpoint)) return false;
      await new Promise<void>((resume) => clock.setTimer(RETRY_EVERY, resume));
    }
    return true;
  }

  const holderOf = (endpoint: string) => [...sandboxes].find(({ places }) => places.has(endpoint));

  async function close(endpoint: string): Promise<void> {
    const sandbox = holderOf(endpoint);
    sandbox?.places.delete(endpoint);
    if (sandbox === undefined || sandbox.places.size > 0) return;
    sandboxes.delete(sandbox);
    await inTurn(sandbox, () => shut(sandbox));
  }

  async function look(): Promise<void> {
    const now = clock.now();
    const all = [...sandboxes];
    await Promise.all(all.map(lookAt));
    const due = all.filter(({ names, restored }) => names && now - restored >= RESTORE_EVERY);
    const [oldest] = due.sort((a, b) => a.restored - b.restored);
    if (oldest === undefined) return;
    oldest.restored = now;
    await oldest.names?.restore().catch(() => undefined);
  }

  async function lookAt(sandbox: Sandbox): Promise<void> {
    if (sandbox.names === undefined) await establish(sandbox);
    else if (!(await sandbox.names.isAlive())) {
      const gone = [...sandbox.places.keys()];
      sandboxes.delete(sandbox);
      await inTurn(sandbox, () => shut(sandbox));
      onGone(gone);
    }
  }

  function schedule(): void {
    if (stopped || timer !== undefined) return;
    timer = clock.setTimer(LOOK_EVERY, async () => {
      await look().catch((error: unknown) =>
        log.warn('names were not looked after', { error: String(error) }),
      );
      timer = undefined;
      if (sandboxes.size > 0) schedule();
    });
  }

  return {
    open,
    close,
    list: () =>
      [...sandboxes].flatMap(({ places, names }) =>
        [...places.values()].map((place) => ({ ...place, works: names !== undefined })),
      ),
    async stop() {
      stopped = true;
      timer?.cancel();
      const all = [...sandboxes];
      sandboxes.clear();
      await Promise.all(all.map((sandbox) => inTurn(sandbox, () => shut(sandbox))));
    },
  };
}
