import { formatIpv4 } from '../../core/address.ts';
import type { PeerId } from '../../core/ids.ts';
import type { Verdict } from '../../core/path.ts';

export interface Judged {
  readonly peer: PeerId;
  readonly verdict: Verdict;
  /** Address from which its packets come; undefined while none have come. */
  readonly seen: string | undefined;
}

/** The kernel tells peers apart by their address only, so each address is one peer's: whose packets come from it, before who says so. */
export function withoutRivals(judged: readonly Judged[]): readonly Judged[] {
  const taken = new Set<string>();
  const isSeen = ({ verdict, seen }: Judged) => verdict.trusted && formatIpv4(verdict.address) === seen;
  return [...judged.filter(isSeen), ...judged.filter((one) => !isSeen(one))].map((one) => {
    if (!one.verdict.trusted) return one;
    const address = formatIpv4(one.verdict.address);
    if (taken.has(address)) {
      const reason = `another peer has the address ${address}, too`;
      return { ...one, verdict: { trusted: false, code: 'no-device-there', reason } };
    }
    taken.add(address);
    return one;
  });
}
