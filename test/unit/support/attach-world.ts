import { createEndpoints, type Endpoints } from '../../../src/attach/endpoints.ts';
import type { Addresses } from '../../../src/attach/parts.ts';
import { formatIpv4, parseIpv4 } from '../../../src/core/address.ts';
import type { NetworkId } from '../../../src/core/ids.ts';
import { openKeeper } from '../../../src/mesh/keeper.ts';
import { SpaceError } from '../../../src/mesh/space.ts';
import type { Host } from '../../../src/ports/host.ts';
import { createVirtualClock, type VirtualClock } from '../../../src/ports/memory/clock.ts';
import { createMemoryHost, createMemoryMachine, type MemoryMachine } from '../../../src/ports/memory/host.ts';
import { createSeededRandom } from '../../../src/ports/memory/random.ts';
import { createMemoryStore } from '../../../src/ports/memory/store.ts';
import { silentLog } from '../../hosts/log.ts';

/** What outlives the daemon: the machine, the disk, and who has which address. */
export interface World {
  readonly machine: MemoryMachine;
  readonly clock: VirtualClock;
  /** Endpoint → address. */
  readonly allocated: Map<string, string>;
  /** Endpoints whose links somebody else looks after. */
  readonly foreign: Set<string>;
  /** Begins a life of the daemon; calls into the world go through `fault`. */
  live(fault?: Fault): Promise<Endpoints>;
}

/**
 * Something goes wrong at the `at`-th call into the world (from 1): `refuse` fails instead of the call, `lose` after it, `crash-before` and
 * `crash-after` end the process: nothing after that happens or returns.
 */
export interface Fault {
  readonly kind: 'refuse' | 'lose' | 'crash-before' | 'crash-after';
  readonly at: number;
  readonly guard: <T>(call: () => Promise<T>) => Promise<T>;
  /** Counts from now on. */
  arm(): void;
  /** Settles when the process has ended. */
  readonly crashed: Promise<'crashed'>;
  hit(): boolean;
}

export function createFault(kind: Fault['kind'], at: number): Fault {
  const crashed = Promise.withResolvers<'crashed'>();
  const never = <T>() => new Promise<T>(() => undefined);
  let count = 0;
  let armed = false;
  let dead = false;
  function crash<T>(): Promise<T> {
    dead = true;
    crashed.resolve('crashed');
    return never();
  }
  async function guard<T>(call: () => Promise<T>): Promise<T> {
    if (dead) return never();
    if (!armed || ++count !== at) {
      const result = await call();
      return dead ? never() : result;
    }
    if (kind === 'refuse') throw new Error('refused on purpose');
    if (kind === 'crash-before') return crash();
    const result = await call();
    if (kind === 'crash-after') return crash();
    throw new Error(`lost on purpose: ${typeof result}`);
  }
  const arm = () => {
    armed = true;
  };
  return { kind, at, guard, arm, crashed: crashed.promise, hit: () => count >= at };
}

const NETWORKS = {
  get: (text: string) => (['weft', 'other'].includes(text) ? { id: text as NetworkId } : undefined),
};

export function createWorld(): World {
  const machine = createMemoryMachine();
  const clock = createVirtualClock();
  const disk = createMemoryStore();
  const allocated = new Map<string, string>();
  const foreign = new Set<string>();
  let lives = 0;

  const space: Addresses = {
    async allocate({ endpoint, wanted }) {
      const taken = new Set(allocated.values());
      if (wanted !== undefined && taken.has(wanted) && allocated.get(endpoint) !== wanted) {
        throw new SpaceError('in-use', `${wanted} is in use`);
      }
      const address = allocated.get(endpoint) ?? wanted ?? firstFree(taken);
      allocated.set(endpoint, address);
      return { address, prefix: 12 };
    },
    async release(endpoint) {
      allocated.delete(endpoint);
    },
  };

  return {
    machine,
    clock,
    allocated,
    foreign,
    async live(fault) {
      const guard = fault?.guard ?? ((call) => call());
      const store = { read: () => disk.read(), write: (bytes: Uint8Array) => guard(() => disk.write(bytes)) };
      const parts = {
        networks: NETWORKS,
        space: guarded(space, ['allocate', 'release'], guard),
        host: guarded(
          createMemoryHost(machine),
          ['plug', 'unplug', 'plugged', 'setHostAddresses', 'locate'],
          guard,
        ),
        keeper: await openKeeper({ store }),
        random: createSeededRandom(`life ${lives++}`),
        clock,
        log: silentLog,
      };
      return createEndpoints({ ...parts, device: 'weft0', mtu: () => 1400, others: (id) => foreign.has(id) });
    },
  };
}

function firstFree(taken: ReadonlySet<string>): string {
  const first = parseIpv4('10.32.0.1');
  for (let value = first.ok ? first.value : 0; ; value++) {
    if (!taken.has(formatIpv4(value))) return formatIpv4(value);
  }
}

/** The same object with these methods sent through `guard`. */
function guarded<T extends Host | Addresses>(
  target: T,
  methods: readonly (keyof T)[],
  guard: Fault['guard'],
): T {
  const copy = { ...target };
  for (const method of methods) {
    const call = target[method] as (...args: unknown[]) => Promise<unknown>;
    copy[method] = ((...args: unknown[]) => guard(() => call(...args))) as T[keyof T];
  }
  return copy;
}
