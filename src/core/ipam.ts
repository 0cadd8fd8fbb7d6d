import type { Range } from './address.ts';
import type { EndpointId, NetworkId } from './ids.ts';
import { includes, sizeOf } from './ranges.ts';

/** One address in use on this host. */
export interface Lease {
  readonly endpoint: EndpointId;
  readonly network: NetworkId;
  readonly address: number;
}

/** All addresses in use on this host. A value: each change makes a new one. */
export interface Leases {
  /** Sorted by address. */
  readonly list: readonly Lease[];
  /**
   * By network, the address handed out last: the search for the next one starts behind it, so that a released address rests as long as
   * possible.
   */
  readonly cursors: Readonly<Record<NetworkId, number>>;
}

export const NO_LEASES: Leases = { list: [], cursors: {} };

/** Index of the first lease at or after `address`. */
function leaseIndex(list: readonly Lease[], address: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const lease = list[middle];
    if (lease !== undefined && lease.address < address) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function leaseAt(leases: Leases, address: number): Lease | undefined {
  const lease = leases.list[leaseIndex(leases.list, address)];
  return lease?.address === address ? lease : undefined;
}

/** The address that the endpoint has in the network already. */
export function leaseOf(leases: Leases, endpoint: EndpointId, network: NetworkId): Lease | undefined {
  return leases.list.find((lease) => lease.endpoint === endpoint && lease.network === network);
}

/** The addresses of a network that may be handed out: all but its first and its last. */
export function usablePart(block: Range, network: Range): Range | undefined {
  const start = Math.max(block.start, network.start + 1);
  const last = Math.min(block.last, network.last - 1);
  return start <= last ? { start, last } : undefined;
}

/** The next free address behind the cursor, from the start again when there is none; undefined when all are taken. */
export function nextFree(
  blocks: readonly Range[],
  network: Range,
  leases: Leases,
  of: NetworkId,
): number | undefined {
  const parts = blocks.flatMap((block) => usablePart(block, network) ?? []);
  const cursor = leases.cursors[of] ?? 0;
  return (
    firstFree(parts, leases, cursor + 1, Number.POSITIVE_INFINITY) ?? firstFree(parts, leases, 0, cursor)
  );
}

function firstFree(parts: readonly Range[], leases: Leases, from: number, to: number): number | undefined {
  for (const part of parts) {
    if (part.last < from || part.start > to) continue;
    let address = Math.max(part.start, from);
    for (let i = leaseIndex(leases.list, address); leases.list[i]?.address === address; i += 1) address += 1;
    if (address <= Math.min(part.last, to)) return address;
  }
  return undefined;
}

/** With the address taken, which must be free; `moveCursor` for one that was picked, not asked for by number. */
export function take(leases: Leases, lease: Lease, moveCursor: boolean): Leases {
  return {
    list: leases.list.toSpliced(leaseIndex(leases.list, lease.address), 0, lease),
    cursors: moveCursor ? { ...leases.cursors, [lease.network]: lease.address } : leases.cursors,
  };
}

/** Without any address of the endpoint; the same value when it has none. */
export function drop(leases: Leases, endpoint: EndpointId): Leases {
  const list = leases.list.filter((lease) => lease.endpoint !== endpoint);
  return list.length === leases.list.length ? leases : { ...leases, list };
}

/** Addresses that may still be handed out. */
export function freeCount(blocks: readonly Range[], network: Range, leases: Leases): number {
  let free = 0;
  for (const block of blocks) {
    const part = usablePart(block, network);
    if (part !== undefined) free += sizeOf(part) - leasesIn(part, leases);
  }
  return free;
}

function leasesIn(part: Range, leases: Leases): number {
  return leaseIndex(leases.list, part.last + 1) - leaseIndex(leases.list, part.start);
}

export function leasesWithin(part: Range, leases: Leases): readonly Lease[] {
  return leases.list.slice(leaseIndex(leases.list, part.start), leaseIndex(leases.list, part.last + 1));
}

/** What of the block is not in use, first and last of any network included. */
export function freeParts(block: Range, leases: Leases): readonly Range[] {
  return [...freeRuns(block, leases)];
}

/** The block with the longest run of free addresses, and that run (the network's first and last address count as free here). */
export function largestFree<B extends Range>(
  blocks: readonly B[],
  network: Range,
  leases: Leases,
): { readonly block: B; readonly run: Range } | undefined {
  let best: { block: B; run: Range; size: number } | undefined;
  for (const block of blocks) {
    for (const run of freeRuns(block, leases)) {
      const part = usablePart(run, network);
      const size = part === undefined ? 0 : sizeOf(part);
      if (size > (best?.size ?? 0)) best = { block, run, size };
    }
  }
  return best && { block: best.block, run: best.run };
}

function* freeRuns(block: Range, leases: Leases): Generator<Range> {
  let start = block.start;
  for (let i = leaseIndex(leases.list, block.start); i < leases.list.length; i += 1) {
    const lease = leases.list[i];
    if (lease === undefined || !includes(block, lease.address)) break;
    if (start < lease.address) yield { start, last: lease.address - 1 };
    start = lease.address + 1;
  }
  if (start <= block.last) yield { start, last: block.last };
}

/**
 * The upper part of a free run, about half of it and at least one usable address, cut at the roundest number between a quarter and
 * three quarters: round ranges need few routes.
 */
export function donationPart(run: Range, network: Range): Range {
  const usable = usablePart(run, network) ?? run;
  const size = sizeOf(usable);
  const lowest = usable.start + Math.ceil(size / 4);
  const highest = usable.start + Math.floor((size * 3) / 4);
  const cut = lowest <= highest ? roundest(lowest, highest) : usable.start + Math.floor(size / 2);
  return { start: cut, last: run.last };
}

/** The multiple of the greatest power of two in [low, high]; the middle one when there are several. */
function roundest(low: number, high: number): number {
  for (let step = 2 ** 32; step > 1; step /= 2) {
    const first = Math.ceil(low / step) * step;
    const count = Math.floor((high - first) / step) + 1;
    if (first <= high) return first + Math.floor((count - 1) / 2) * step;
  }
  return low + Math.floor((high - low) / 2);
}
