import type { Refusal, Verdict } from '../../core/path.ts';
import type { ProbeStatus } from '../../core/path-probe.ts';
import type { FastPathPeerState } from '../../ports/host.ts';

export interface PathReport {
  /** As the kernel has it: what is decided and not yet done is in `reason`. */
  readonly kind: 'vxlan' | 'encrypted';
  /** Why it is not a better one; null when it is the best. */
  readonly reason: string | null;
  /** What kind of reason, where trust is lacking. */
  readonly refusal: Refusal | null;
  /** Bytes of an inner packet. */
  readonly mtu: number;
  /** Underlay address of the peer's device, where the kernel's path is open. */
  readonly underlay: string | null;
  readonly probe: ProbeStatus | null;
  /** Of the kernel's path, when last refreshed. */
  readonly traffic: FastPathPeerState | null;
}

export interface PathKnowledge {
  /** Undefined: not judged yet. */
  readonly verdict: Verdict | undefined;
  readonly probe: ProbeStatus | undefined;
  /** Bytes of an inner packet on the routes that the kernel has; undefined when it has none. */
  readonly routed: number | undefined;
  /** Bytes of the largest inner packet that anybody sends. */
  readonly full: number;
  readonly underlay: string | null;
  readonly traffic: FastPathPeerState | null;
}

export function reportOf(known: PathKnowledge): PathReport {
  const { verdict, probe, routed, full, underlay, traffic } = known;
  return {
    kind: routed === undefined ? 'encrypted' : 'vxlan',
    refusal: verdict?.trusted === false ? verdict.code : null,
    reason: routed === undefined ? reasonOf(known) : null,
    mtu: Math.min(routed ?? full, full),
    underlay,
    probe: probe ?? null,
    traffic,
  };
}

function reasonOf({ verdict, probe }: PathKnowledge): string {
  if (verdict === undefined) return 'the link is not declared trusted';
  if (!verdict.trusted) return verdict.reason;
  // Probes tell what the path is worth; packets take it from the moment when the kernel has the routes.
  const waiting = probe?.up === true ? 'the kernel has no routes by it yet' : 'not probed yet';
  return probe?.reason ?? waiting;
}
