import { MESSAGE_TYPES } from '../../src/core/wire/messages.ts';
import type { Clock } from '../../src/ports/clock.ts';

/** Keeps of a simulation what a drawing of it needs: lives of hosts, wires that were cut, the last messages, and notes. */
export interface Recorder {
  /** A line for people: `1234 h3 joins`. */
  note(line: string): void;
  life(host: number, state: LifeState): void;
  wire(from: number, to: number, isOpen: boolean): void;
  message(from: number, to: number, bytes: Uint8Array): void;
  readonly notes: readonly string[];
  readonly changes: readonly Change[];
  /** Oldest first, at most LAST_MESSAGES. */
  messages(): readonly SentMessage[];
}

export type LifeState = 'up' | 'joining' | 'down';

export type Change =
  | { readonly at: number; readonly host: number; readonly state: LifeState }
  | { readonly at: number; readonly from: number; readonly to: number; readonly isOpen: boolean };

export interface SentMessage {
  readonly at: number;
  readonly from: number;
  readonly to: number;
  /** What it is, as far as its first bytes tell. */
  readonly type: string;
  readonly bytes: number;
}

const LAST_MESSAGES = 40;
/** A message of a link is a msgpack array that starts with its type; those of a join are maps. 0: neither. */
export function typeOf(message: Uint8Array): number {
  const [head = 0, second = 0, , fourth = 0] = message;
  if (head >> 4 === 0x9) return second <= MESSAGE_TYPES.length ? second : 0;
  if (head === 0xdc) return fourth <= MESSAGE_TYPES.length ? fourth : 0;
  return 0;
}

export function createRecorder(clock: Pick<Clock, 'now'>): Recorder {
  const notes: string[] = [];
  const changes: Change[] = [];
  const ring: SentMessage[] = [];
  let sent = 0;
  return {
    notes,
    changes,
    note: (line) => void notes.push(`${Math.round(clock.now())} ${line}`),
    life: (host, state) => void changes.push({ at: clock.now(), host, state }),
    wire: (from, to, isOpen) => void changes.push({ at: clock.now(), from, to, isOpen }),
    message(from, to, bytes) {
      const type = MESSAGE_TYPES[typeOf(bytes) - 1] ?? 'joining';
      if (type === 'beat') return;
      ring[sent++ % LAST_MESSAGES] = { at: clock.now(), from, to, type, bytes: bytes.length };
    },
    messages: () => [...ring.slice(sent % LAST_MESSAGES), ...ring.slice(0, sent % LAST_MESSAGES)],
  };
}
