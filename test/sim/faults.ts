import type { MeshWorld, SimHost } from './mesh-world.ts';

/** What may go wrong in a story, each by name, so that a run can be told which. Drawn by weight; `mend` undoes what does not pass by itself. */
export interface Fault {
  readonly weight: number;
  readonly what: string;
  strike(scene: Scene): void | Promise<void>;
  mend?(scene: Pick<Scene, 'world'>): void;
}

export interface Scene {
  readonly world: MeshWorld;
  /** A host, whether it is up or not. */
  readonly host: SimHost;
  readonly other: SimHost;
  start(host: SimHost): Promise<void>;
}

export type FaultName = keyof typeof FAULTS;

const TEN_YEARS = 10 * 365 * 86_400_000;
const ANY_OF_NEXT_WRITES = 4;

function crash({ host }: Scene): void {
  host.crash();
}

async function restartHalf({ world, start }: Scene): Promise<void> {
  const up = world.running().filter(() => world.random.fraction() < 0.5);
  world.note(`restarted at once: ${names(up)}`);
  for (const host of up) host.crash();
  for (const host of up) await start(host);
}

const names = (hosts: readonly SimHost[]) => hosts.map(({ name }) => name).join(' ');

export const FAULTS = {
  crash: { weight: 8, what: 'a host is killed, and started some time later', strike: crash },
  'write-point': {
    weight: 6,
    what: 'a host is killed at one of its next writes, before or after the bytes are on disk',
    strike({ world, host }) {
      const write = host.disk.begun() + 1 + Math.floor(world.random.fraction() * ANY_OF_NEXT_WRITES);
      const when = world.random.fraction() < 0.5 ? 'before' : 'after';
      world.note(`${host.name} will crash ${when} write ${write}`);
      host.disk.crashAt(write, when, () => host.crash());
    },
    mend: ({ world }) => {
      for (const { disk } of world.hosts) disk.crashAt(0, 'before', () => {});
    },
  },
  'restart-half': { weight: 1, what: 'half of the hosts are restarted at once', strike: restartHalf },
  partition: {
    weight: 5,
    what: 'two groups of hosts are cut apart',
    strike({ world }) {
      const side = world.hosts.filter(() => world.random.fraction() < 0.5);
      world.note(`cut apart: ${names(side)}`);
      world.partition(
        side,
        world.hosts.filter((one) => !side.includes(one)),
      );
    },
    mend: ({ world }) => world.heal(),
  },
  'one-way': {
    weight: 5,
    what: 'nothing passes from one host to another, in that direction',
    strike({ world, host, other }) {
      if (host === other) return;
      world.note(`nothing passes from ${host.name} to ${other.name}`);
      world.block(host, other);
    },
    mend: ({ world }) => world.heal(),
  },
  heal: {
    weight: 7,
    what: 'all wires are whole again',
    strike({ world }) {
      world.note('healed');
      world.heal();
    },
  },
  cut: {
    weight: 3,
    what: 'the connections between two hosts are reset',
    strike: ({ world, host, other }) => world.cut(host, other),
  },
  latency: {
    weight: 4,
    what: 'packets take up to 210 ms',
    strike({ world }) {
      const slow = 1 + Math.floor(world.random.fraction() * 150);
      world.note(`packets take ${slow} ms and more`);
      world.setLatency((from, to) => slow + ((from * 5 + to * 3) % 7) * 10);
    },
  },
  loss: {
    weight: 3,
    what: 'up to a tenth of the segments is lost and sent again, of the datagrams lost; some messages are lost with their link',
    strike({ world }) {
      const share = world.random.fraction() * 0.1;
      world.note(`loss of ${(share * 100).toFixed(0)} %`);
      world.setLoss(share);
      world.faults.lost = share / 10;
    },
    mend({ world }) {
      world.setLoss(0);
      world.faults.lost = 0;
    },
  },
  doubled: {
    weight: 2,
    what: 'up to a fifth of the messages arrives twice',
    strike({ world }) {
      world.faults.doubled = world.random.fraction() * 0.2;
    },
    mend({ world }) {
      world.faults.doubled = 0;
    },
  },
  reordered: {
    weight: 2,
    what: 'up to a fifth of the messages is overtaken by others',
    strike({ world }) {
      world.faults.late = world.random.fraction() * 0.2;
    },
    mend({ world }) {
      world.faults.late = 0;
    },
  },
  slow: {
    weight: 2,
    what: 'one host is up to 300 ms late with all it sends, reads and writes',
    strike({ world, host }) {
      const ms = world.random.fraction() < 0.4 ? 0 : Math.floor(world.random.fraction() * 300);
      world.note(`${host.name} is ${ms} ms late with everything`);
      world.setSlow(host, ms);
    },
    mend({ world }) {
      for (const host of world.hosts) world.setSlow(host, 0);
    },
  },
  clock: {
    weight: 2,
    what: 'the wall clock of a host jumps ten years ahead or back',
    strike({ world, host }) {
      const jump = world.random.fraction() < 0.5 ? TEN_YEARS : -TEN_YEARS;
      world.note(`the clock of ${host.name} jumps ten years ${jump > 0 ? 'ahead' : 'back'}`);
      host.jumpClock(jump);
    },
  },
  'disk-full': {
    weight: 3,
    what: 'the disk of a host is full, or has room again',
    strike({ world, host }) {
      const isFull = world.random.fraction() < 0.5;
      world.note(`the disk of ${host.name} ${isFull ? 'is full' : 'has room'}`);
      host.disk.fill(isFull);
    },
    mend({ world }) {
      for (const { disk } of world.hosts) disk.fill(false);
    },
  },
} satisfies Record<string, Fault>;

export const ALL_FAULTS = Object.keys(FAULTS) as FaultName[];

export function isFaultName(text: string): text is FaultName {
  return Object.hasOwn(FAULTS, text);
}

/** One of these faults, by weight; `dice` in [0, 1). Undefined when there are none. */
export function drawFault(among: readonly FaultName[], dice: number): Fault | undefined {
  const faults: readonly Fault[] = among.map((name) => FAULTS[name]);
  let left = dice * faults.reduce((sum, { weight }) => sum + weight, 0);
  for (const fault of faults) {
    left -= fault.weight;
    if (left < 0) return fault;
  }
  return undefined;
}

export function mendAll(world: MeshWorld, among: readonly FaultName[]): void {
  const faults: readonly Fault[] = among.map((name) => FAULTS[name]);
  for (const fault of faults) fault.mend?.({ world });
}
