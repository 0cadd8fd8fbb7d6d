/** Time. Nothing but an adapter of this port reads a clock or starts a timer. */
export interface Clock {
  /** Milliseconds on a monotonic clock that also runs while the machine sleeps. Only differences mean anything. */
  now(): number;
  /** Milliseconds since 1970. For people to read and for hybrid clocks; never part of an acceptance rule. */
  wall(): number;
  /** Calls `run` once after `delay` milliseconds (≥ 0). A timer does not keep the process alive. */
  setTimer(delay: number, run: () => void): Timer;
}

export interface Timer {
  /** Safe to call at any time, also more than once and after it has fired. */
  cancel(): void;
}
