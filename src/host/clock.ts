import { readFileSync } from 'node:fs';
import type { Clock, Timer } from '../ports/clock.ts';

/** Where the system clock gets its readings, all in milliseconds. */
export interface ClockSources {
  /** CLOCK_MONOTONIC: stands still while the machine sleeps. */
  monotonic(): number;
  /** CLOCK_BOOTTIME: runs on while it sleeps. Undefined when it cannot be read. */
  boottime(): number | undefined;
  wall(): number;
}

/** Node offers no CLOCK_BOOTTIME; the first field of /proc/uptime is that clock in hundredths of a second (proc(5)). */
const SYSTEM: ClockSources = {
  monotonic: () => performance.now(),
  boottime: () => {
    try {
      const seconds = Number.parseFloat(readFileSync('/proc/uptime', 'latin1'));
      return Number.isFinite(seconds) ? seconds * 1_000 : undefined;
    } catch {
      return undefined;
    }
  },
  wall: () => Date.now(),
};

/** The wall clock moving this much against CLOCK_MONOTONIC is taken as a hint that the machine may have slept. */
const HINT = 200;
/** Sleep shorter than this is not told from the resolution of /proc/uptime (10 ms). */
const SHORTEST_SLEEP = 50;
/** The longest delay that setTimeout takes. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/**
 * The machine's clocks. Reading /proc/uptime costs a system call or three, so `now` reads CLOCK_MONOTONIC and adds the time slept,
 * which it measures again only when the wall clock has jumped against it: that happens on each wake-up, and when somebody sets
 * the clock, where the second look finds nothing slept. The wall clock is a hint only and never moves `now`.
 *
 * Timers count CLOCK_MONOTONIC: after a sleep they fire as much later. Parts that hold leases compare `now` when they fire.
 */
export function createSystemClock(sources: ClockSources = SYSTEM): Clock {
  const lag = () => {
    const boottime = sources.boottime();
    return boottime === undefined ? undefined : boottime - sources.monotonic();
  };
  const lagAtStart = lag();
  let slept = 0;
  let wallAhead = sources.wall() - sources.monotonic();

  function now(): number {
    const monotonic = sources.monotonic();
    const ahead = sources.wall() - monotonic;
    if (Math.abs(ahead - wallAhead) > HINT) {
      wallAhead = ahead;
      const lagNow = lag();
      if (lagNow !== undefined && lagAtStart !== undefined && lagNow - lagAtStart > slept + SHORTEST_SLEEP) {
        slept = lagNow - lagAtStart;
      }
    }
    return monotonic + slept;
  }

  function setTimer(delay: number, run: () => void): Timer {
    let handle: NodeJS.Timeout;
    const arm = (left: number) => {
      const step = Math.min(left, LONGEST_TIMEOUT);
      handle = setTimeout(() => (left > step ? arm(left - step) : run()), step);
      handle.unref();
    };
    arm(Math.max(0, delay));
    return { cancel: () => clearTimeout(handle) };
  }

  return { now, wall: sources.wall, setTimer };
}
