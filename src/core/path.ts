import { type Cidr, formatIp, type IpAddress, type Range } from './address.ts';
import { isInBlock, parseBlock } from './blocks.ts';

/**
 * Which way packets may go to a peer, from what both ends declare. `vxlan` is the kernel's own path and carries packets in clear, so it
 * takes two to agree; everything else is encrypted. Whether the way also works is for path-probe.ts.
 */
export type PathKind = 'encrypted' | 'vxlan';

/** What a peer tells all others. */
export interface Declaration {
  /** Blocks of either family whose addresses it trusts, as text: hosts there may read what it sends. */
  readonly subnets: readonly string[];
  /** Its VXLAN device; null when it has none, for the reason in `obstacle`. */
  readonly vxlan: { readonly vni: number; readonly port: number } | null;
  readonly obstacle: string | null;
}

export interface PathFacts {
  /** The mesh was made without encryption: every host trusts every address. */
  readonly plain: boolean;
  readonly here: Declaration;
  /** Undefined: not heard yet, or of a release without fast path. */
  readonly there: Declaration | undefined;
  /** Addresses of the peer on the underlay, the one where it is seen first. */
  readonly theirs: readonly IpAddress[];
  /** Addresses of this host that the peer may see. */
  readonly ours: readonly IpAddress[];
  /** What to call the peer in a reason. */
  readonly name: string;
}

export type Verdict =
  /** `address`: where the peer's device is, as text. */
  | { readonly trusted: true; readonly address: string }
  | { readonly trusted: false; readonly code: Refusal; readonly reason: string };

export type Refusal =
  | 'not-trusted'
  | 'not-trusted-here'
  | 'not-trusted-there'
  | 'not-heard'
  | 'no-address'
  | 'other-family'
  | 'shared-address'
  | 'no-device-here'
  | 'no-device-there'
  | 'other-vxlan';

/**
 * The reason is for people: who does not trust whom, or what is in the way. Where both families would do it is IPv4, whose headers take 20
 * bytes less of each packet. Both ends come to the same family, for they look at the same: what each announces and trusts.
 */
export function judge(facts: PathFacts): Verdict {
  const { here, there, theirs, ours, name } = facts;
  const [first] = theirs;
  if (first === undefined) return refuse('no-address', `no address of ${name} is known`);
  const trusted = theirs.filter((one) => trusts(facts.plain, here, one));
  const believed = ours.filter((one) => there !== undefined && trusts(facts.plain, there, one));
  const [best] = trusted;
  if (there === undefined && best !== undefined) {
    return refuse('not-heard', `${name} has not said whom it trusts`);
  }
  if (best === undefined && believed.length === 0) {
    return refuse('not-trusted', 'the link is not declared trusted');
  }
  if (best === undefined || there === undefined) {
    const reason = `${name} trusts this link, this host does not trust ${formatIp(first)}`;
    return refuse('not-trusted-here', reason);
  }
  if (believed.length === 0) {
    const where = ours.map(formatIp).join(', ') || 'this host';
    return refuse('not-trusted-there', `this host trusts the link, ${name} does not trust ${where}`);
  }
  const meets = (address: IpAddress) => believed.some(({ family }) => family === address.family);
  const [address] = trusted.filter(meets).sort((a, b) => a.family - b.family);
  if (address === undefined) {
    const [us, them] = [nameOf(believed[0]?.family), nameOf(best.family)];
    const reason = `this host trusts ${name} by ${them}, ${name} trusts this host by ${us}: both must trust the same`;
    return refuse('other-family', reason);
  }
  return judgeDevices(facts.here, there, name) ?? { trusted: true, address: formatIp(address) };
}

const nameOf = (family: 4 | 6 | undefined) => `IPv${family}`;

function refuse(code: Refusal, reason: string): Verdict {
  return { trusted: false, code, reason };
}

function judgeDevices(here: Declaration, there: Declaration, name: string): Verdict | undefined {
  if (here.vxlan === null) return refuse('no-device-here', here.obstacle ?? 'there is no VXLAN device here');
  if (there.vxlan === null) {
    return refuse('no-device-there', `on ${name}: ${there.obstacle ?? 'there is no VXLAN device'}`);
  }
  const text = ({ vni, port }: { vni: number; port: number }) => `VNI ${vni} on UDP port ${port}`;
  if (text(here.vxlan) === text(there.vxlan)) return undefined;
  return refuse('other-vxlan', `${name} uses ${text(there.vxlan)}, this host ${text(here.vxlan)}`);
}

function trusts(plain: boolean, { subnets }: Declaration, address: IpAddress): boolean {
  return plain || subnets.some((text) => contains(text, address));
}

function contains(text: string, address: IpAddress): boolean {
  const parsed = parseBlock(text);
  return parsed.ok && isInBlock(parsed.value, address);
}

/** As many blocks as anybody may declare. */
export const MAX_SUBNETS = 64;
const MAX_OBSTACLE = 200;
const MAX_VNI = 0xff_ffff;

/** Reads what a peer wrote in any way; undefined when it is no declaration. */
export function readDeclaration(value: unknown): Declaration | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { subnets, vxlan, obstacle } = value as Partial<Declaration>;
  if (!Array.isArray(subnets) || subnets.length > MAX_SUBNETS) return undefined;
  if (!subnets.every((text) => typeof text === 'string' && parseBlock(text).ok)) return undefined;
  if (obstacle !== null && !(typeof obstacle === 'string' && obstacle.length <= MAX_OBSTACLE))
    return undefined;
  if (vxlan === null) return { subnets, vxlan, obstacle };
  if (typeof vxlan !== 'object') return undefined;
  const { vni, port } = vxlan;
  if (!isWhole(vni, MAX_VNI) || !isWhole(port, 0xffff)) return undefined;
  return { subnets, vxlan: { vni, port }, obstacle };
}

function isWhole(value: unknown, most: number): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most;
}

/** Blocks that cover the range exactly, in order. None equals one of `taken`: those are cut in two. */
export function blocksOf(start: number, last: number, taken: readonly Cidr[] = []): readonly Cidr[] {
  const blocks: Cidr[] = [];
  for (let at = start; at <= last; ) {
    let prefix = 32;
    const sizeOf = (length: number) => 2 ** (32 - length);
    const fits = (length: number) => at % sizeOf(length) === 0 && at + sizeOf(length) - 1 <= last;
    while (prefix > 0 && fits(prefix - 1)) prefix--;
    const isTaken = (length: number) => taken.some((one) => one.start === at && one.prefix === length);
    while (prefix < 32 && isTaken(prefix)) prefix++;
    blocks.push({ address: at, start: at, last: at + sizeOf(prefix) - 1, prefix });
    at += sizeOf(prefix);
  }
  return blocks;
}

/** The pieces of a block that lie between `edges`, which are sorted: no piece has one behind its first address. */
function cutAt(
  start: number,
  last: number,
  edges: readonly number[],
): readonly (readonly [number, number])[] {
  const inside = [start, ...edges.filter((edge) => edge > start && edge <= last)];
  return inside.map((from, index) => [from, (inside[index + 1] ?? last + 1) - 1]);
}

/** Where one of these networks begins, or ends before, in ascending order: the edges of `piecesOf`. */
export function edgesOf(networks: readonly Cidr[]): readonly number[] {
  return networks.flatMap(({ start, last }) => [start, last + 1]).sort((a, b) => a - b);
}

/** Blocks that the ranges consist of, none of them across an edge; `taken` as in `blocksOf`. */
export function piecesOf(
  ranges: readonly Range[],
  edges: readonly number[],
  taken: readonly Cidr[] = [],
): readonly Cidr[] {
  return ranges
    .flatMap(({ start, last }) => cutAt(start, last, edges))
    .flatMap(([start, last]) => blocksOf(start, last, taken));
}
