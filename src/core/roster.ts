import type { Certificate, Chain, Tombstone } from './certificate.ts';
import { MAX_CHAIN } from './certificate.ts';
import type { PeerId } from './ids.ts';
import { type Lineage, lineOf, mayAct } from './succession.ts';

/**
 * Who belongs to the mesh, from what is known: a set of certificates and tombstones whose signatures have been checked. The result
 * depends on the set only, never on the order in which its elements came.
 *
 *  - A peer is rooted when certificates lead from it up to the root key.
 *  - Its heir is named by the certificate that it shows itself; the creator's heir by the creator; later heirs by whom they are heirs
 *    of, or by the heir before.
 *  - It is removed when a tombstone names it that the root key signed, or somebody in its line of heirs (core/succession.ts).
 *  - It is a member when it is not removed and valid certificates lead up to the root key. A removed peer's certificates are valid only
 *    while its adopter (or, that one being removed too, the adopter's) shows them in its own records.
 */
export interface Roster extends Lineage {
  /** `shownBy`: the author of the record that holds it; undefined when a peer presented it itself. */
  addCertificate(certificate: Certificate, shownBy: PeerId | undefined): void;
  addTombstone(tombstone: Tombstone): void;
  setCreatorHeir(heir: PeerId): void;
  /** `nth`, from 1 on: which of the heirs that the peer has named since. */
  addNamed(peer: PeerId, nth: number, heir: PeerId): void;
  /** `by` says that it has handed its role as the heir of `peer`: counts where it has that role, by the certificate or handed to it. */
  addHanded(peer: PeerId, by: PeerId, to: PeerId): void;
  /** Sorted. */
  members(): readonly PeerId[];
  isMember(peer: PeerId): boolean;
  /** Sorted. */
  removed(): readonly PeerId[];
  /** The tombstones that show, to somebody who knows nothing of them, that the peer was removed; none when it was not. */
  proofOf(peer: PeerId): readonly Tombstone[];
  /** Everybody who is or was a member. */
  isKnown(peer: PeerId): boolean;
  /** Let in by a host that had been removed, which it did not know: no members, though they may have been given addresses. Sorted. */
  outsiders(): readonly PeerId[];
  /** Whom the peer has let in, as known here. */
  issuedBy(peer: PeerId): readonly PeerId[];
  /** Valid certificates from a member up to the root key. */
  chainOf(peer: PeerId): Chain | undefined;
  /** Valid certificates that would not be without `peer`, and of an outsider its own: what its adopter has to show. */
  relyingOn(peer: PeerId): readonly Certificate[];
  /** Grows with every change of members, removals or heirs. */
  revision(): number;
}

/** Certificates of one issuer that count, and of one peer: what is beyond is an attack. */
export const MAX_ISSUED = 8_192;
const MAX_OF_PEER = 64;

interface Held {
  readonly certificate: Certificate;
  readonly shownBy: Set<PeerId>;
}

interface Way {
  readonly held: Held;
  readonly depth: number;
}

/** `root` is the peer id of the root key. */
export function createRoster(root: PeerId, creator: PeerId): Roster {
  const byPeer = new Map<PeerId, Held[]>();
  const byIssuer = new Map<PeerId, Held[]>();
  const tombstones = new Map<PeerId, Tombstone[]>();
  const named = new Map<PeerId, Map<number, PeerId>>();
  /** By the peer whose heir it is, then by who handed the role on. */
  const handed = new Map<PeerId, Map<PeerId, PeerId>>();
  const handedTo = new Set<PeerId>();
  const rooted = new Set<PeerId>();
  let gone: ReadonlySet<PeerId> = new Set();
  /** How each peer with valid certificates is reached, members and removed ones. */
  let ways = new Map<PeerId, Way>();
  let sorted: readonly PeerId[] | undefined;
  let creatorHeir: PeerId | undefined;
  let revision = 0;

  function heirOf(peer: PeerId): PeerId | undefined {
    if (peer === creator) return creatorHeir;
    const known = (byPeer.get(peer) ?? []).filter(({ certificate: { issuer } }) => rooted.has(issuer));
    const own = known.filter(({ shownBy }) => shownBy.has(peer));
    return (own.length > 0 ? own : known).map(({ certificate }) => certificate).sort(byIssuerAndSerial)[0]
      ?.heir;
  }

  const isRemoved = (peer: PeerId) => gone.has(peer);
  const adopterOf = (peer: PeerId) => {
    const named = (tombstones.get(peer) ?? []).filter(({ issuer }) => issuer === root);
    return named.map(({ adopter }) => adopter).sort()[0];
  };
  /** Up to the first that is not known: what comes after it has to wait. */
  function namedBy(peer: PeerId): readonly PeerId[] {
    const heirs: PeerId[] = [];
    const known = named.get(peer);
    for (let heir = known?.get(1); heir !== undefined; heir = known?.get(heirs.length + 1)) heirs.push(heir);
    return heirs;
  }
  /** Up to the first that nobody has let in, or that had the role before. */
  function handedFor(peer: PeerId): readonly PeerId[] {
    const known = handed.get(peer);
    if (known === undefined) return [];
    const had = new Set([peer, heirOf(peer)]);
    const heirs: PeerId[] = [];
    let at = known.get(heirOf(peer) as PeerId);
    for (; at !== undefined && rooted.has(at) && !had.has(at); at = known.get(at)) {
      had.add(at);
      heirs.push(at);
    }
    return heirs;
  }
  const lineage: Lineage = { heirOf, isRemoved, adopterOf, namedBy, handedFor };

  function isRightful({ issuer, peer }: Tombstone): boolean {
    return issuer === root || mayAct(peer, issuer, lineage);
  }

  /** Whose tombstones count may hang on other tombstones; heirs of each other do not thereby remove each other out of nothing. */
  function findRemoved(): void {
    gone = new Set();
    for (let before = -1; before < gone.size; ) {
      before = gone.size;
      const found = [...tombstones].filter(([, list]) => list.some(isRightful)).map(([peer]) => peer);
      gone = new Set([...gone, ...found]);
    }
  }

  /** The peers whose word stands for a removed peer's certificates. */
  function stewardsOf(peer: PeerId, found = new Set<PeerId>(), seen = new Set([peer])): Set<PeerId> {
    for (const tombstone of tombstones.get(peer) ?? []) {
      const { adopter } = tombstone;
      if (!isRightful(tombstone) || seen.has(adopter)) continue;
      seen.add(adopter);
      if (isRemoved(adopter)) stewardsOf(adopter, found, seen);
      else found.add(adopter);
    }
    return found;
  }

  /** Adopters of each other that are all removed have left nobody to stand for them: what they showed then counts as it is. */
  function whoStandsFor(issuer: PeerId): Set<PeerId> {
    const adopters = new Set([issuer]);
    const living = stewardsOf(issuer, new Set(), adopters);
    return living.size > 0 ? living : adopters;
  }

  function isValid({ certificate: { issuer }, shownBy }: Held): boolean {
    if (issuer === root || !isRemoved(issuer)) return true;
    return [...whoStandsFor(issuer)].some((steward) => steward !== issuer && shownBy.has(steward));
  }

  /** Roots the peer and all that hang on it; true when this may have changed the line of a peer with a tombstone. */
  function takeRoot(peer: PeerId): boolean {
    const open = [peer];
    let touched = false;
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      touched ||= tombstones.has(at) || handedTo.has(at);
      if (rooted.has(at)) continue;
      rooted.add(at);
      for (const { certificate } of byIssuer.get(at) ?? []) open.push(certificate.peer);
    }
    return touched;
  }

  /** Follows valid certificates from those that `open` holds, nearest to the root first. */
  function reach(open: Way[]): void {
    for (let at = 0; at < open.length; at++) {
      const way = open[at] as Way;
      const { peer } = way.held.certificate;
      if (ways.has(peer) || way.depth > MAX_CHAIN || !isValid(way.held)) continue;
      ways.set(peer, way);
      if (sorted !== undefined && !isRemoved(peer)) sorted = inserted(sorted, peer);
      for (const held of byIssuer.get(peer) ?? []) open.push({ held, depth: way.depth + 1 });
    }
  }

  function recompute(): void {
    revision++;
    findRemoved();
    sorted = undefined;
    ways = new Map();
    reach((byIssuer.get(root) ?? []).map((held) => ({ held, depth: 1 })));
  }

  function isTooMany({ peer, issuer }: Certificate): boolean {
    if (issuer === root) return false;
    return (
      (byIssuer.get(issuer)?.length ?? 0) >= MAX_ISSUED || (byPeer.get(peer)?.length ?? 0) >= MAX_OF_PEER
    );
  }

  function addCertificate(certificate: Certificate, shownBy: PeerId | undefined): void {
    const { peer, issuer } = certificate;
    let held = byPeer.get(peer)?.find((known) => isSame(known.certificate, certificate));
    if (held === undefined && isTooMany(certificate)) return;
    if (held !== undefined && (shownBy === undefined || held.shownBy.has(shownBy))) return;
    let touched = tombstones.has(peer) || tombstones.has(issuer);
    if (held === undefined) {
      held = { certificate, shownBy: new Set() };
      push(byPeer, peer, held);
      push(byIssuer, issuer, held);
      if (rooted.has(issuer) && takeRoot(peer)) touched = true;
      revision++;
    }
    if (shownBy !== undefined) held.shownBy.add(shownBy);
    if (shownBy === peer) revision++;
    if (touched) recompute();
    else extend(held);
  }

  /** What recomputing would do, where no removal is concerned: a certificate then only adds peers. */
  function extend(held: Held): void {
    const { peer, issuer } = held.certificate;
    const depth = issuer === root ? 1 : (ways.get(issuer)?.depth ?? MAX_CHAIN) + 1;
    const before = ways.get(peer)?.depth;
    if (before === undefined) reach([{ held, depth }]);
    else if (depth < before) recompute();
  }

  takeRoot(root);
  return {
    addCertificate,
    addTombstone(tombstone) {
      const known = tombstones.get(tombstone.peer) ?? [];
      if (known.some(({ issuer, adopter }) => issuer === tombstone.issuer && adopter === tombstone.adopter))
        return;
      push(tombstones, tombstone.peer, tombstone);
      recompute();
    },
    setCreatorHeir(heir) {
      if (creatorHeir === heir) return;
      creatorHeir = heir;
      recompute();
    },
    addNamed(peer, nth, heir) {
      const heirs = named.get(peer) ?? new Map<number, PeerId>();
      if (heirs.get(nth) === heir) return;
      named.set(peer, heirs.set(nth, heir));
      recompute();
    },
    addHanded(peer, by, to) {
      const known = handed.get(peer) ?? new Map<PeerId, PeerId>();
      if (known.get(by) === to) return;
      handedTo.add(to);
      handed.set(peer, known.set(by, to));
      recompute();
    },
    members() {
      sorted ??= [...ways.keys()].filter((peer) => !isRemoved(peer)).sort();
      return sorted;
    },
    isMember: (peer) => ways.has(peer) && !isRemoved(peer),
    isRemoved,
    removed: () => [...gone].sort(),
    proofOf(peer) {
      const proof = new Map<PeerId, Tombstone>();
      for (const one of [peer, ...lineOf(peer, lineage).map((successor) => successor.peer)]) {
        const tombstone = tombstones.get(one)?.find(isRightful);
        if (tombstone === undefined) break;
        proof.set(one, tombstone);
      }
      return [...proof.values()];
    },
    outsiders: () =>
      [...byPeer.keys()].filter((peer) => rooted.has(peer) && !ways.has(peer) && !gone.has(peer)).sort(),
    isKnown: (peer) => ways.has(peer) || isRemoved(peer),
    issuedBy: (peer) => (byIssuer.get(peer) ?? []).map(({ certificate }) => certificate.peer),
    heirOf,
    adopterOf,
    namedBy,
    handedFor,
    chainOf(peer) {
      const chain: Certificate[] = [];
      for (let at = peer; at !== root; ) {
        const way = ways.get(at);
        if (way === undefined) return undefined;
        chain.push(way.held.certificate);
        at = way.held.certificate.issuer;
      }
      return chain;
    },
    relyingOn(peer) {
      const own = ways.has(peer) ? [] : (byPeer.get(peer) ?? []);
      const others = [...byIssuer]
        .filter(([issuer]) => issuer === peer || (isRemoved(issuer) && whoStandsFor(issuer).has(peer)))
        .flatMap(([, held]) => held.filter((one) => ways.has(one.certificate.issuer) && isValid(one)));
      return [...own, ...others].map(({ certificate }) => certificate);
    },
    revision: () => revision,
  };
}

/** A copy, since callers hold the list: still far cheaper than to sort thousands of members for each that comes. */
function inserted(list: readonly PeerId[], peer: PeerId): readonly PeerId[] {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((list[middle] as PeerId) < peer) low = middle + 1;
    else high = middle;
  }
  return list.toSpliced(low, 0, peer);
}

function byIssuerAndSerial(a: Certificate, b: Certificate): number {
  return a.issuer < b.issuer ? -1 : a.issuer > b.issuer ? 1 : a.serial - b.serial;
}

function isSame(a: Certificate, b: Certificate): boolean {
  return a.issuer === b.issuer && a.heir === b.heir && a.serial === b.serial;
}

function push<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
