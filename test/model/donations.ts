import { type Block, isSettled, judgeWitness, ownBlocks, planDonation } from '../../src/core/donation.ts';
import { DEFAULT_NETWORK, type PeerId } from '../../src/core/ids.ts';
import { includes } from '../../src/core/ranges.ts';
import { buildRing, type Segment } from '../../src/core/ring.ts';
import { checkHolders, checkRing } from '../../src/core/ring-check.ts';
import { changeText, genesisChange, type RingChange, type RingEntry } from '../../src/core/ring-entry.ts';
import type { System } from './explore.ts';

/**
 * Donations between three peers as a system of states. What a peer decides, the functions of core decide; the model only keeps disks
 * and messages. The network keeps every message for ever and delivers any of them at any time to anybody: that includes loss (never
 * delivered), delay, reordering and repetition. A crash leaves a peer its disk: what it wrote, and the entries that it holds space by.
 */
export interface Disk {
  /** Entries that it has heard of; gone after a crash. */
  readonly heard: Entries;
  /** On disk: entries that it published, intents, promises as a witness, and what makes it an owner. */
  readonly published: Entries;
  readonly intents: Entries;
  readonly promises: Entries;
  readonly held: Entries;
  /** Addresses in use, on disk. */
  readonly leases: readonly number[];
}

/** A peer's state and what follows from it. One object for each distinct state, so that it is worked out once. */
interface Peer extends Disk {
  readonly id: number;
  readonly ring: readonly Segment[];
  /** What it may use, with the ring that it knows. */
  readonly usable: readonly Block[];
}

/** Indices into the table of all entries of a run, ascending. */
type Entries = readonly number[];

export interface State {
  readonly peers: readonly Peer[];
  /** Donations that some heir has signed: the answers on their way. */
  readonly signed: Entries;
}

/** Rules that a test can break, to see that the model would notice. */
export interface Rules {
  /** What a peer may use. */
  readonly own: typeof ownBlocks;
  /** What a peer gives away. */
  readonly give: typeof ownBlocks;
  readonly build: typeof buildRing;
  /** Whether an entry is on the donor's disk before anybody hears of it. */
  readonly durableRecords: boolean;
}

export interface Limits {
  readonly donations: number;
  /** Whether peers also take addresses into use and release them. */
  readonly leases: boolean;
}

export const REAL_RULES: Rules = { own: ownBlocks, give: ownBlocks, build: buildRing, durableRecords: true };

const PEERS = ['A', 'B', 'C'] as PeerId[];
/** A made the mesh, B joined it first, C joined through B. */
const HEIRS = [1, 0, 1];
const RANGE = { start: 0, last: 1 };
const PARTS = [
  { start: 0, last: 0 },
  { start: 1, last: 1 },
  { start: 0, last: 1 },
];
const NEW: Disk = { heard: [], published: [], intents: [], promises: [], held: [], leases: [] };

export function donations(rules: Rules, limits: Limits): System<State> {
  const table: RingEntry[] = [];
  const numbers = new Map<string, number>();
  const views = new Map<string, readonly Segment[]>();
  const peers = new Map<string, Peer>();
  const checked = new Map<readonly Segment[], Map<string, string | undefined>>();

  function numberOf(change: RingChange): number {
    const text = changeText(change);
    const known = numbers.get(text);
    if (known !== undefined) return known;
    const donor = PEERS.indexOf(change.donor);
    const witness = change.owner === change.donor ? {} : { witness: PEERS[HEIRS[donor] as number] as PeerId };
    table.push({ ...change, donorSignature: new Uint8Array(64), ...witness });
    numbers.set(text, table.length - 1);
    return table.length - 1;
  }
  const entry = (number: number) => table[number] as RingEntry;
  const entries = (list: Entries) => list.map(entry);

  function ringOf({ heard, published, held }: Disk): readonly Segment[] {
    const known = union(heard, published);
    const key = `${known} ${held}`;
    const cached = views.get(key);
    if (cached !== undefined) return cached;
    const { segments } = rules.build({ range: RANGE, creator: PEERS[0] as PeerId }, [
      ...entries(known).map((item) => ({ entry: item, trusted: false })),
      ...entries(held).map((item) => ({ entry: item, trusted: true })),
    ]);
    views.set(key, segments);
    return segments;
  }

  function interned(disk: Disk, p: number): Peer {
    const { heard, published, intents, promises, held, leases } = disk;
    const key = `${p};${heard};${published};${intents};${promises};${held};${leases}`;
    const known = peers.get(key);
    if (known !== undefined) return known;
    const ring = ringOf(disk);
    const usable = rules.own(ring, PEERS[p] as PeerId, entries(intents));
    const peer = { heard, published, intents, promises, held, leases, id: peers.size, ring, usable };
    peers.set(key, peer);
    return peer;
  }

  function heldBy(disk: Disk, p: number): Entries {
    const owned = ringOf(disk).flatMap(({ entry: item }) =>
      item !== undefined && item.owner === PEERS[p] ? [item] : [],
    );
    return [...new Set(owned.map((item) => numberOf(item)))].sort((x, y) => x - y);
  }

  /** The peer after something that may have changed its ring: intents that have come true are dropped, held entries noted. */
  function settled(disk: Disk, p: number): Disk {
    const intents = disk.intents.filter(
      (number) => !(disk.published.includes(number) && isSettled(ringOf(disk), entry(number))),
    );
    return { ...disk, intents, held: heldBy(disk, p) };
  }

  const replaced = (state: State, p: number, disk: Disk): State => ({
    ...state,
    peers: state.peers.with(p, interned(disk, p)),
  });

  function* steps(state: State): Generator<readonly [string, State]> {
    const begun = numbersInUse(state).length - 1;
    for (const [p, peer] of state.peers.entries()) {
      const name = PEERS[p];
      if (begun < limits.donations) yield* begin(state, peer, p);
      if (limits.leases) yield* useAndRelease(state, peer, p);
      for (const number of new Set(state.peers.flatMap((other) => other.intents))) {
        const donor = PEERS.indexOf(entry(number).donor);
        if (HEIRS[donor] === p && !state.signed.includes(number)) yield* witness(state, peer, p, number);
      }
      for (const number of peer.intents) {
        const own = HEIRS[p] === PEERS.indexOf(entry(number).owner);
        if (peer.published.includes(number) || !(own || state.signed.includes(number))) continue;
        const after = settled({ ...peer, published: union(peer.published, [number]) }, p);
        yield [`${name} publishes ${changeText(entry(number))}`, replaced(state, p, after)];
      }
      for (const number of new Set(state.peers.flatMap((other) => other.published))) {
        if (peer.heard.includes(number) || peer.published.includes(number)) continue;
        const after = settled({ ...peer, heard: union(peer.heard, [number]) }, p);
        yield [`${name} hears ${changeText(entry(number))}`, replaced(state, p, after)];
      }
      const forgotten = rules.durableRecords ? peer.published : peer.published.filter((n) => n === genesis);
      const woken = { ...peer, heard: [], published: forgotten };
      yield [`${name} crashes`, replaced(state, p, settled(woken, p))];
    }
  }

  function* begin(state: State, peer: Peer, p: number): Generator<readonly [string, State]> {
    for (const block of rules.give(peer.ring, PEERS[p] as PeerId, entries(peer.intents))) {
      for (const part of PARTS) {
        const inside = block.start <= part.start && part.last <= block.last;
        if (!inside || peer.leases.some((address) => includes(part, address))) continue;
        for (const to of PEERS) {
          if (to === PEERS[p]) continue;
          const number = numberOf(planDonation(block, part, PEERS[p] as PeerId, to));
          const after = { ...peer, intents: union(peer.intents, [number]) };
          yield [`${PEERS[p]} intends ${changeText(entry(number))}`, replaced(state, p, after)];
        }
      }
    }
  }

  function* useAndRelease(state: State, peer: Peer, p: number): Generator<readonly [string, State]> {
    for (const address of [RANGE.start, RANGE.last]) {
      if (peer.leases.includes(address)) {
        const leases = peer.leases.filter((other) => other !== address);
        yield [`${PEERS[p]} releases ${address}`, replaced(state, p, { ...peer, leases })];
      } else if (peer.usable.some((block) => includes(block, address))) {
        const leases = union(peer.leases, [address]);
        yield [`${PEERS[p]} uses ${address}`, replaced(state, p, { ...peer, leases })];
      }
    }
  }

  function* witness(
    state: State,
    peer: Peer,
    p: number,
    number: number,
  ): Generator<readonly [string, State]> {
    if (judgeWitness(peer.ring, entries(peer.promises), entry(number)) !== 'sign') return;
    const after = { ...peer, promises: union(peer.promises, [number]) };
    const signed = union(state.signed, [number]);
    yield [`${PEERS[p]} witnesses ${changeText(entry(number))}`, { ...replaced(state, p, after), signed }];
  }

  function fault(state: State): string | undefined {
    const holders = state.peers.map((peer, p) => {
      const strays = peer.leases.filter((at) => !peer.usable.some((block) => includes(block, at)));
      return [
        PEERS[p] as PeerId,
        [...peer.usable, ...strays.map((at) => ({ start: at, last: at }))],
      ] as const;
    });
    const [first] = checkHolders(new Map(holders));
    if (first !== undefined) return first.message;
    const history = union(...state.peers.map(({ published }) => published));
    return state.peers.map(({ ring }) => ringFault(ring, history)).find((found) => found !== undefined);
  }

  function ringFault(ring: readonly Segment[], history: Entries): string | undefined {
    const known = checked.get(ring) ?? new Map<string, string | undefined>();
    checked.set(ring, known);
    const key = `${history}`;
    if (known.has(key)) return known.get(key);
    const check = { range: RANGE, creator: PEERS[0] as PeerId, history: entries(history) };
    // A peer that has just started knows its own space only.
    const broken = checkRing(ring, check).find(({ code }) => code !== 'gap');
    known.set(key, broken && `${broken.code}: ${broken.message}`);
    return known.get(key);
  }

  const genesis = numberOf({ ...genesisChange(RANGE, PEERS[0] as PeerId), network: DEFAULT_NETWORK });
  const creator = interned({ ...NEW, published: [genesis], held: [genesis] }, 0);
  const initial = { peers: [creator, interned(NEW, 1), interned(NEW, 2)], signed: [] };
  const key = ({ peers: [a, b, c], signed }: State) => `${a?.id} ${b?.id} ${c?.id} ${signed}`;
  return { initial, key, steps, fault };
}

function numbersInUse(state: State): Entries {
  return union(...state.peers.map(({ published, intents }) => union(published, intents)), state.signed);
}

function union(...lists: readonly Entries[]): Entries {
  return [...new Set(lists.flat())].sort((a, b) => a - b);
}
