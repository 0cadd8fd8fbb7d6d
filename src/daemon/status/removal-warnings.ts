import { parseIpv4 } from '../../core/address.ts';
import type { PeerId } from '../../core/ids.ts';
import { describePeer } from '../../mesh/space/names.ts';
import { listed } from './listed.ts';
import type { Facts, Rule } from './warnings.ts';

/** An heir that is away stops the peers whose heir it is from giving addresses away; after so long it may not come back, ms. */
export const HEIR_AWAY_AFTER = 3_600_000;
const HOUR = 3_600_000;

type Mesh = NonNullable<Facts['network']>['mesh'];

const names = (mesh: Mesh, peers: readonly PeerId[]) =>
  listed(peers.map((peer) => describePeer(mesh.records, peer)));

/** What has not to do with a bad record, only with what is still on its way or was lost on it. */
const PASSING: readonly string[] = ['waiting', 'heir-unknown', 'witness-not-heir', 'not-successor', 'late'];

export const REMOVAL_RULES: readonly Rule[] = [
  ({ network }) => {
    const membership = network?.mesh.membership;
    if (membership?.isRemoved(membership.self) !== true) return undefined;
    return {
      code: 'removed',
      severity: 'error',
      text: 'This host was removed from the mesh: its containers reach nobody on other hosts',
      remedy:
        'run `weft invite` on a host of the mesh and `weft join TOKEN` here: it joins as a new host, and what is attached is attached again',
    };
  },
  ({ network }) => {
    const disputed = (network?.mesh.space.quarantine() ?? []).filter(
      ({ reason }) => !PASSING.includes(reason),
    );
    if (network === undefined || disputed.length === 0) return undefined;
    const { mesh } = network;
    const authors = [...new Set(disputed.map(({ author }) => author))];
    const [worst] = authors;
    return {
      code: 'ring-disputed',
      severity: 'error',
      text: `${disputed.length} changes of the ring are set aside, written by ${names(mesh, authors)}; everything else goes on`,
      remedy: `see \`weft status ipam\` and look at that host; \`weft remove ${(worst as string).slice(-8)} --yes\` settles it, its heir then has the addresses`,
    };
  },
  ({ network }) => {
    const lost = network === undefined ? [] : lostAddresses(network.mesh);
    if (lost.length === 0) return undefined;
    return {
      code: 'addresses-lost',
      severity: 'error',
      text: `${lost.length} addresses in use here belong to another host now: ${listed(lost)}`,
      remedy: 'detach those endpoints (`weft ps`) and attach them again: they get other addresses',
    };
  },
  ({ network }) => {
    const waits = takeovers(network, ({ taker }) => taker !== undefined);
    if (network === undefined || waits.length === 0) return undefined;
    const { mesh } = network;
    const missing = new Set(waits.flatMap((one) => [...one.missing, ...takersAway(mesh, one)]));
    return {
      code: 'takeover-waits',
      severity: 'warning',
      text: `The addresses of ${removedIn(mesh, waits)} wait until every host has agreed; missing: ${names(mesh, [...missing]) || 'nobody, their answers are on the way'}`,
      remedy: 'bring the missing hosts back, or `weft remove` those that are lost for good',
    };
  },
  ({ network }) => {
    const waits = takeovers(network, ({ taker }) => taker === undefined);
    const [first] = waits;
    if (network === undefined || first === undefined) return undefined;
    return {
      code: 'takeover-needs-root',
      severity: 'warning',
      text: `Nobody is left who may take over the addresses of ${removedIn(network.mesh, waits)}: their heirs were removed as well`,
      remedy: `take the key of \`weft root export\` on the host that made the mesh, and run \`weft recover ${first.peer.slice(-8)} --key-file FILE\` on a host that stays`,
    };
  },
  ({ network }) => {
    const outside = network === undefined ? [] : outsidersWithAddresses(network.mesh);
    const [first] = outside;
    if (network === undefined || first === undefined) return undefined;
    return {
      code: 'outsider-owns',
      severity: 'warning',
      text: `Hosts that are no members have addresses, since a host let them in that had been removed: ${names(network.mesh, outside)}`,
      remedy: `\`weft remove ${first.slice(-8)}\` gives the addresses out again; a token of \`weft invite\` lets that host in as a new one`,
    };
  },
  ({ network, now }) => {
    if (network === undefined) return undefined;
    const away = heirsAway(network.mesh, now);
    const [first] = away;
    if (first === undefined) return undefined;
    const hours = Math.floor(first.away / HOUR);
    return {
      code: 'heir-away',
      severity: 'warning',
      text: `${describePeer(network.mesh.records, first.heir)} has been away for ${hours} h; hosts whose heir it is cannot give addresses away: ${names(network.mesh, first.of)}`,
      remedy:
        'bring it back, or `weft remove` it when it is lost for good: then its own heir stands in. Before a host leaves for good: `weft handover`',
    };
  },
  ({ network }) => {
    if (network === undefined || !isWithoutWitness(network.mesh)) return undefined;
    return {
      code: 'no-witness',
      severity: 'info',
      text: 'The line of heirs of this host was removed, so nobody can witness what it gives away: other hosts get addresses from each other only',
      remedy: 'nothing, while `weft status ipam` shows that others have free addresses',
    };
  },
];

type Waits = ReturnType<Mesh['space']['inheritance']['waiting']>[number];

const takeovers = (network: Facts['network'], match: (one: Waits) => boolean): readonly Waits[] =>
  (network?.mesh.space.inheritance.waiting() ?? []).filter(match);

const removedIn = (mesh: Mesh, waits: readonly Waits[]) =>
  names(
    mesh,
    waits.map(({ peer }) => peer),
  );

/** Who would have to do it cannot, while it is away. */
function takersAway({ membership, liveness }: Mesh, { taker }: Waits): readonly PeerId[] {
  return taker === undefined || taker === membership.self || liveness.isUp(taker) ? [] : [taker];
}

/** Without what they own, nobody misses them. */
function outsidersWithAddresses({ membership, space }: Mesh): readonly PeerId[] {
  const owners = new Set(space.ring().map(({ owner }) => owner));
  return membership.outsiders().filter((peer) => owners.has(peer));
}

/** Until it is the last host, whose heir the next one becomes (core/succession.ts). */
function isWithoutWitness({ membership }: Mesh): boolean {
  const { self } = membership;
  if (membership.needsHeir()) return false;
  const had = membership.heirOf(self) !== undefined;
  return had && membership.witnessOf(self) === undefined && !membership.isRemoved(self);
}

function lostAddresses({ space, membership }: Mesh): readonly string[] {
  const ring = space.ring();
  return space.allocations().flatMap(({ address }) => {
    const parsed = parseIpv4(address);
    const at = parsed.ok ? parsed.value : -1;
    const owner = ring.find(({ start, last }) => start <= at && at <= last)?.owner;
    return owner === undefined || owner === membership.self || membership.isRemoved(membership.self)
      ? []
      : [address];
  });
}

function heirsAway({ membership, liveness }: Mesh, now: number) {
  const away = new Map<PeerId, PeerId[]>();
  for (const peer of membership.members()) {
    const heir = membership.witnessOf(peer);
    const since = heir === undefined ? undefined : liveness.downSince(heir);
    if (heir === undefined || since === undefined || now - since < HEIR_AWAY_AFTER) continue;
    away.set(heir, [...(away.get(heir) ?? []), peer]);
  }
  return [...away]
    .map(([heir, of]) => ({ heir, of, away: now - (liveness.downSince(heir) ?? now) }))
    .sort((a, b) => b.of.length - a.of.length);
}
