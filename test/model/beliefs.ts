import type { PeerId } from '../../src/core/ids.ts';
import { buildRing, type RingSource } from '../../src/core/ring.ts';
import { changeText, isTakeover, type RingEntry } from '../../src/core/ring-entry.ts';
import { depthOf, takerOf } from '../../src/core/succession.ts';
import { type Closing, isLater, NEEDS_PROMISES, type Promised, stands } from '../../src/core/takeover.ts';
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

  function closingOf(disk: Disk, peer: PeerId): Closing | undefined {
    const [latest] = [...closingsAbout(disk, peer)].sort((a, b) => (isLater(a.depth, b.depth) ? -1 : 1));
    return latest && { depth: latest.depth, standing: new Set(latest.standing.map(String)) };
  }

  const tagOf = (entry: RingEntry) => String(entries.number({ ...entry }));

  const promiseOf = (disk: Disk, peer: PeerId): Promised | undefined => {
    const fence = disk.fences.find(([about]) => about === everybody.indexOf(peer));
    if (fence === undefined) return undefined;
    const [, depth, known, issued] = fence;
    return { depth, known: new Set(known.map(String)), issued: new Set(issued.map(String)) };
  };

  function counts(disk: Disk, { removed, lineage }: Known, entry: RingEntry): boolean {
    const { donor, owner } = entry;
    if (!rules.lateGrantsRefused) return true;
    const closing = removed.has(donor) ? closingOf(disk, donor) : undefined;
    const depth = depthOf(donor, owner, lineage);
    return stands(entry, tagOf(entry), closing, promiseOf(disk, donor), depth);
  }

  /** As the ledger does: what may be believed with what is known of removals. */
  function sourceOf(disk: Disk, { removed, lineage }: Known, entry: RingEntry): RingSource | undefined {
    const { donor, owner, witness } = entry;
    if (isTakeover(entry)) {
      const depth = rules.onlyHeirRemoves ? depthOf(donor, owner, lineage) : 1;
      if (!removed.has(donor) || depth === undefined) return undefined;
      const settled = depth < NEEDS_PROMISES || closingsAbout(disk, donor).some(({ by }) => by === owner);
      return settled ? { entry, trusted: false, depth: rules.epochByDepth ? depth : 1 } : undefined;
    }
    const isWitness = witness !== undefined && depthOf(donor, witness, lineage) !== undefined;
    if (rules.witnessBeforeUse && owner !== donor && !isWitness) return undefined;
    return { entry, trusted: false };
  }

  function sourcesOf(disk: Disk, known: Known): readonly RingSource[] {
    const heard = entries
      .all(union(disk.heard, disk.published))
      .flatMap((entry) => sourceOf(disk, known, entry) ?? []);
    const held = entries.all(disk.held).map((entry) => ({ entry, trusted: true }));
    return [...heard, ...held];
  }

  function build(disk: Disk, known: Known) {
    const sources = sourcesOf(disk, known).filter(({ entry }) => counts(disk, known, entry));
    if (!rules.ownerOnly) return newestOf(sources, range);
    return buildRing({ range, creator }, sources).segments;
  }

  return {
    entries,
    accounts,
    knownBy,
    takerIn,
    closingsAbout,
    closingOf,
    promiseOf,
    counts,
    sourcesOf,
    build,
  };
}
