import type { Range } from '../core/address.ts';
import type { Crypto } from '../core/crypto.ts';
import type { PeerId } from '../core/ids.ts';
import type { Declaration, Verdict } from '../core/path.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { FastPathPeer, FastPathPeerState, FastPathPlan, FastPathState, Host } from '../ports/host.ts';
import type { Log } from '../ports/log.ts';
import type { OpenProbes } from '../ports/probes.ts';
import type { Random } from '../ports/random.ts';
import type { Forwarding } from './forwarding.ts';
import type { Liveness } from './liveness.ts';
import type { OpenMembership } from './membership.ts';
import { createPathApplier } from './paths/applier.ts';
import { deriveEnd, type End, familiesOf, rangesOf } from './paths/ends.ts';
import { createJudges } from './paths/judges.ts';
import { createProber } from './paths/prober.ts';
import { type PathReport, reportOf } from './paths/report.ts';
import { withoutRivals } from './paths/rivals.ts';
import { KEY, type Records } from './records.ts';
import type { Space } from './space.ts';
import type { Trust } from './trust.ts';

/**
 * Which way packets go to each peer. Both ends declare whom they trust in their own records; where they agree, the kernel's path is
 * opened on both, probed, and used while probes come back. Everything else is encrypted.
 *
 * Order when trust comes: open → probes come back → route. When it goes: told to all, and the route goes at once, while what the peer
 * still sends is let in for DRAIN; so no packet meets a closed door. What arrives encrypted is taken at any time.
 */
export interface Paths {
  /** Every other member that has something to tell; others are encrypted because nobody trusts the link. */
  report(peer: PeerId): PathReport;
  /** Reads the kernel's counters; `report` shows them from then on. */
  refresh(): Promise<void>;
  /** Looks again at what this host trusts. On disk and told to the others when it resolves. */
  retrust(): Promise<void>;
  /** Adopts what an earlier life left in the kernel. */
  start(): Promise<void>;
  /** Leaves the kernel as it is. */
  close(): Promise<void>;
}

export interface PathsParts {
  readonly self: PeerId;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly host: Pick<Host, 'setFastPath' | 'fastPath' | 'fastPathSent'>;
  readonly openProbes: OpenProbes;
  readonly membership: Pick<OpenMembership, 'mesh' | 'members' | 'isMember' | 'watch' | 'epochs' | 'genesis'>;
  readonly records: Pick<Records, 'put' | 'get' | 'watch'>;
  readonly forwarding: Pick<Forwarding, 'endpointOf' | 'seenAt'>;
  readonly liveness: Pick<Liveness, 'topology'>;
  readonly space: Pick<Space, 'ring' | 'watch'>;
  readonly trust: Trust;
  readonly settings: PathsSettings;
}

export interface PathsSettings {
  readonly vni: number;
  readonly port: number;
  /** Bytes of the largest inner packet that containers send. */
  readonly mtu: number;
  /** `host:port` that others are told. */
  readonly ours: () => readonly string[];
}

/** How long what a peer sends is still let in when trust has gone, ms: gossip takes a fraction of it. */
export const DRAIN = 5_000;
/** Endpoints move without a word. */
const LOOK_EVERY = 1_000;
/** What an earlier life left stays for so long while its peers are not known yet. */
const ADOPTION = 10_000;

interface Peer {
  readonly mac: string;
  readonly linkLocal: string;
  verdict: Verdict;
  /** Where packets of the peer are let in from. */
  underlay: string | undefined;
  /** Set while trust has gone: when the door closes. */
  drainedAt: number | undefined;
}

const isDraining = ({ drainedAt }: Peer) => drainedAt !== undefined;

export function createPaths(parts: PathsParts): Paths {
  const { self, crypto, clock, log, host, membership, records, liveness, space, trust, settings } = parts;
  const plain = membership.genesis.plain;
  const peers = new Map<PeerId, Peer>();
  const ends = new Map<PeerId, End>();
  let obstacle: string | null = null;
  let told: string | undefined;
  let timer: Timer | undefined;
  let adopted: FastPathState | null = null;
  let adoptUntil = Number.NEGATIVE_INFINITY;
  let traffic = new Map<string, FastPathPeerState>();
  /** What an earlier life left has been read: nobody is judged before, for a path that works would be probed from nothing. */
  let started = false;
  let closed = false;

  const endOf = (peer: PeerId): End => {
    const known = ends.get(peer) ?? deriveEnd(crypto, peer);
    ends.set(peer, known);
    return known;
  };
  const judges = createJudges(parts);
  const wanted = () => plain || trust.list().length > 0;

  const prober = createProber({
    ...parts,
    ends: endOf,
    isOpen: (peer) => peers.get(peer)?.verdict.trusted === true,
    isReached: (peer) => liveness.topology.hops(peer) !== undefined,
    full: settings.mtu,
    onChange: () => applier.soon(),
  });
  const applier = createPathApplier({
    clock,
    log,
    host,
    plan,
    onResult(result) {
      const problem = 'problem' in result ? result.problem : null;
      if ('open' in result && result.open) prober.open(familiesOf([...peers.values()]));
      else if ('open' in result) prober.shut();
      if (problem === obstacle) return;
      obstacle = problem;
      tellSoon();
      look();
    },
  });

  function declaration(): Declaration {
    const subnets = trust.list().map(({ subnet }) => subnet);
    const problem = obstacle ?? prober.obstacle();
    if (!wanted() || problem !== null)
      return { subnets, vxlan: null, obstacle: problem?.slice(0, 200) ?? null };
    return { subnets, vxlan: { vni: settings.vni, port: settings.port }, obstacle: null };
  }

  async function tell(): Promise<void> {
    const own = declaration();
    const text = JSON.stringify(own);
    if (text === told) return;
    told = text;
    await records.put(KEY.trust, own);
  }

  function tellSoon(): void {
    tell().catch((error: unknown) => log.error('cannot tell others about paths', { error: String(error) }));
  }

  /** Does what has become due, and what the verdicts on the members say. */
  function look(): void {
    if (!started || closed) return;
    let changed = false;
    for (const peer of [...peers.keys()]) {
      if (membership.isMember(peer)) continue;
      peers.delete(peer);
      prober.forget(peer);
      changed = true;
    }
    const { judged, isNews } = judges.verdicts(declaration());
    if (!isNews && !changed && ![...peers.values()].some(isDraining)) return;
    for (const { peer, verdict } of withoutRivals(judged)) if (settle(peer, verdict)) changed = true;
    if (changed) applier.soon();
  }

  /** True when what the kernel holds has to change. */
  function settle(peer: PeerId, verdict: Verdict): boolean {
    const known: Peer = peers.get(peer) ?? {
      ...endOf(peer),
      verdict: { trusted: false, code: 'not-heard', reason: '' },
      underlay: undefined,
      drainedAt: undefined,
    };
    peers.set(peer, known);
    const before = known.verdict;
    known.verdict = verdict;
    if (verdict.trusted) {
      const underlay = verdict.address;
      const isNew = known.underlay !== underlay || !before.trusted;
      known.underlay = underlay;
      known.drainedAt = undefined;
      if (isNew) prober.begin(peer, underlay, adoptedMtu(known.mac, underlay));
      return isNew;
    }
    if (before.trusted) {
      log.info('the link to a peer is not trusted any more', { peer, reason: verdict.reason });
      prober.forget(peer);
      known.drainedAt = clock.now() + DRAIN;
      return true;
    }
    if (known.drainedAt === undefined || clock.now() < known.drainedAt) return false;
    known.drainedAt = undefined;
    known.underlay = undefined;
    return true;
  }

  function adoptedMtu(mac: string, underlay: string): number | undefined {
    if (clock.now() >= adoptUntil) return undefined;
    return adopted?.peers.find((one) => one.mac === mac && one.underlay === underlay)?.mtu ?? undefined;
  }

  /** Undefined: leave the kernel as it is, for what is there may be right and is not known yet. */
  function plan(): FastPathPlan | null | undefined {
    const ranges = rangesOf(space.ring());
    if (clock.now() < adoptUntil && !isKnown(ranges)) return undefined;
    const held = [...peers.values()].flatMap(({ verdict }) => (verdict.trusted ? [verdict.address] : []));
    const open = [...peers].flatMap(([peer, { mac, linkLocal, underlay, verdict }]): FastPathPeer[] => {
      if (underlay === undefined) return [];
      // No door closes late that is another's now.
      if (!verdict.trusted && held.includes(underlay)) return [];
      const mtu = verdict.trusted ? prober.usable(peer) : undefined;
      return [{ underlay, mac, linkLocal, ranges: ranges.get(peer) ?? [], mtu: mtu ?? null }];
    });
    if (!wanted() && open.length === 0) return null;
    const { mac, linkLocal } = endOf(self);
    const { vni, port } = settings;
    return { vni, port, mac, linkLocal, own: ranges.get(self) ?? [], peers: open };
  }

  /** Whether every peer that the last life left open has been judged with all that it takes. */
  function isKnown(ranges: ReadonlyMap<PeerId, readonly Range[]>): boolean {
    return (adopted?.peers ?? []).every(({ mac }) => {
      const [peer, known] = [...peers].find(([, one]) => one.mac === mac) ?? [];
      if (peer === undefined || known === undefined) return false;
      if (known.verdict.trusted) return ranges.has(peer);
      return known.verdict.code !== 'not-heard' && known.verdict.code !== 'no-address';
    });
  }

  async function refresh(): Promise<void> {
    const state = await host.fastPath();
    applier.found(state);
    traffic = new Map((state?.peers ?? []).map((one) => [one.mac, one]));
  }

  function every(): void {
    timer = clock.setTimer(LOOK_EVERY, every);
    tellSoon();
    look();
    if (clock.now() < adoptUntil) applier.soon();
  }

  const stops = [
    records.watch(KEY.trust, look),
    membership.watch(look),
    space.watch(() => {
      if (peers.size > 0) applier.soon();
    }),
  ];

  return {
    refresh,
    report(peer) {
      const known = peers.get(peer);
      const { mac } = endOf(peer);
      return reportOf({
        verdict: known?.verdict,
        probe: known?.verdict.trusted === true ? prober.status(peer) : undefined,
        routed: applier.routed(mac),
        full: settings.mtu,
        underlay: known?.underlay ?? null,
        traffic: (known === undefined ? undefined : traffic.get(mac)) ?? null,
      });
    },
    async retrust() {
      await tell();
      look();
      applier.soon();
    },
    async start() {
      adopted = await host.fastPath();
      applier.found(adopted);
      if (adopted !== null) {
        adoptUntil = clock.now() + ADOPTION;
        prober.open(familiesOf(adopted.peers));
      }
      started = true;
      await tell();
      look();
      applier.soon();
      every();
    },
    async close() {
      closed = true;
      timer?.cancel();
      for (const stop of stops) stop();
      prober.close();
      await applier.close();
    },
  };
}
