import { type Block, isSettled, judgeWitness, ownBlocks, planDonation } from '../../src/core/donation.ts';
import type { PeerId } from '../../src/core/ids.ts';
import { buildRing, type RingSource, type Segment } from '../../src/core/ring.ts';
import { checkHolders } from '../../src/core/ring-check.ts';
import { changeText, genesisChange, isTakeover, type RingEntry } from '../../src/core/ring-entry.ts';
import { depthOf, type Lineage, successorOf, takerOf } from '../../src/core/succession.ts';
import {
  accountOf,
  type Closing,
  collect,
  isComplete,
  mayTake,
  NEEDS_PROMISES,
  type Promised,
  planTakeovers,
  stands,
} from '../../src/core/takeover.ts';
import type { System } from './explore.ts';
import type { Limits, Rules } from './rules.ts';
import { createTable, type Numbers, newestOf, sorted, union, unionless } from './tables.ts';

/**
 * Donations and removals among a few peers as a system of states. What a peer decides, the functions of core decide; the model only keeps
 * disks and messages, as mesh/space/ does. The network keeps every message for ever and delivers it at any time to anybody, also those
 * of removed peers: that includes loss, delay, reordering, repetition and partitions. Removed peers go on until they hear of it. A crash
 * leaves a peer its disk: what it wrote itself, and the entries that it holds space by. Who loses its disk comes back as another peer.
 */
interface Disk {
  /** Entries and removals that it has heard of; gone after a crash. */
  readonly heard: Numbers;
  readonly graves: Numbers;
  readonly accounts: Numbers;
  /** On disk: what it published, its intents, what it signed as a witness, what makes it an owner. */
  readonly published: Numbers;
  readonly intents: Numbers;
  readonly promises: Numbers;
  readonly held: Numbers;
  /** On disk: removals by it, its promises about removed peers (peer → entries), and the accounts that it closed. */
  readonly buried: Numbers;
  readonly fences: readonly (readonly [peer: number, known: Numbers])[];
  readonly closed: Numbers;
}

interface Peer extends Disk {
  readonly id: number;
  readonly removed: ReadonlySet<PeerId>;
  readonly sources: readonly RingSource[];
  readonly ring: readonly Segment[];
  readonly usable: readonly Block[];
}

export interface State {
  readonly peers: readonly Peer[];
  /** Donations that some witness has signed: the answers on their way. */
  readonly signed: Numbers;
}

const NAMES = 'ABCDEF';
/** A made the mesh, B joined it first; everybody else came through the one before. */
const HEIRS: Readonly<Record<string, string>> = { A: 'B', B: 'A', C: 'B', D: 'C', E: 'D', F: 'E' };
const EMPTY: Disk = {
  heard: [],
  graves: [],
  accounts: [],
  published: [],
  intents: [],
  promises: [],
  held: [],
  buried: [],
  fences: [],
  closed: [],
};

export function removals(rules: Rules, limits: Limits): System<State> {
  const everybody = [...NAMES.slice(0, limits.peers)] as PeerId[];
  const indexOf = (peer: PeerId) => everybody.indexOf(peer);
  const range = { start: 0, last: limits.addresses - 1 };
  const parts =
    limits.addresses === 1 ? [range] : [{ start: 0, last: 0 }, { start: 1, last: range.last }, range];
  const creator = everybody[0] as PeerId;

  const entries = createTable<RingEntry>((entry) => `${changeText(entry)} ${entry.witness ?? ''}`);
  const graves = createTable<{ by: PeerId; peer: PeerId }>(({ by, peer }) => `${by} ${peer}`);
  const accounts = createTable<{ by: PeerId; peer: PeerId; depth: number; standing: Numbers }>(
    ({ by, peer, depth, standing }) => `${by} ${peer} ${depth} ${standing}`,
  );
  const peers = new Map<string, Peer>();

  // --- what a peer knows

  function removedBy(numbers: Numbers): ReadonlySet<PeerId> {
    const known = graves.all(numbers);
    let gone = new Set<PeerId>();
    for (let before = -1; before < gone.size; ) {
      before = gone.size;
      const lineage = lineageOf(gone);
      const rightful = known.filter(
        ({ by, peer }) => !rules.onlyHeirRemoves || depthOf(peer, by, lineage) !== undefined,
      );
      gone = new Set([...gone, ...rightful.map(({ peer }) => peer)]);
    }
    return gone;
  }

  const lineageOf = (gone: ReadonlySet<PeerId>): Lineage => ({
    heirOf: (peer) => HEIRS[peer] as PeerId,
    adopterOf: () => undefined,
    isRemoved: (peer) => gone.has(peer),
  });

  function takerIn(gone: ReadonlySet<PeerId>, peer: PeerId, self: PeerId) {
    if (!rules.onlyHeirRemoves && gone.has(peer)) return { peer: self, depth: 1 };
    return takerOf(peer, lineageOf(gone));
  }

  const closingsAbout = (disk: Disk, peer: PeerId) =>
    accounts.all(union(disk.accounts, disk.closed)).filter((account) => account.peer === peer);

  function closingOf(disk: Disk, peer: PeerId): Closing | undefined {
    const [deepest] = [...closingsAbout(disk, peer)].sort((a, b) => b.depth - a.depth);
    return deepest && { depth: deepest.depth, standing: new Set(deepest.standing.map(String)) };
  }

  const tagOf = (entry: RingEntry) => String(entries.number({ ...entry }));

  const promiseOf = (disk: Disk, peer: PeerId): Promised | undefined => {
    const fence = disk.fences.find(([about]) => about === indexOf(peer));
    return fence && { known: new Set(fence[1].map(String)), issued: new Set() };
  };

  function counts(disk: Disk, gone: ReadonlySet<PeerId>, entry: RingEntry): boolean {
    const { donor, owner } = entry;
    if (!rules.lateGrantsRefused) return true;
    const closing = gone.has(donor) ? closingOf(disk, donor) : undefined;
    const depth = depthOf(donor, owner, lineageOf(gone));
    return stands(entry, tagOf(entry), closing, promiseOf(disk, donor), depth);
  }

  /** As the ledger does: what may be believed with what is known of removals. */
  function sourceOf(disk: Disk, gone: ReadonlySet<PeerId>, entry: RingEntry): RingSource | undefined {
    const { donor, owner, witness } = entry;
    const lineage = lineageOf(gone);
    if (isTakeover(entry)) {
      const depth = rules.onlyHeirRemoves ? depthOf(donor, owner, lineage) : 1;
      if (!gone.has(donor) || depth === undefined) return undefined;
      const settled = depth < NEEDS_PROMISES || closingsAbout(disk, donor).some(({ by }) => by === owner);
      return settled ? { entry, trusted: false, depth: rules.epochByDepth ? depth : 1 } : undefined;
    }
    const isWitness = witness !== undefined && depthOf(donor, witness, lineage) !== undefined;
    if (rules.witnessBeforeUse && owner !== donor && !isWitness) return undefined;
    return { entry, trusted: false };
  }

  function sourcesOf(disk: Disk, gone: ReadonlySet<PeerId>): readonly RingSource[] {
    const known = entries
      .all(union(disk.heard, disk.published))
      .flatMap((entry) => sourceOf(disk, gone, entry) ?? []);
    const held = entries.all(disk.held).map((entry) => ({ entry, trusted: true }));
    return [...known, ...held];
  }

  function build(disk: Disk, gone: ReadonlySet<PeerId>) {
    const sources = sourcesOf(disk, gone).filter(({ entry }) => counts(disk, gone, entry));
    if (!rules.ownerOnly) return newestOf(sources, range);
    return buildRing({ range, creator }, sources).segments;
  }

  function interned(disk: Disk, p: number): Peer {
    const { graves: known, published, intents, buried } = disk;
    const key = nameOf(disk, p);
    const found = peers.get(key);
    if (found !== undefined) return found;
    const removed = removedBy(union(known, buried));
    const ring = build(disk, removed);
    const self = everybody[p] as PeerId;
    const sources = sourcesOf(disk, removed);
    // A peer's own word binds it, also while its witness is not known (again) to stand in for the heir.
    const unjudged = entries
      .all(published)
      .filter((entry) => entry.donor === self && !sources.some((one) => one.entry === entry));
    const usable = ownBlocks(ring, self, [...entries.all(intents), ...unjudged]);
    const peer = { ...disk, id: peers.size, removed, sources, ring, usable };
    peers.set(key, peer);
    return peer;
  }

  /** The disk after something that may have changed what is known: promises that are due, intents that came true, held entries. */
  function settled(disk: Disk, p: number): Disk {
    const self = everybody[p] as PeerId;
    const gone = removedBy(union(disk.graves, disk.buried));
    let next = disk;
    for (const peer of gone) {
      const taker = takerIn(gone, peer, self);
      if (taker === undefined || taker.depth < NEEDS_PROMISES || gone.has(self)) continue;
      if (next.fences.some(([about]) => about === indexOf(peer))) continue;
      next = { ...next, published: union(next.published, witnessedBy(next, p, peer)) };
      const known = sourcesOf(next, gone).filter(
        ({ entry }) => entry.donor === peer && counts(next, gone, entry),
      );
      const fence = [indexOf(peer), sorted(known.map(({ entry }) => entries.number(entry)))] as const;
      next = { ...next, fences: [...next.fences, fence].sort(([a], [b]) => a - b) };
    }
    const ring = build(next, gone);
    const intents = next.intents.filter((number) => {
      const entry = entries.get(number);
      const published = entries.all(next.published).some((other) => changeText(other) === changeText(entry));
      return !(published && isSettled(ring, entry));
    });
    const owned = ring.flatMap(({ entry }) => (entry?.owner === self ? [entry] : []));
    const held = sorted(owned.map((entry) => entries.number(entry)));
    const vouched = owned.filter(({ witness }) => witness === self).map((entry) => entries.number(entry));
    return { ...next, intents, held, promises: union(next.promises, vouched) };
  }

  /** What it signed for a donor that may not have published it. */
  const witnessedBy = (disk: Disk, p: number, donor: PeerId): Numbers =>
    disk.promises.filter((number) => {
      const entry = entries.get(number);
      return entry.donor === donor && entry.witness === everybody[p];
    });

  /** By what the peer was before it had settled, so that this is worked out once. */
  const afterwards = new Map<string, Peer>();

  function changed(state: State, p: number, disk: Disk): State {
    const key = nameOf(disk, p);
    const known = afterwards.get(key) ?? interned(settled(disk, p), p);
    afterwards.set(key, known);
    return { ...state, peers: state.peers.with(p, known) };
  }

  // --- what may happen

  function* steps(state: State): Generator<readonly [string, State]> {
    for (const [p, peer] of state.peers.entries()) {
      const self = everybody[p] as PeerId;
      if (limits.crashes) yield* crash(state, peer, p);
      if (peer.removed.has(self)) continue;
      yield* donate(state, peer, p);
      yield* witness(state, peer, p);
      yield* publish(state, peer, p);
      yield* bury(state, peer, p);
      yield* takeOver(state, peer, p);
      yield* hear(state, peer, p);
    }
  }

  const changesBegun = (state: State) =>
    new Set(
      state.peers
        .flatMap(({ published, intents }) => entries.all(union(published, intents)))
        .filter((entry) => entry.version > 0 && !history.includes(entries.number(entry)))
        .map(changeText),
    ).size;

  function* donate(state: State, peer: Peer, p: number): Generator<readonly [string, State]> {
    const self = everybody[p] as PeerId;
    if (changesBegun(state) >= limits.donations || limits.donors?.includes(self) === false) return;
    for (const block of givable(peer, self)) {
      for (const part of parts) {
        if (part.start < block.start || part.last > block.last) continue;
        for (const to of everybody) {
          if (to === self || peer.removed.has(to) || limits.receivers?.includes(to) === false) continue;
          const change = planDonation(block, part, self, to);
          const number = entries.number({ ...change, donorSignature: NO_SIGNATURE });
          yield [
            `${self} intends ${changeText(change)}`,
            changed(state, p, { ...peer, intents: union(peer.intents, [number]) }),
          ];
        }
      }
    }
  }

  /** Without the rule, a peer writes about whatever there is. */
  function givable(peer: Peer, self: PeerId): readonly Block[] {
    if (rules.ownerOnly) return peer.usable;
    const mine = peer.ring.map((segment) => ({
      ...segment,
      entry: segment.entry && { ...segment.entry, owner: self },
    }));
    return ownBlocks(mine, self, entries.all(peer.intents));
  }

  function* witness(state: State, peer: Peer, p: number): Generator<readonly [string, State]> {
    const self = everybody[p] as PeerId;
    const lineage = lineageOf(peer.removed);
    for (const number of new Set(state.peers.flatMap(({ intents }) => intents))) {
      const intent = entries.get(number);
      const { donor, owner } = intent;
      const fenced = peer.removed.has(donor) || promiseOf(peer, donor) !== undefined;
      if (
        (rules.witnessRefusesFenced && fenced) ||
        owner === self ||
        successorOf(donor, lineage)?.peer !== self
      )
        continue;
      const word = entries.number({ ...intent, witness: self });
      if (state.signed.includes(word)) continue;
      if (judgeWitness(peer.ring, entries.all(peer.promises), intent) !== 'sign') continue;
      const promises = rules.witnessRemembers ? union(peer.promises, [word]) : peer.promises;
      const next = changed(state, p, { ...peer, promises });
      yield [`${self} witnesses ${changeText(intent)}`, { ...next, signed: union(state.signed, [word]) }];
    }
  }

  function* publish(state: State, peer: Peer, p: number): Generator<readonly [string, State]> {
    const self = everybody[p] as PeerId;
    const lineage = lineageOf(peer.removed);
    for (const number of peer.intents) {
      const intent = entries.get(number);
      if (entries.all(peer.published).some((entry) => changeText(entry) === changeText(intent))) continue;
      const heir = successorOf(self, lineage)?.peer;
      const own = { ...intent, witness: intent.owner };
      const words = entries.all(state.signed).filter((word) => changeText(word) === changeText(intent));
      const usable = words.filter((word) => depthOf(self, word.witness as PeerId, lineage) !== undefined);
      const ready = rules.witnessBeforeUse ? [...usable, ...(heir === intent.owner ? [own] : [])] : [intent];
      for (const entry of ready) {
        const published = union(peer.published, [entries.number(entry)]);
        yield [
          `${self} publishes ${changeText(entry)} (${entry.witness})`,
          changed(state, p, { ...peer, published }),
        ];
      }
    }
  }

  function* bury(state: State, peer: Peer, p: number): Generator<readonly [string, State]> {
    const self = everybody[p] as PeerId;
    if (limits.removers?.includes(self) === false) return;
    const done = new Set(
      graves.all(union(...state.peers.map(({ buried }) => buried))).map((grave) => grave.peer),
    );
    for (const target of everybody) {
      if (target === self || peer.removed.has(target) || limits.victims?.includes(target) === false) continue;
      if (done.size >= limits.removals && !done.has(target)) continue;
      const mine = successorOf(target, lineageOf(peer.removed))?.peer === self;
      if (rules.onlyHeirRemoves && !mine) continue;
      const buried = union(peer.buried, [graves.number({ by: self, peer: target })]);
      yield [`${self} removes ${target}`, changed(state, p, { ...peer, buried })];
    }
  }

  function* takeOver(state: State, peer: Peer, p: number): Generator<readonly [string, State]> {
    const self = everybody[p] as PeerId;
    for (const gone of peer.removed) {
      const taker = takerIn(peer.removed, gone, self);
      if (taker?.peer !== self) continue;
      if (taker.depth >= NEEDS_PROMISES && !closingsAbout(peer, gone).some(({ by }) => by === self)) {
        if (!mayClose(state, peer, gone)) continue;
        const standing = sorted([...settle(state, peer, gone)].map(Number));
        const account = accounts.number({ by: self, peer: gone, depth: taker.depth, standing });
        yield [
          `${self} closes ${gone}`,
          changed(state, p, { ...peer, closed: union(peer.closed, [account]) }),
        ];
        continue;
      }
      const [closing] = closingsAbout(peer, gone).filter(({ by }) => by === self);
      const account = closing && { depth: closing.depth, standing: new Set(closing.standing.map(String)) };
      if (rules.takerHearsAll && !mayTake(account, new Set(heardOf(peer, gone).map(String)))) continue;
      const published = union(peer.published, witnessedBy(peer, p, gone));
      const ring = build({ ...peer, published }, peer.removed);
      const depth = rules.epochByDepth ? taker.depth : 1;
      const changes = planTakeovers(ring, self, (owner) => (owner === gone ? depth : undefined));
      if (changes.length === 0) continue;
      const numbers = changes.map((change) => entries.number({ ...change, donorSignature: NO_SIGNATURE }));
      const after = { ...peer, published: union(published, numbers) };
      yield [`${self} takes over ${changes.map(changeText)}`, changed(state, p, after)];
    }
  }

  const heardOf = (peer: Peer, donor: PeerId): Numbers =>
    sorted(
      peer.sources.filter(({ entry }) => entry.donor === donor).map(({ entry }) => entries.number(entry)),
    );

  function settle(state: State, peer: Peer, gone: PeerId): ReadonlySet<string> {
    const heard = heardOf(peer, gone).map((number) => ({ entry: entries.get(number), tag: String(number) }));
    const depth = (entry: RingEntry) => depthOf(gone, entry.owner, lineageOf(peer.removed));
    return accountOf(heard, promisesAbout(state, peer, gone).values(), closingOf(peer, gone), depth);
  }

  function promisesAbout(state: State, peer: Peer, gone: PeerId): ReadonlyMap<PeerId, Promised> {
    const promises = new Map<PeerId, Promised>();
    for (const other of everybody.filter((one) => !peer.removed.has(one))) {
      const promised = promiseOf(state.peers[indexOf(other)] as Peer, gone);
      if (promised !== undefined) promises.set(other, promised);
    }
    return promises;
  }

  function mayClose(state: State, peer: Peer, gone: PeerId): boolean {
    if (!rules.everybodyPromises) return true;
    const admitted = everybody.filter((other) => !peer.removed.has(other));
    const promises = promisesAbout(state, peer, gone);
    const seen = new Set(heardOf(peer, gone).map(String));
    const found = collect({ admitted, promises, seen, peers: new Set() });
    return isComplete(rules.takerHearsAll ? found : { ...found, unheard: 0 });
  }

  function* hear(state: State, peer: Peer, p: number): Generator<readonly [string, State]> {
    const self = everybody[p] as PeerId;
    for (const number of union(...state.peers.map(({ published }) => published))) {
      if (peer.heard.includes(number) || peer.published.includes(number)) continue;
      const entry = entries.get(number);
      // A takeover far down the line and its account are one record.
      const with_ = union(...state.peers.map(({ closed }) => closed)).filter(
        (account) =>
          isTakeover(entry) &&
          accounts.get(account).by === entry.owner &&
          accounts.get(account).peer === entry.donor,
      );
      const after = {
        ...peer,
        heard: union(peer.heard, [number]),
        accounts: unionless(peer.accounts, with_, peer.closed),
      };
      yield [`${self} hears ${changeText(entry)}`, changed(state, p, after)];
    }
    for (const number of union(...state.peers.map(({ buried }) => buried))) {
      if (peer.graves.includes(number) || peer.buried.includes(number)) continue;
      const { by, peer: gone } = graves.get(number);
      const after = { ...peer, graves: union(peer.graves, [number]) };
      yield [`${self} hears that ${by} removed ${gone}`, changed(state, p, after)];
    }
    for (const number of union(...state.peers.map(({ closed }) => closed))) {
      if (peer.accounts.includes(number) || peer.closed.includes(number)) continue;
      const after = { ...peer, accounts: union(peer.accounts, [number]) };
      yield [
        `${self} hears that ${accounts.get(number).by} closed ${accounts.get(number).peer}`,
        changed(state, p, after),
      ];
    }
  }

  function* crash(state: State, peer: Peer, p: number): Generator<readonly [string, State]> {
    if (peer.heard.length + peer.graves.length + peer.accounts.length === 0 && rules.promisesAreKept) return;
    const fences = rules.promisesAreKept ? peer.fences : [];
    const woken = { ...peer, heard: [], graves: [], accounts: [], fences };
    yield [`${everybody[p]} crashes`, changed(state, p, woken)];
  }

  // --- what must hold

  function fault(state: State): string | undefined {
    const gone = removedBy(union(...state.peers.map(({ buried }) => buried)));
    const holders = state.peers.flatMap(({ usable }, p) => {
      const peer = everybody[p] as PeerId;
      return gone.has(peer) ? [] : [[peer, usable] as const];
    });
    return checkHolders(new Map(holders))[0]?.message;
  }

  const genesis = entries.number({ ...genesisChange(range, creator), donorSignature: NO_SIGNATURE });
  const owner = (limits.owner ?? creator) as PeerId;
  const [block] = ownBlocks(build({ ...EMPTY, published: [genesis] }, new Set()), creator, []);
  const gift = { ...planDonation(block as Block, range, creator, owner), donorSignature: NO_SIGNATURE };
  const given = entries.number({ ...gift, witness: HEIRS[creator] as PeerId });
  const history = owner === creator ? [genesis] : [genesis, given];
  // Whoever has joined has the history on disk.
  const start = (peer: PeerId): Disk => ({
    ...EMPTY,
    published: history,
    promises: peer === HEIRS[creator] && owner !== creator ? [given] : [],
    held: peer === owner ? history.slice(-1) : [],
  });
  const initial: State = { peers: everybody.map((peer, p) => interned(start(peer), p)), signed: [] };
  const key = ({ peers: all, signed }: State) => `${all.map(({ id }) => id)} ${signed}`;
  return { initial, key, steps, fault };
}

function nameOf(disk: Disk, p: number): string {
  const { heard, graves, accounts, published, intents, promises, held, buried, fences, closed } = disk;
  return `${p};${heard};${graves};${accounts};${published};${intents};${promises};${held};${buried};${fences.join('|')};${closed}`;
}

const NO_SIGNATURE = new Uint8Array(64);
