import type { PeerId } from '../../src/core/ids.ts';
import { buildRing, type RingSource } from '../../src/core/ring.ts';
import { changeText, isTakeover, type RingEntry } from '../../src/core/ring-entry.ts';
import { depthsOf, lineOf, mayAct, takerOf } from '../../src/core/succession.ts';
import { type Closing, NEEDS_PROMISES, type Promised, stands } from '../../src/core/takeover.ts';
import type { Known, Lineages } from './lineages.ts';
import type { Limits, Rules } from './rules.ts';
import { createTable, type Numbers, newestOf, union } from './tables.ts';

/** What a peer of the model holds, as numbers in tables. */
export interface Disk {
  /** Entries and removals that it has heard of; gone after a crash. */
  readonly heard: Numbers;
  readonly graves: Numbers;
  readonly accounts: Numbers;
  readonly names: Numbers;
  /** On disk: what it published, its intents, what it signed as a witness, what makes it an owner. */
  readonly published: Numbers;
  readonly intents: Numbers;
  readonly promises: Numbers;
  readonly held: Numbers;
  /** On disk, of what it has heard: the entries that its own space rests on, and the accounts of takeovers among them. */
  readonly kept: Numbers;
  readonly keptAccounts: Numbers;
  /** On disk: removals by it, its promises about removed peers (peer → to whom, entries, whom it let in), and the accounts that it closed. */
  readonly buried: Numbers;
  readonly fences: readonly (readonly [peer: number, depth: number, known: Numbers, issued: Numbers])[];
  readonly closed: Numbers;
  /** On disk: the heirs that it named, and, of a newcomer, how it came. */
  readonly named: Numbers;
  readonly joined: Numbers;
}

export const EMPTY: Disk = {
  heard: [],
  graves: [],
  accounts: [],
  names: [],
  published: [],
  intents: [],
  promises: [],
  held: [],
  kept: [],
  keptAccounts: [],
  buried: [],
  fences: [],
  closed: [],
  named: [],
  joined: [],
};

export function nameOf(disk: Disk, p: number): string {
  const { heard, graves, accounts, names, published, intents, promises, held, buried, fences, closed } = disk;
  return `${p};${disk.named};${disk.joined};${heard};${graves};${accounts};${names};${published};${intents};${promises};${held};${disk.kept};${disk.keptAccounts};${buried};${fences.join('|')};${closed}`;
}

/** What somebody who took over has found to stand. */
interface Account {
  readonly by: PeerId;
  readonly peer: PeerId;
  readonly depth: number;
  readonly standing: Numbers;
}

/** What a peer believes with what it knows, as mesh/space/ledger.ts and closings.ts do. */
export function createBeliefs(rules: Rules, limits: Limits, lineages: Lineages) {
  const { everybody } = lineages;
  const range = { start: 0, last: limits.addresses - 1 };
  const creator = everybody[0] as PeerId;
  const entries = createTable<RingEntry>((entry) => `${changeText(entry)} ${entry.witness ?? ''}`);
  const accounts = createTable<Account>(
    ({ by, peer, depth, standing }) => `${by} ${peer} ${depth} ${standing}`,
  );
  const knownBy = (disk: Disk): Known =>
    lineages.known(union(disk.graves, disk.buried), union(disk.names, disk.named, disk.joined));

  function takerIn({ lineage, removed }: Known, peer: PeerId, self: PeerId) {
    if (!rules.onlyHeirRemoves && removed.has(peer)) return { peer: self, depth: 1 };
    return takerOf(peer, lineage);
  }

  const closingsAbout = (disk: Disk, peer: PeerId) =>
    accounts.all(union(disk.accounts, disk.closed)).filter((account) => account.peer === peer);

  /** The closing of who stands at that place in the line. */
  function closingAt(disk: Disk, peer: PeerId, by: PeerId, depth: number): Closing | undefined {
    const found = closingsAbout(disk, peer).find((account) => account.by === by && account.depth === depth);
    return found && { depth, standing: new Set(found.standing.map(String)) };
  }

  function closingOf(disk: Disk, { lineage }: Known, peer: PeerId): Closing | undefined {
    return lineOf(peer, lineage)
      .flatMap((place) => closingAt(disk, peer, place.peer, place.depth) ?? [])
      .at(-1);
  }

  const tagOf = (entry: RingEntry) => String(entries.number({ ...entry }));

  const promiseOf = (disk: Disk, peer: PeerId): Promised | undefined => {
    const fence = disk.fences.find(([about]) => about === everybody.indexOf(peer));
    if (fence === undefined) return undefined;
    const [, depth, known, issued] = fence;
    return { depth, known: new Set(known.map(String)), issued: new Set(issued.map(String)) };
  };

  /** With the places at which a takeover counts; undefined for what is void. */
  function weigh(disk: Disk, known: Known, source: RingSource): RingSource | undefined {
    if (!rules.lateGrantsRefused) return source;
    const { entry, depths } = source;
    const closing = known.removed.has(entry.donor) ? closingOf(disk, known, entry.donor) : undefined;
    const promised = promiseOf(disk, entry.donor);
    const counts = (depth: number | undefined) => stands(entry, tagOf(entry), closing, promised, depth);
    if (depths !== undefined) {
      const left = depths.filter(counts);
      return left.length === 0 ? undefined : { ...source, depths: left };
    }
    const places = isTakeover(entry) ? depthsOf(entry.donor, entry.owner, known.lineage) : [];
    return counts(undefined) || places.some(counts) ? source : undefined;
  }

  /** As the ledger does: what may be believed with what is known of removals. */
  function sourceOf(disk: Disk, known: Known, entry: RingEntry): RingSource | undefined {
    const { donor, owner, witness } = entry;
    if (isTakeover(entry)) {
      const depths = placesOf(disk, known, entry);
      return depths.length === 0 ? undefined : { entry, trusted: false, depths };
    }
    const isWitness = witness !== undefined && mayAct(donor, witness, known.lineage);
    if (rules.witnessBeforeUse && owner !== donor && !isWitness) return undefined;
    return { entry, trusted: false };
  }

  function placesOf(disk: Disk, { removed, lineage }: Known, { donor, owner }: RingEntry): readonly number[] {
    if (!removed.has(donor)) return [];
    if (!rules.onlyHeirRemoves) return [1];
    return depthsOf(donor, owner, lineage).filter(
      (depth) => depth < NEEDS_PROMISES || closingAt(disk, donor, owner, depth) !== undefined,
    );
  }

  function sourcesOf(disk: Disk, known: Known): readonly RingSource[] {
    const heard = entries
      .all(union(disk.heard, disk.published))
      .flatMap((entry) => sourceOf(disk, known, entry) ?? []);
    const held = entries.all(disk.held).map((entry) => ({ entry, trusted: true }));
    return [...heard, ...held];
  }

  function build(disk: Disk, known: Known) {
    const sources = sourcesOf(disk, known).flatMap((source) => weigh(disk, known, source) ?? []);
    if (!rules.ownerOnly) return newestOf(sources, range);
    return buildRing({ range, creator }, sources).segments;
  }

  return {
    entries,
    accounts,
    knownBy,
    takerIn,
    closingAt,
    closingOf,
    promiseOf,
    weigh,
    sourcesOf,
    build,
  };
}
