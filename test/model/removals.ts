import { type Block, isSettled, judgeWitness, ownBlocks, planDonation } from '../../src/core/donation.ts';
import type { PeerId } from '../../src/core/ids.ts';
import { overlaps } from '../../src/core/ranges.ts';
import type { RingSource, Segment } from '../../src/core/ring.ts';
import { checkHolders } from '../../src/core/ring-check.ts';
import {
  changeText,
  compareAge,
  genesisChange,
  isTakeover,
  type RingEntry,
} from '../../src/core/ring-entry.ts';
import { isLater, mayAct, successorOf } from '../../src/core/succession.ts';
import {
  accountOf,
  collect,
  isComplete,
  mayTake,
  NEEDS_PROMISES,
  type Promised,
  planTakeovers,
} from '../../src/core/takeover.ts';
import { createBeliefs, type Disk, EMPTY, nameOf } from './beliefs.ts';
import type { System } from './explore.ts';
import { createLineages, type Known } from './lineages.ts';
import type { Limits, Rules } from './rules.ts';
import { type Numbers, sorted, union, unionless } from './tables.ts';

/**
 * Donations and removals among a few peers as a system of states. What a peer decides, the functions of core decide; the model only keeps
 * disks and messages, as mesh/space/ does. The network keeps every message for ever and delivers it at any time to anybody, also those
 * of removed peers: that includes loss, delay, reordering, repetition and partitions. Removed peers go on until they hear of it. A crash
 * leaves a peer its disk: what it wrote itself, and the entries that it holds space by, with those before them. Who loses its disk comes back as another peer.
 * Newcomers join through the last member of a mesh only, as its heirs.
 */
interface Peer extends Disk {
  readonly id: number;
  readonly known: Known;
  readonly sources: readonly RingSource[];
  readonly ring: readonly Segment[];
  readonly usable: readonly Block[];
}

export interface State {
  readonly peers: readonly Peer[];
  /** Donations that some witness has signed: the answers on their way. */
  readonly signed: Numbers;
}

export function removals(rules: Rules, limits: Limits): System<State> {
  const lineages = createLineages(rules, limits);
  const { everybody, graves, names } = lineages;
  const beliefs = createBeliefs(rules, limits, lineages);
  const { entries, accounts, knownBy, takerIn, closingAt, closingOf, promiseOf, weigh, sourcesOf, build } =
    beliefs;
  const indexOf = (peer: PeerId) => everybody.indexOf(peer);
  const range = { start: 0, last: limits.addresses - 1 };
  const parts =
    limits.addresses === 1 ? [range] : [{ start: 0, last: 0 }, { start: 1, last: range.last }, range];
  const creator = everybody[0] as PeerId;

  const peers = new Map<string, Peer>();

  function interned(disk: Disk, p: number): Peer {
    const { published, intents } = disk;
    const key = nameOf(disk, p);
    const found = peers.get(key);
    if (found !== undefined) return found;
    const known = knownBy(disk);
    const ring = build(disk, known);
    const self = everybody[p] as PeerId;
    const sources = sourcesOf(disk, known);
    // A peer's own word binds it, also while its witness is not known (again) to stand in for the heir.
    const unjudged = entries
      .all(published)
      .filter((entry) => entry.donor === self && !sources.some((one) => one.entry === entry));
    const usable = ownBlocks(ring, self, [...entries.all(intents), ...unjudged]);
    const peer = { ...disk, id: peers.size, known, sources, ring, usable };
    peers.set(key, peer);
    return peer;
  }

  /** The disk after something that may have changed what is known: promises that are due, intents that came true, held entries. */
  function settled(disk: Disk, p: number): Disk {
    const self = everybody[p] as PeerId;
    const known = knownBy(disk);
    const { removed, lineage } = known;
    let next = disk;
    for (const peer of removed) {
      const taker = takerIn(known, peer, self);
      if (taker === undefined || taker.depth < NEEDS_PROMISES || !known.members.includes(self)) continue;
      const before = promiseOf(next, peer);
      if (before !== undefined && !(rules.promisesAreRenewed && isLater(taker.depth, before.depth))) continue;
      next = { ...next, published: union(next.published, witnessedBy(next, p, peer)) };
      const counting = sourcesOf(next, known).filter(
        (source) => source.entry.donor === peer && weigh(next, known, source) !== undefined,
      );
      const promised = sorted(counting.map(({ entry }) => entries.number(entry)));
      const depth = rules.promisesAreRenewed ? taker.depth : NEEDS_PROMISES;
      const letIn = next.named.filter((name) => names.get(name).ward === undefined);
      const fence = [indexOf(peer), depth, promised, letIn] as const;
      const others = next.fences.filter(([about]) => about !== indexOf(peer));
      next = { ...next, fences: [...others, fence].sort(([a], [b]) => a - b) };
    }
    const ring = build(next, known);
    const intents = next.intents.filter((number) => {
      const entry = entries.get(number);
      // Another has become the heir meanwhile, so nobody will ever count it.
      if (entry.witness !== undefined && successorOf(self, lineage) !== undefined)
        if (!mayAct(self, entry.witness, lineage)) return false;
      const published = entries.all(next.published).some((other) => changeText(other) === changeText(entry));
      return !(published && isSettled(ring, entry));
    });
    const owned = ring.flatMap(({ entry }) => (entry?.owner === self ? [entry] : []));
    const held = sorted(owned.map((entry) => entries.number(entry)));
    const vouched = owned.filter(({ witness }) => witness === self).map((entry) => entries.number(entry));
    return { ...next, ...historyOf(next, owned), intents, held, promises: union(next.promises, vouched) };
  }

  function historyOf({ heard, accounts: known }: Disk, owned: readonly RingEntry[]) {
    if (!rules.historyIsKept) return {};
    const before = (entry: RingEntry) =>
      owned.some((own) => overlaps(own, entry) && compareAge(entry, own) <= 0);
    const kept = heard.filter((number) => before(entries.get(number)));
    const takeovers = entries.all(kept).filter(isTakeover);
    const keptAccounts = known.filter((number) => {
      const { by, peer } = accounts.get(number);
      return takeovers.some(({ owner, donor }) => owner === by && donor === peer);
    });
    return { kept, keptAccounts };
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
      if (peer.known.removed.has(self) || !isIn(peer, self)) continue;
      yield* name(state, peer, p);
      yield* donate(state, peer, p);
      yield* witness(state, peer, p);
      yield* publish(state, peer, p);
      yield* bury(state, peer, p);
      yield* handOver(state, peer, p);
      yield* takeOver(state, peer, p);
      yield* hear(state, peer, p);
    }
  }

  const isIn = ({ joined }: Disk, self: PeerId) => joined.length > 0 || !lineages.isNewcomer(self);

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
          if (to === self || !peer.known.members.includes(to) || limits.receivers?.includes(to) === false)
            continue;
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

  /** The intent; then, in one write, the donation to the new heir and its name. It has stored what it was given before. */
  function* name(state: State, peer: Peer, p: number): Generator<readonly [string, State]> {
    const self = everybody[p] as PeerId;
    if (successorOf(self, peer.known.lineage) !== undefined) return;
    if (rules.onlyLastNames && peer.known.members.join() !== self) return;
    for (const number of peer.intents) {
      const entry = entries.get(number);
      if (entry.witness === undefined || !mayName(state, peer, entry.owner)) continue;
      const nth = peer.known.lineage.namedBy(self).length + 1;
      const joined = names.number({ by: self, heir: entry.owner, nth });
      const published = union(peer.published, [number]);
      const next = changed(state, p, { ...peer, published, named: union(peer.named, [joined]) });
      const q = indexOf(entry.owner);
      const arrival = { ...(state.peers[q] as Peer), joined: [joined], held: [number] };
      const told = {
        heard: union(peer.heard, published),
        graves: union(peer.graves, peer.buried),
        names: union(peer.names, peer.named),
        accounts: union(peer.accounts, peer.closed),
      };
      yield [`${self} names ${entry.owner}`, changed(next, q, { ...arrival, ...told })];
    }
    if (changesBegun(state) >= limits.donations || limits.donors?.includes(self) === false) return;
    for (const block of givable(peer, self)) {
      for (const part of parts.filter(({ start, last }) => block.start <= start && last <= block.last)) {
        for (const to of everybody.filter((one) => one !== self && mayName(state, peer, one))) {
          const change = planDonation(block, part, self, to);
          const number = entries.number({ ...change, donorSignature: NO_SIGNATURE, witness: to });
          const intents = union(peer.intents, [number]);
          yield [
            `${self} intends ${changeText(change)} to its heir`,
            changed(state, p, { ...peer, intents }),
          ];
        }
      }
    }
  }

  const mayName = (state: State, peer: Peer, to: PeerId): boolean =>
    lineages.isNewcomer(to)
      ? !isIn(state.peers[indexOf(to)] as Peer, to)
      : !rules.onlyLastNames && peer.known.members.includes(to);

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
    const { lineage, removed } = peer.known;
    for (const number of new Set(state.peers.flatMap(({ intents }) => intents))) {
      const intent = entries.get(number);
      const { donor, owner } = intent;
      if (intent.witness !== undefined) continue;
      const fenced = removed.has(donor) || promiseOf(peer, donor) !== undefined;
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
    const { lineage } = peer.known;
    for (const number of peer.intents) {
      const intent = entries.get(number);
      if (intent.witness !== undefined) continue;
      if (entries.all(peer.published).some((entry) => changeText(entry) === changeText(intent))) continue;
      const heir = successorOf(self, lineage)?.peer;
      const own = { ...intent, witness: intent.owner };
      const words = entries.all(state.signed).filter((word) => changeText(word) === changeText(intent));
      const usable = words.filter((word) => mayAct(self, word.witness as PeerId, lineage));
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
      if (
        target === self ||
        !peer.known.members.includes(target) ||
        limits.victims?.includes(target) === false
      )
        continue;
      if (done.size >= limits.removals && !done.has(target)) continue;
      const mine = successorOf(target, peer.known.lineage)?.peer === self;
      if (rules.onlyHeirRemoves && !mine) continue;
      const shows = peer.known.relyingOn(target);
      const buried = union(peer.buried, [graves.number({ by: self, peer: target, shows })]);
      yield [`${self} removes ${target}`, changed(state, p, { ...peer, buried })];
    }
  }

  /** In one write: from then on it is not the heir any more. */
  function* handOver(state: State, peer: Peer, p: number): Generator<readonly [string, State]> {
    const self = everybody[p] as PeerId;
    const { lineage, members } = peer.known;
    const done = lineages.handovers(union(...state.peers.map(({ named }) => named)));
    if (done.length >= (limits.handovers ?? 0)) return;
    for (const ward of rules.onlyHeirHandsOver ? members : everybody) {
      if (ward === self || limits.wards?.includes(ward) === false) continue;
      const holder = lineage.handedFor(ward).at(-1) ?? lineage.heirOf(ward);
      if (holder !== self || lineages.handovers(peer.named).some((one) => one.ward === ward)) continue;
      if (rules.onlyHeirHandsOver && promiseOf(peer, ward) !== undefined) continue;
      for (const to of members) {
        if (to === self || to === ward || limits.heirs?.includes(to) === false) continue;
        const number = names.number({ by: self, heir: to, nth: 0, ward });
        const named = union(peer.named, [number]);
        yield [`${self} hands ${ward} to ${to}`, changed(state, p, { ...peer, named })];
      }
    }
  }

  function* takeOver(state: State, peer: Peer, p: number): Generator<readonly [string, State]> {
    const self = everybody[p] as PeerId;
    for (const gone of peer.known.removed) {
      const taker = takerIn(peer.known, gone, self);
      if (taker?.peer !== self) continue;
      const account = closingAt(peer, gone, self, taker.depth);
      if (taker.depth >= NEEDS_PROMISES && account === undefined) {
        if (!mayClose(state, peer, gone, taker.depth)) continue;
        const standing = sorted([...settle(state, peer, gone)].map(Number));
        const closed = accounts.number({ by: self, peer: gone, depth: taker.depth, standing });
        yield [
          `${self} closes ${gone}`,
          changed(state, p, { ...peer, closed: union(peer.closed, [closed]) }),
        ];
        continue;
      }
      if (rules.takerHearsAll && !mayTake(account, new Set(heardOf(peer, gone).map(String)))) continue;
      const published = union(peer.published, witnessedBy(peer, p, gone));
      const ring = build({ ...peer, published }, peer.known);
      const changes = planTakeovers(ring, self, (owner) => (owner === gone ? taker.depth : undefined));
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
    const heard = peer.sources
      .filter(({ entry }) => entry.donor === gone)
      .map(({ entry, depths }) => ({ entry, tag: String(entries.number(entry)), depths }));
    const earlier = closingOf(peer, peer.known, gone);
    return accountOf(heard, promisesAbout(state, peer, gone).values(), earlier);
  }

  function promisesAbout(state: State, peer: Peer, gone: PeerId): ReadonlyMap<PeerId, Promised> {
    const promises = new Map<PeerId, Promised>();
    for (const other of everybody.filter((one) => !peer.known.removed.has(one))) {
      const promised = promiseOf(state.peers[indexOf(other)] as Peer, gone);
      if (promised !== undefined) promises.set(other, promised);
    }
    return promises;
  }

  function mayClose(state: State, peer: Peer, gone: PeerId, depth: number): boolean {
    if (!rules.everybodyPromises) return true;
    const admitted = peer.known.members;
    const promises = promisesAbout(state, peer, gone);
    const seen = new Set(heardOf(peer, gone).map(String));
    const found = collect({
      depth: rules.promisesAreRenewed ? depth : NEEDS_PROMISES,
      admitted,
      promises,
      seen,
      peers: new Set(heardNames(peer).map(String)),
    });
    return isComplete(rules.takerHearsAll ? found : { ...found, unheard: 0 });
  }

  const heardNames = (disk: Disk): Numbers => union(disk.names, disk.named, disk.joined);

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
    for (const number of union(...state.peers.map(({ named }) => named))) {
      if (heardNames(peer).includes(number)) continue;
      const { by, heir, ward } = names.get(number);
      const after = { ...peer, names: union(peer.names, [number]) };
      const what = ward === undefined ? 'named' : `handed ${ward} to`;
      yield [`${self} hears that ${by} ${what} ${heir}`, changed(state, p, after)];
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
    const forgets = [peer.heard, peer.graves, peer.accounts, peer.names].some((list) => list.length > 0);
    if (!forgets && rules.promisesAreKept) return;
    const fences = rules.promisesAreKept ? peer.fences : [];
    const { kept, keptAccounts } = peer;
    const woken = { ...peer, heard: kept, graves: [], accounts: keptAccounts, names: [], fences };
    yield [`${everybody[p]} crashes`, changed(state, p, woken)];
  }

  // --- what must hold

  function fault(state: State): string | undefined {
    const all = lineages.known(
      union(...state.peers.map(({ buried }) => buried)),
      union(...state.peers.map(({ named }) => named)),
    );
    const holders = state.peers.flatMap(({ usable }, p) => {
      const peer = everybody[p] as PeerId;
      return all.members.includes(peer) ? [[peer, usable] as const] : [];
    });
    return checkHolders(new Map(holders))[0]?.message;
  }

  const genesis = entries.number({ ...genesisChange(range, creator), donorSignature: NO_SIGNATURE });
  const owner = (limits.owner ?? creator) as PeerId;
  const [block] = ownBlocks(build({ ...EMPTY, published: [genesis] }, lineages.known([], [])), creator, []);
  const gift = { ...planDonation(block as Block, range, creator, owner), donorSignature: NO_SIGNATURE };
  const given = entries.number({ ...gift, witness: lineages.heirOf(creator) });
  const history = owner === creator ? [genesis] : [genesis, given];
  // Whoever has joined has the history on disk.
  const start = (peer: PeerId): Disk => ({
    ...EMPTY,
    ...(lineages.isNewcomer(peer) ? {} : { published: history }),
    promises: peer === lineages.heirOf(creator) && owner !== creator ? [given] : [],
    held: peer === owner ? history.slice(-1) : [],
  });
  const initial: State = { peers: everybody.map((peer, p) => interned(start(peer), p)), signed: [] };
  const key = ({ peers: all, signed }: State) => `${all.map(({ id }) => id)} ${signed}`;
  return { initial, key, steps, fault };
}

const NO_SIGNATURE = new Uint8Array(64);
