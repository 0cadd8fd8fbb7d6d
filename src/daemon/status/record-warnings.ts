import { describePeer } from '../../mesh/space/names.ts';
import type { Rule } from './warnings.ts';

/** Of what a host may write: early enough to do something about it. */
const NEARLY_FULL = 3 / 4;

export const RECORD_RULES: readonly Rule[] = [
  ({ network }) => {
    const mesh = network?.mesh;
    const fill = mesh?.records.replica.fill(mesh.membership.self) ?? 0;
    return fill < NEARLY_FULL
      ? undefined
      : {
          code: 'records-full',
          severity: 'warning',
          text: `${Math.floor(100 * fill)} % of the records are written that this host may write: who owned an address stays known for ever, and so does each network that was made and removed`,
          remedy:
            'keep networks instead of making them anew; before it is full, `weft remove` this host on another one, and let it join again with a token',
        };
  },
  ({ network }) => {
    const refused = network?.mesh.records.quarantined() ?? [];
    const worst = refused[0];
    return worst === undefined
      ? undefined
      : {
          code: 'records-refused',
          severity: 'warning',
          text: `${refused.reduce((sum, { count }) => sum + count, 0)} records were refused, most of ${worst.author === undefined || network === undefined ? 'an unknown peer' : describePeer(network.mesh.records, worst.author)}: ${worst.problem}`,
          remedy: 'look at that host: its version, its disk, and who has access to it',
        };
  },
];
