import type { PeerId } from '../../../src/core/ids.ts';
import { createPaths, type Paths } from '../../../src/mesh/paths.ts';
import { KEY, type RecordEntry } from '../../../src/mesh/records.ts';
import { createTrust, type Trust } from '../../../src/mesh/trust.ts';
import type { FastPathPeer, FastPathPlan, Host } from '../../../src/ports/host.ts';
import { createVirtualClock, type VirtualClock } from '../../../src/ports/memory/clock.ts';
import { createMemoryCrypto } from '../../../src/ports/memory/crypto.ts';
import { createMemoryHost, createMemoryMachine } from '../../../src/ports/memory/host.ts';
import { createMemoryProbes, type MemoryProbes } from '../../../src/ports/memory/probes.ts';
import { createSeededRandom } from '../../../src/ports/memory/random.ts';
import { silentLog } from '../../hosts/log.ts';

export const WIRE = '192.0.2.0/24';
export const MTU = 1400;

/** Two hosts whose control planes share one set of records; the kernel and the wire are in memory. */
export interface PathsWorld {
  readonly clock: VirtualClock;
  readonly probes: MemoryProbes;
  readonly one: PathsHost;
  readonly two: PathsHost;
  /** Whether the control plane reaches a host. */
  reach(host: PathsHost, reached: boolean): void;
}

export interface PathsHost {
  readonly peer: PeerId;
  readonly trust: Trust;
  paths: Paths;
  /** Every plan that the kernel was brought to. */
  readonly plans: (FastPathPlan | null)[];
  /** What the kernel has to the other host now. */
  open(): FastPathPeer | undefined;
  /** Packets that the kernel has sent by its device, probes among them. */
  sent: number;
  /** Set: the kernel refuses. */
  refusal: string | undefined;
  /** Set: what the kernel is brought to next waits for this. */
  held: Promise<void> | undefined;
  /** The daemon ends without a word, and begins again with the kernel as it was. */
  kill(): Promise<void>;
  start(): Promise<void>;
}

export interface WorldOptions {
  readonly one?: readonly string[];
  readonly two?: readonly string[];
  readonly plain?: boolean;
  /** A third member, first in the list, says that it trusts everybody and is at this address. */
  readonly claims?: string;
}

export function createPathsWorld({
  one = [WIRE],
  two = [WIRE],
  plain = false,
  claims,
}: WorldOptions = {}): PathsWorld {
  const clock = createVirtualClock();
  const probes = createMemoryProbes(clock);
  const shared = createSharedRecords();
  const unreached = new Set<PeerId>();
  const [first, second] = ['peer-one', 'peer-two'] as PeerId[] as [PeerId, PeerId];
  const third = 'peer-a' as PeerId;
  const others = claims === undefined ? [] : [third];
  const common = { clock, probes, shared, unreached, plain, members: [first, second], others };
  if (claims !== undefined) {
    const { records } = shared.view(third);
    const about = { nickname: 'a', version: '1', control: [], boot: 'b', free: 0, degree: 1 };
    void records.put(KEY.peer, { ...about, data: [`${claims}:6783`] });
    void records.put(KEY.trust, { subnets: [WIRE], vxlan: { vni: 7, port: 4789 }, obstacle: null });
  }
  return {
    clock,
    probes,
    one: createPathsHost({ ...common, self: first, other: second, address: '192.0.2.1', configured: one }),
    two: createPathsHost({ ...common, self: second, other: first, address: '192.0.2.2', configured: two }),
    reach(host, reached) {
      if (reached) unreached.delete(host.peer);
      else unreached.add(host.peer);
    },
  };
}

interface HostParts {
  readonly self: PeerId;
  readonly other: PeerId;
  readonly address: string;
  readonly configured: readonly string[];
  readonly members: readonly PeerId[];
  readonly others: readonly PeerId[];
  readonly plain: boolean;
  readonly clock: VirtualClock;
  readonly probes: MemoryProbes;
  readonly shared: ReturnType<typeof createSharedRecords>;
  readonly unreached: ReadonlySet<PeerId>;
}

function createPathsHost(parts: HostParts): PathsHost {
  const { self, other, address, members, clock, shared, unreached } = parts;
  const crypto = createMemoryCrypto();
  const machine = createMemoryHost(createMemoryMachine());
  const plans: (FastPathPlan | null)[] = [];
  const sections = new Map<string, unknown>();
  const keeper = {
    section: <T>(name: string, _check: unknown, initial: T) => ({
      get: () => (sections.get(name) ?? initial) as T,
      set: async (value: T) => void sections.set(name, value),
    }),
  };
  const trust = createTrust({ keeper, configured: parts.configured });
  let stopRecords = () => {};
  let opened: { close(): void } | undefined;

  const kernel: Pick<Host, 'setFastPath' | 'fastPath' | 'fastPathSent'> = {
    async setFastPath(plan) {
      await host.held;
      if (host.refusal !== undefined) throw new Error(host.refusal);
      plans.push(plan);
      await machine.setFastPath(plan);
    },
    fastPath: () => machine.fastPath(),
    fastPathSent: async () => host.sent,
  };

  const seen = (peer: PeerId) =>
    peer === other ? { address: addressOf(other, members), port: 6783 } : undefined;

  function build(): Paths {
    const view = shared.view(self);
    stopRecords = view.stop;
    const genesis = { plain: parts.plain } as never;
    return createPaths({
      self,
      crypto,
      clock,
      random: createSeededRandom(7),
      log: silentLog,
      host: kernel,
      async openProbes(options) {
        const socket = await parts.probes.open(options);
        opened = socket;
        return {
          ...socket,
          send(to, bytes) {
            host.sent += 1;
            socket.send(to, bytes);
          },
        };
      },
      membership: {
        mesh: 'mesh' as never,
        genesis,
        members: () => [...parts.others, ...members],
        isMember: (peer) => [...parts.others, ...members].includes(peer),
        watch: () => () => {},
        epochs: () => [{ number: 1, secret: new Uint8Array(32), rotation: null }],
      },
      records: view.records,
      forwarding: { endpointOf: seen, seenAt: (peer) => seen(peer)?.address },
      liveness: { topology: { hops: (peer: PeerId) => (unreached.has(peer) ? undefined : 1) } as never },
      space: {
        ring: () => [
          { start: 0x0a200000, last: 0x0a27ffff, owner: members[0], network: 'weft' as never },
          { start: 0x0a280000, last: 0x0a2fffff, owner: members[1], network: 'weft' as never },
        ],
        watch: () => () => {},
      },
      trust,
      settings: { vni: 7, port: 4789, mtu: MTU, ours: () => [`${address}:6783`] },
    });
  }

  const host: PathsHost = {
    peer: self,
    trust,
    plans,
    sent: 0,
    refusal: undefined,
    held: undefined,
    paths: undefined as unknown as Paths,
    open: () => plans.at(-1)?.peers[0],
    async kill() {
      stopRecords();
      opened?.close();
      await host.paths.close();
    },
    async start() {
      await machine.prepare({ device: 'weft0', range: '10.32.0.0/12', mtu: MTU });
      host.paths = build();
      // Links may come up before the paths have begun.
      shared.repeat();
      await host.paths.start();
    },
  };
  return host;
}

function addressOf(peer: PeerId, members: readonly PeerId[]): string {
  return `192.0.2.${members.indexOf(peer) + 1}`;
}

function createSharedRecords() {
  const values = new Map<string, unknown>();
  const watchers = new Set<(entry: RecordEntry) => void>();
  return {
    /** Everything comes once more, as over a new link. */
    repeat() {
      for (const [place, value] of values) {
        const [author = '', key = ''] = place.split('/');
        for (const watcher of [...watchers]) watcher({ author: author as PeerId, key, value });
      }
    },
    view(self: PeerId) {
      const own = new Set<(entry: RecordEntry) => void>();
      return {
        records: {
          async put(key: string, value: unknown) {
            values.set(`${self}/${key}`, value);
            for (const watcher of [...watchers]) watcher({ author: self, key, value });
          },
          get: (author: PeerId, key: string) => values.get(`${author}/${key}`),
          watch(_: string, handler: (entry: RecordEntry) => void) {
            watchers.add(handler);
            own.add(handler);
            return () => void watchers.delete(handler);
          },
        },
        stop: () => own.forEach((handler) => void watchers.delete(handler)),
      };
    },
  };
}
