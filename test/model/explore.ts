/** Breadth-first search through all states of a small system, so that the first broken rule comes with a shortest trace. */
export interface System<State> {
  readonly initial: State;
  /** Equal exactly for equal states. */
  key(state: State): string;
  /** Every step that is possible, with its name. */
  steps(state: State): Iterable<readonly [name: string, next: State]>;
  /** What is wrong with the state; undefined when nothing is. */
  fault(state: State): string | undefined;
}

export interface Exploration {
  readonly states: number;
  /** False when `limit` ended the search. */
  readonly complete: boolean;
  readonly violation: { readonly fault: string; readonly trace: readonly string[] } | undefined;
}

interface Visit<State> {
  readonly state: State;
  readonly step: string;
  readonly from: Visit<State> | undefined;
}

export function explore<State>(system: System<State>, limit: number): Exploration {
  const seen = new Set([system.key(system.initial)]);
  let level: Visit<State>[] = [{ state: system.initial, step: 'start', from: undefined }];
  while (level.length > 0) {
    const next: Visit<State>[] = [];
    for (const visit of level) {
      const fault = system.fault(visit.state);
      if (fault !== undefined) {
        return { states: seen.size, complete: false, violation: { fault, trace: traceOf(visit) } };
      }
      for (const [step, state] of system.steps(visit.state)) {
        const key = system.key(state);
        if (seen.has(key)) continue;
        if (seen.size >= limit) return { states: seen.size, complete: false, violation: undefined };
        seen.add(key);
        next.push({ state, step, from: visit });
      }
    }
    level = next;
  }
  return { states: seen.size, complete: true, violation: undefined };
}

function traceOf<State>(last: Visit<State>): string[] {
  const trace: string[] = [];
  for (let visit: Visit<State> | undefined = last; visit !== undefined; visit = visit.from) {
    trace.unshift(visit.step);
  }
  return trace;
}

/** One way through a system that is too large to be searched: `choose` gives a number in [0, 1). The trace ends with what is wrong. */
export function walk<State>(
  system: System<State>,
  steps: number,
  choose: () => number,
): { readonly steps: number; readonly violation: Exploration['violation'] } {
  let state = system.initial;
  const trace: string[] = [];
  for (let taken = 0; taken < steps; taken += 1) {
    const possible = [...system.steps(state)];
    const next = possible[Math.floor(choose() * possible.length)];
    if (next === undefined) return { steps: taken, violation: undefined };
    trace.push(next[0]);
    state = next[1];
    const fault = system.fault(state);
    if (fault !== undefined) return { steps: taken + 1, violation: { fault, trace } };
  }
  return { steps, violation: undefined };
}

/** Takes the steps of these names. `stopped`: the first that is not possible; `fault`: what is wrong where it ended. */
export function follow<State>(
  system: System<State>,
  names: readonly string[],
): { readonly stopped: string | undefined; readonly fault: string | undefined } {
  let state = system.initial;
  for (const name of names) {
    const next = [...system.steps(state)].find(([step]) => step === name);
    if (next === undefined) return { stopped: name, fault: system.fault(state) };
    state = next[1];
  }
  return { stopped: undefined, fault: system.fault(state) };
}
