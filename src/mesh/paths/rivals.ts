import type { PeerId } from '../../core/ids.ts';
import type { Verdict } from '../../core/path.ts';

export interface Judged {
  readonly peer: PeerId;
  readonly name: string;
  readonly verdict: Verdict;
  /** Address from which it has proven to be the peer; undefined while it has not. */
  readonly seen: string | undefined;
}

/**
 * The kernel tells peers apart by their address only, so each address is one peer's: whose packets come from it, before who says so. Where
 * packets of several come from it, as from behind one NAT, it is nobody's.
 */
export function withoutRivals(judged: readonly Judged[]): readonly Judged[] {
  const isSeen = ({ verdict, seen }: Judged) => verdict.trusted && verdict.address === seen;
  const there = new Map<string, readonly Judged[]>();
  for (const one of judged.filter(isSeen)) {
    const address = one.seen as string;
    there.set(address, [...(there.get(address) ?? []), one]);
  }
  const taken = new Set<string>();
  return [...judged.filter(isSeen), ...judged.filter((one) => !isSeen(one))].map((one) => {
    if (!one.verdict.trusted) return one;
    const { address } = one.verdict;
    const sharers = there.get(address) ?? [];
    if (isSeen(one) && sharers.length > 1) {
      const names = sharers.map(({ name }) => name);
      const shown = names.length > 5 ? [...names.slice(0, 5), `${names.length - 5} more`] : names;
      return refused(
        one,
        `${shown.join(', ')} come from one address, ${address}, by which VXLAN cannot tell them apart`,
      );
    }
    if (sharers.length > 1 || taken.has(address))
      return refused(one, `another peer has the address ${address}, too`);
    taken.add(address);
    return one;
  });
}

function refused(one: Judged, reason: string): Judged {
  return { ...one, verdict: { trusted: false, code: 'shared-address', reason } };
}
