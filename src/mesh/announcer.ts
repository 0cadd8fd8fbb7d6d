import type { PeerId } from '../core/ids.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import { KEY, type PeerRecord, type Records, readPeerRecord } from './records.ts';
import type { Space } from './space.ts';

/** Where other peers may dial this one. */
export interface Reach {
  /** `host:port` of the control plane (TCP). */
  readonly control: readonly string[];
  /** `host:port` of the data path (UDP). */
  readonly data: readonly string[];
}

/** Keeps this peer's own record true: its name, where it can be reached, how many addresses it has to give. */
export interface Announcer {
  reach(): Reach;
  announce(reach: Reach): void;
  /** On disk when it resolves. */
  start(): Promise<void>;
  close(): void;
}

export interface AnnouncerParts {
  readonly self: PeerId;
  readonly clock: Clock;
  readonly records: Records;
  readonly space: Pick<Space, 'free'>;
  readonly log: Log;
  readonly about: Pick<PeerRecord, 'nickname' | 'version' | 'boot' | 'degree' | 'mtu'>;
  readonly reach: Reach;
}

/** The number of free addresses only has to be good enough to choose a donor by: it is looked at so often, in ms … */
export const LOOK_EVERY = 2_000;
/** … and told again when it has changed by this part, or to or from 0. */
const WORTH_TELLING = 1 / 8;

export function createAnnouncer(parts: AnnouncerParts): Announcer {
  const { self, clock, records, space, log, about } = parts;
  let reach = parts.reach;
  let timer: Timer | undefined;
  let closed = false;

  async function tell(): Promise<void> {
    await records.put(KEY.peer, { ...about, ...reach, free: space.free() } satisfies PeerRecord);
  }

  function tellSoon(): void {
    tell().catch((error: unknown) =>
      log.error('cannot tell others about this host', { error: String(error) }),
    );
  }

  function look(): void {
    if (closed) return;
    timer = clock.setTimer(LOOK_EVERY, look);
    const told = readPeerRecord(records.get(self, KEY.peer))?.free ?? 0;
    const free = space.free();
    if (told === free) return;
    if (told === 0 || free === 0 || Math.abs(free - told) >= told * WORTH_TELLING) tellSoon();
  }

  return {
    reach: () => reach,
    announce(next) {
      if (JSON.stringify(next) === JSON.stringify(reach)) return;
      reach = next;
      tellSoon();
    },
    async start() {
      await tell();
      look();
    },
    close() {
      closed = true;
      timer?.cancel();
    },
  };
}
