import type { PeerId } from '../../core/ids.ts';
import type { PeerStatus, Warning } from '../../doors/control.ts';
import type { OpenedKeeper } from '../../mesh/keeper.ts';
import type { Network } from '../network.ts';
import { listed } from './listed.ts';
import { RECORD_RULES } from './record-warnings.ts';
import { REMOVAL_RULES } from './removal-warnings.ts';

export interface Facts {
  readonly network: Network | undefined;
  readonly peers: readonly PeerStatus[];
  readonly keeper: OpenedKeeper;
  /** Why Docker cannot find the daemon, if it should. */
  readonly docker: string | undefined;
  /** By the clock. */
  readonly now: number;
}

export type Rule = (facts: Facts) => Warning | undefined;

/** One rule a warning; each looks at the facts and says nothing when all is well. */
const RULES: readonly Rule[] = [
  ...REMOVAL_RULES,
  ...RECORD_RULES,
  ({ network }) => {
    const text = network?.failure();
    return text === undefined
      ? undefined
      : {
          code: 'datapath-failed',
          severity: 'error',
          text: `No packets flow: ${text}`,
          remedy: 'run `weft down`, then `weft up`',
        };
  },
  ({ keeper }) =>
    keeper.problem === undefined
      ? undefined
      : {
          code: 'state-previous-generation',
          severity: 'warning',
          text: `The state file was damaged and the generation before it is in use: ${keeper.problem}`,
          remedy: 'check the disk; what was changed last before the damage may be missing',
        },
  ({ docker }) =>
    docker === undefined
      ? undefined
      : {
          code: 'docker-socket',
          severity: 'warning',
          text: `Docker does not find Weft on this host: ${docker}`,
          remedy: 'put that right and restart weftd; where Docker need not find it, set `docker = off`',
        },
  ({ peers }) => {
    const down = peers.filter(({ state }) => state === 'down').map(({ nickname }) => nickname);
    return down.length === 0
      ? undefined
      : {
          code: 'peers-down',
          severity: 'warning',
          text: `${down.length} of ${peers.length} other hosts cannot be reached: ${listed(down)}`,
          remedy:
            'see `weft peers`; check that they run and that TCP and UDP port 6783 are open between the hosts; `weft remove` those that are lost for good',
        };
  },
  ({ peers }) => {
    const without = peers.filter(({ state, session }) => state === 'up' && session === null);
    return without.length === 0
      ? undefined
      : {
          code: 'no-session',
          severity: 'warning',
          text: `No keys are agreed yet with ${without
            .map(({ nickname }) => nickname)
            .slice(0, 5)
            .join(', ')}`,
          remedy:
            'this takes a moment after a start; when it stays, see `weft peers` and the log of the daemon',
        };
  },
  ({ network, peers }) => {
    const cut = peers.filter(({ id, state, path }) => {
      const status = network?.relays.status(id as PeerId);
      return state === 'up' && path.kind === 'none' && status?.direct === 'blocked';
    });
    return cut.length === 0
      ? undefined
      : {
          code: 'no-way',
          severity: 'warning',
          text: `No packets get to ${listed(cut.map(({ nickname }) => nickname))}: ${cut[0]?.path.reason}`,
          remedy: 'let UDP to the port of weftd pass between the hosts, or add a host that both ends reach',
        };
  },
  ({ network, peers }) => {
    const codes = ['not-trusted-here', 'not-trusted-there'];
    const alone = peers.filter(({ id }) => codes.includes(network?.paths.report(id as PeerId).refusal ?? ''));
    const [first] = alone;
    return first === undefined
      ? undefined
      : {
          code: 'trust-one-sided',
          severity: 'info',
          text: `${alone.length === 1 ? 'A link' : `${alone.length} links`} would do without encryption if both ends agreed: ${network?.paths.report(first.id as PeerId).reason}`,
          remedy:
            'see `weft status paths`; run `weft trust add CIDR` on the host that does not trust, or `weft trust remove CIDR` on the other',
        };
  },
  ({ network }) => {
    const [fault, ...more] = network?.mesh.networks.faults() ?? [];
    return fault === undefined
      ? undefined
      : {
          code: 'network-clash',
          severity: 'warning',
          text: `${fault.text}${more.length === 0 ? '' : `; ${more.length} more networks have a fault`}`,
          remedy: fault.remedy,
        };
  },
  ({ network }) => {
    const pending = network?.mesh.space.pendingDonations() ?? [];
    return pending.length === 0
      ? undefined
      : {
          code: 'donation-waits',
          severity: 'info',
          text: `${pending.length} donations of addresses wait for their witness`,
          remedy: 'see `weft status ipam`; they go on when the witness can be reached',
        };
  },
];

const ORDER: readonly Warning['severity'][] = ['error', 'warning', 'info'];

/** Most severe first. */
export function warningsOf(facts: Facts): readonly Warning[] {
  const found = RULES.map((rule) => rule(facts)).filter((warning) => warning !== undefined);
  const warnings: Warning[] = [...found, ...(facts.network?.engine?.status().warnings ?? [])];
  return warnings.sort((left, right) => ORDER.indexOf(left.severity) - ORDER.indexOf(right.severity));
}
