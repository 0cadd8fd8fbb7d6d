import type { Clock, Timer } from '../clock.ts';

/** Time that moves only when told. Everything that one instant causes has happened before the next timer fires. */
export interface VirtualClock extends ClockView {
  /** Moves time forward by `ms`, firing what falls due on the way. Rejects with what a timer threw. */
  advance(ms: number): Promise<void>;
  /** Moves from timer to timer until `condition` holds; rejects when it does not within `limit` ms (default 60,000). */
  runUntil(condition: () => boolean, limit?: number): Promise<void>;
  /** Lets everything happen that needs no time to pass. */
  settle(): Promise<void>;
  /** A clock of one simulated machine: same time, its own wall clock, and it can be stopped. */
  view(): ClockView;
  /** Timers that have not fired or been cancelled. */
  pending(): number;
}

export interface ClockView extends Clock {
  /** Sets the wall clock this many milliseconds off. */
  setWallOffset(ms: number): void;
  /** No timer set through this view fires any more: what a crash of the machine does. */
  stop(): void;
}

/** So many timers at one instant are not work but a circle: something sets a timer for now, again and again. */
const MOST_AT_ONCE = 100_000;

/** 2026-01-01, so that the wall clock looks like one. */
const WALL_START = 1_767_225_600_000;

interface Entry {
  readonly at: number;
  /** Order of creation; breaks ties. */
  readonly order: number;
  run: (() => void) | undefined;
}

/** Binary heap by (at, order); cancelled entries stay until they surface or are the majority. */
function createAgenda() {
  let heap: Entry[] = [];
  let cancelled = 0;
  const before = (a: Entry, b: Entry) => a.at < b.at || (a.at === b.at && a.order < b.order);

  function siftDown(from: number): void {
    const entry = heap[from] as Entry;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Entry, heap[child] as Entry)) child++;
      if (before(entry, heap[child] as Entry)) break;
      heap[at] = heap[child] as Entry;
      at = child;
    }
    heap[at] = entry;
  }

  function pop(): void {
    const tail = heap.pop() as Entry;
    if (heap.length > 0) {
      heap[0] = tail;
      siftDown(0);
    }
  }

  return {
    push(entry: Entry): void {
      let at = heap.length;
      heap.push(entry);
      while (at > 0) {
        const parent = (at - 1) >> 1;
        if (before(heap[parent] as Entry, entry)) break;
        heap[at] = heap[parent] as Entry;
        at = parent;
      }
      heap[at] = entry;
    },
    cancel(entry: Entry): void {
      if (entry.run === undefined) return;
      entry.run = undefined;
      cancelled++;
      if (cancelled < 64 || cancelled * 2 < heap.length) return;
      heap = heap.filter((kept) => kept.run !== undefined);
      cancelled = 0;
      for (let at = (heap.length >> 1) - 1; at >= 0; at--) siftDown(at);
    },
    /** The earliest live entry, left in place. */
    peek(): Entry | undefined {
      while (heap.length > 0 && (heap[0] as Entry).run === undefined) {
        pop();
        cancelled--;
      }
      return heap[0];
    },
    pop,
    size: () => heap.length - cancelled,
  };
}

export function createVirtualClock(): VirtualClock {
  const agenda = createAgenda();
  let time = 0;
  let order = 0;
  let running = false;
  let atOnce = 0;

  // A turn of the real event loop empties the queues of microtasks and of process.nextTick.
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

  /** Fires timers due up to `end`, until `done`. */
  async function run(end: number, done: () => boolean): Promise<boolean> {
    if (running) throw new Error('the virtual clock is being advanced already: await the first call');
    running = true;
    try {
      await settle();
      while (!done()) {
        const next = agenda.peek();
        if (next === undefined || next.at > end) return false;
        agenda.pop();
        atOnce = next.at > time ? 0 : atOnce + 1;
        if (atOnce > MOST_AT_ONCE) throw new Error(`time stands still at ${time} ms: timers without end`);
        time = next.at;
        const action = next.run as () => void;
        next.run = undefined;
        action();
        await settle();
      }
      return true;
    } finally {
      running = false;
    }
  }

  function view(): ClockView {
    let wallOffset = 0;
    let stopped = false;
    return {
      now: () => time,
      wall: () => WALL_START + time + wallOffset,
      setTimer(delay: number, action: () => void): Timer {
        const guarded = () => {
          if (!stopped) action();
        };
        const entry: Entry = { at: time + Math.max(0, delay), order: order++, run: guarded };
        if (!stopped) agenda.push(entry);
        return { cancel: () => (stopped ? undefined : agenda.cancel(entry)) };
      },
      setWallOffset(ms: number): void {
        wallOffset = ms;
      },
      stop(): void {
        stopped = true;
      },
    };
  }

  return {
    ...view(),
    view,
    settle,
    async advance(ms) {
      const end = time + ms;
      await run(end, () => false);
      time = end;
    },
    async runUntil(condition, limit = 60_000) {
      const end = time + limit;
      if (await run(end, condition)) return;
      const left = agenda.size();
      if (left > 0) time = end;
      throw new Error(
        `condition not met ${left > 0 ? `within ${limit} ms` : 'and nothing left to happen'}: ${condition}`,
      );
    },
    pending: () => agenda.size(),
  };
}
