import { type Cidr, formatIpv4, parseCidr } from './address.ts';
import { includes } from './ranges.ts';

/**
 * Which way packets may go to a peer, from what both ends declare. `vxlan` is the kernel's own path and carries packets in clear, so it
 * takes two to agree; everything else is encrypted. Whether the way also works is for path-probe.ts.
 */
export type PathKind = 'encrypted' | 'vxlan';

/** What a peer tells all others. */
export interface Declaration {
  /** CIDR blocks whose addresses it trusts, as text: hosts there may read what it sends. */
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
  /** IPv4 addresses of the peer on the underlay, the one where it is seen first. */
  readonly theirs: readonly number[];
  /** IPv4 addresses of this host that the peer may see. */
  readonly ours: readonly number[];
  /** What to call the peer in a reason. */
  readonly name: string;
}

export type Verdict =
  /** `address`: where the peer's device is. */
  | { readonly trusted: true; readonly address: number }
  | { readonly trusted: false; readonly code: Refusal; readonly reason: string };

export type Refusal =
  | 'not-trusted'
  | 'not-trusted-here'
  | 'not-trusted-there'
  | 'not-heard'
  | 'no-ipv4'
  | 'shared-address'
  | 'no-device-here'
  | 'no-device-there'
  | 'other-vxlan';

/** The reason is for people: who does not trust whom, or what is in the way. */
export function judge(facts: PathFacts): Verdict {
  const { here, there, theirs, ours, name } = facts;
  const refuse = (code: Refusal, reason: string): Verdict => ({ trusted: false, code, reason });
  if (theirs.length === 0) return refuse('no-ipv4', `no IPv4 address of ${name} is known`);
  const address = theirs.find((one) => trusts(facts.plain, here, one));
  const believed = there !== undefined && ours.some((one) => trusts(facts.plain, there, one));
  if (there === undefined && address !== undefined) {
    return refuse('not-heard', `${name} has not said whom it trusts`);
  }
  if (address === undefined && !believed) return refuse('not-trusted', 'the link is not declared trusted');
  if (address === undefined || there === undefined) {
    const where = formatIpv4(theirs[0] as number);
    return refuse('not-trusted-here', `${name} trusts this link, this host does not trust ${where}`);
  }
  if (!believed) {
    const where = ours.map(formatIpv4).join(', ') || 'this host';
    return refuse('not-trusted-there', `this host trusts the link, ${name} does not trust ${where}`);
  }
  if (here.vxlan === null) return refuse('no-device-here', here.obstacle ?? 'there is no VXLAN device here');
  if (there.vxlan === null) {
    return refuse('no-device-there', `on ${name}: ${there.obstacle ?? 'there is no VXLAN device'}`);
  }
  const text = ({ vni, port }: { vni: number; port: number }) => `VNI ${vni} on UDP port ${port}`;
  if (text(here.vxlan) !== text(there.vxlan)) {
    return refuse('other-vxlan', `${name} uses ${text(there.vxlan)}, this host ${text(here.vxlan)}`);
  }
  return { trusted: true, address };
}

function trusts(plain: boolean, { subnets }: Declaration, address: number): boolean {
  return plain || subnets.some((text) => contains(text, address));
}

function contains(text: string, address: number): boolean {
  const parsed = parseCidr(text);
  return parsed.ok && includes(parsed.value, address);
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
  if (!subnets.every((text) => typeof text === 'string' && parseCidr(text).ok)) return undefined;
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
export function cutAt(
  start: number,
  last: number,
  edges: readonly number[],
): readonly (readonly [number, number])[] {
  const inside = [start, ...edges.filter((edge) => edge > start && edge <= last)];
  return inside.map((from, index) => [from, (inside[index + 1] ?? last + 1) - 1]);
}
