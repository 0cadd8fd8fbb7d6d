import { equalBytes } from '../core/bytes.ts';
import type { Crypto, Identity } from '../core/crypto.ts';
import type { MeshId, PeerId } from '../core/ids.ts';
import type { Log } from '../ports/log.ts';
import type { Random } from '../ports/random.ts';
import { isGenuineEpoch, MAX_EXCLUDED, signEpoch } from './epochs.ts';
import type { Links, Neighbour } from './links.ts';
import type { OpenMembership } from './membership.ts';
import { type Epoch, readEpoch } from './membership-state.ts';

/**
 * A new epoch for each removal. Whoever inherits the removed peer makes it, and it goes from neighbour to neighbour: links are encrypted,
 * each end knows who the other is, and nobody passes it on before it knows of all removals that the epoch is there for. So it
 * reaches every member and none of the removed.
 */
export interface Rotation {
  close(): void;
}

export interface RotationParts {
  readonly mesh: MeshId;
  readonly identity: Identity;
  readonly crypto: Crypto;
  readonly random: Random;
  readonly links: Pick<Links, 'neighbours' | 'handle' | 'watch'>;
  readonly membership: OpenMembership;
  readonly log: Log;
}

/** Epochs that wait for news of removals. */
const MAX_WAITING = 16;

export function startRotation(parts: RotationParts): Rotation {
  const { mesh, identity, crypto, random, links, membership, log } = parts;
  let waiting: readonly Epoch[] = [];
  let making = false;
  let closed = false;

  /** Not to whom it keeps out, nor before its own removals are known here. */
  function pass(epoch: Epoch, to: Neighbour): void {
    if (epoch.rotation === null || !membership.isMember(to.peer) || !isDue(epoch)) return;
    to.send({ type: 'epoch', epoch });
  }

  function isDue({ rotation }: Epoch): boolean {
    return rotation === null || rotation.excluded.every((peer) => membership.isRemoved(peer));
  }

  /** Only who stands in the line of a removed peer makes epochs. */
  function isRightful({ rotation }: Epoch): boolean {
    const author = rotation?.author;
    return rotation?.excluded.some((peer) => membership.mayAct(peer, author as PeerId)) === true;
  }

  async function take(epoch: Epoch, from: Neighbour | undefined): Promise<void> {
    if (!(await membership.learnEpoch(epoch)) || closed) return;
    log.info('the mesh has a new epoch', { number: epoch.number, from: from?.peer });
    for (const neighbour of links.neighbours()) if (neighbour !== from) pass(epoch, neighbour);
  }

  function receive(from: Neighbour, data: unknown): void {
    const epoch = readEpoch(data);
    if (epoch === undefined || !isGenuineEpoch(epoch, mesh, crypto)) return;
    if (isDue(epoch)) {
      if (isRightful(epoch)) void attempt(() => take(epoch, from));
    } else if (!waiting.some((known) => equalBytes(known.secret, epoch.secret))) {
      waiting = [...waiting, epoch].slice(-MAX_WAITING);
    }
  }

  async function attempt(run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (error) {
      log.warn('a new epoch could not be stored', { error: String(error) });
    }
  }

  /** One at a time; whatever came meanwhile is in the next one. */
  async function maintain(): Promise<void> {
    const due = waiting.filter(isDue);
    waiting = waiting.filter((epoch) => !due.includes(epoch));
    for (const epoch of due) if (isRightful(epoch)) await attempt(() => take(epoch, undefined));
    if (making || closed || !isMine()) return;
    making = true;
    await attempt(async () => {
      const excluded = membership.removed().slice(0, MAX_EXCLUDED);
      const number = (membership.epochs()[0] as Epoch).number + 1;
      await take(
        signEpoch({ crypto, identity, mesh, number, secret: random.bytes(32), excluded }),
        undefined,
      );
    });
    making = false;
  }

  /** Whether the newest epoch is known to somebody whose removal is this peer's work. */
  function isMine(): boolean {
    if (membership.isRemoved(membership.self)) return false;
    const excluded = new Set((membership.epochs()[0] as Epoch).rotation?.excluded ?? []);
    return membership
      .removed()
      .slice(0, MAX_EXCLUDED)
      .some((peer) => !excluded.has(peer) && membership.takerOf(peer)?.peer === membership.self);
  }

  links.handle('epoch', (from, { epoch }) => receive(from, epoch));
  const stops = [
    links.watch({ up: (neighbour) => pass(membership.epochs()[0] as Epoch, neighbour) }),
    membership.watch(() => void maintain()),
  ];
  void maintain();
  return {
    close() {
      closed = true;
      for (const stop of stops) stop();
    },
  };
}
