import type { Phase } from '../doors/control.ts';
import { ControlError } from '../doors/errors.ts';

/** Where the daemon is in its life; one step at a time. */
export interface Phases {
  get(): Phase;
  enter(state: Phase['state'], text: string): void;
  watch(handler: (phase: Phase) => void): () => void;
  /** Throws ControlError unless the daemon is ready: `starting`, `stopping`, `failed` or `no-mesh`. */
  requireReady(): void;
}

export const IDLE = 'in no mesh: run `weft up` to make one, or `weft join TOKEN` to join one';

export function createPhases(): Phases {
  let phase: Phase = { state: 'idle', text: IDLE };
  const handlers = new Set<(phase: Phase) => void>();
  return {
    get: () => phase,
    enter(state, text) {
      phase = { state, text };
      for (const handler of [...handlers]) handler(phase);
    },
    watch(handler) {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
    requireReady() {
      const { state, text } = phase;
      if (state === 'idle') throw new ControlError('no-mesh');
      if (state === 'failed') throw new ControlError('failed', text);
      if (state !== 'ready') throw new ControlError(state);
    },
  };
}
