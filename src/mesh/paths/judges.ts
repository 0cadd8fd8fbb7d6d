import { formatIp, type IpAddress } from '../../core/address.ts';
import type { PeerId } from '../../core/ids.ts';
import { type Declaration, judge, readDeclaration } from '../../core/path.ts';
import type { PathsParts } from '../paths.ts';
import { KEY, readPeerRecord } from '../records.ts';
import { addressesAt, addressesIn } from './ends.ts';
import type { Judged } from './rivals.ts';

/** Judges the other members, each anew only when something has changed that it was judged by: they are asked every second. */
export interface Judges {
  /** One for each other member, and whether any may be another than the last time. */
  verdicts(here: Declaration): { readonly judged: readonly Judged[]; readonly isNews: boolean };
}

/** By identity: a record that nobody has written again holds the same value. */
interface Evidence {
  readonly common: string;
  readonly declared: unknown;
  readonly announced: unknown;
  readonly endpoint: string | undefined;
  readonly seenAt: string | undefined;
}

interface Judgement extends Evidence {
  readonly judged: Judged;
}

export function createJudges(
  parts: Pick<PathsParts, 'self' | 'membership' | 'records' | 'forwarding' | 'settings'>,
): Judges {
  const { self, membership, records, forwarding, settings } = parts;
  const plain = membership.genesis.plain;
  let known = new Map<PeerId, Judgement>();

  function decide(peer: PeerId, evidence: Evidence, here: Declaration, ours: readonly IpAddress[]): Judged {
    const there = readDeclaration(evidence.declared);
    const record = readPeerRecord(evidence.announced);
    const name = record?.nickname ?? peer;
    // What is known of the peer's whereabouts, best first.
    const theirs = [...addressesAt(evidence.endpoint), ...addressesIn(record?.data ?? [])];
    const [seen] = addressesAt(evidence.seenAt);
    const verdict = judge({ plain, here, there, theirs, ours, name });
    return { peer, name, verdict, seen: seen === undefined ? undefined : formatIp(seen) };
  }

  return {
    verdicts(here) {
      const told = settings.ours();
      const common = JSON.stringify([here, told]);
      let ours: readonly IpAddress[] | undefined;
      const after = new Map<PeerId, Judgement>();
      let isNews = false;
      for (const peer of membership.members()) {
        if (peer === self) continue;
        const evidence: Evidence = {
          common,
          declared: records.get(peer, KEY.trust),
          announced: records.get(peer, KEY.peer),
          endpoint: forwarding.endpointOf(peer)?.address,
          seenAt: forwarding.seenAt(peer),
        };
        const before = known.get(peer);
        if (before !== undefined && isSame(before, evidence)) {
          after.set(peer, before);
          continue;
        }
        isNews = true;
        ours ??= addressesIn(told);
        after.set(peer, { ...evidence, judged: decide(peer, evidence, here, ours) });
      }
      if (after.size !== known.size) isNews = true;
      known = after;
      return { judged: Array.from(after.values(), ({ judged }) => judged), isNews };
    },
  };
}

function isSame(a: Evidence, b: Evidence): boolean {
  return (
    a.declared === b.declared &&
    a.announced === b.announced &&
    a.endpoint === b.endpoint &&
    a.seenAt === b.seenAt &&
    a.common === b.common
  );
}
