import type { Certificate } from '../../src/core/certificate.ts';
import type { MeshId, PeerId } from '../../src/core/ids.ts';
import { createRoster, type Roster } from '../../src/core/roster.ts';
import type { Lineage } from '../../src/core/succession.ts';
import type { Limits, Rules } from './rules.ts';
import { createTable, type Numbers, sorted } from './tables.ts';

/** What follows for membership from the removals and names that a peer knows of: the real roster says it. */
export interface Known {
  readonly lineage: Lineage;
  readonly removed: ReadonlySet<PeerId>;
  readonly members: readonly PeerId[];
  /** What somebody who removes the peer has to show with it. */
  relyingOn(peer: PeerId): Numbers;
}

export interface Lineages {
  /** Those that are members from the start, then newcomers. */
  readonly everybody: readonly PeerId[];
  isNewcomer(peer: PeerId): boolean;
  heirOf(peer: PeerId): PeerId;
  /** Removals with the certificates that were shown with them; heirs that were named, and handovers. */
  readonly graves: ReturnType<typeof createTable<Grave>>;
  readonly names: ReturnType<typeof createTable<Name>>;
  /** Those of the names that are handovers. */
  handovers(names: Numbers): readonly Name[];
  known(graves: Numbers, names: Numbers): Known;
}

interface Grave {
  readonly by: PeerId;
  readonly peer: PeerId;
  readonly shows: Numbers;
}

interface Name {
  readonly by: PeerId;
  readonly heir: PeerId;
  readonly nth: number;
  /** A handover: whose heir `heir` becomes. */
  readonly ward?: PeerId;
}

type Admission = Pick<Certificate, 'peer' | 'issuer' | 'heir'>;

const PEERS = [...'ABCDEFGH'] as PeerId[];
const ROOT = 'root' as PeerId;
const [A, B] = PEERS as [PeerId, PeerId];

/** A made the mesh, B joined it first; everybody else came through the one before. */
function heirOf(peer: PeerId): PeerId {
  return PEERS[Math.abs(PEERS.indexOf(peer) - 1)] as PeerId;
}

export function createLineages(rules: Rules, limits: Limits): Lineages {
  const everybody = PEERS.slice(0, limits.peers + (limits.newcomers ?? 0));
  const first = everybody.slice(0, limits.peers);
  const graves = createTable<Grave>(({ by, peer, shows }) => `${by} ${peer} ${shows}`);
  const names = createTable<Name>(({ by, heir, nth, ward }) => `${by} ${heir} ${nth} ${ward ?? ''}`);
  const admissions = createTable<Admission>(({ peer, issuer }) => `${peer} ${issuer}`);
  const views = new Map<string, Known>();

  const isNewcomer = (peer: PeerId) => !first.includes(peer);

  function certificateOf({ peer, issuer, heir }: Admission): Certificate {
    return { mesh: 'mesh' as MeshId, peer, issuer, heir, serial: 1, signature: NO_SIGNATURE };
  }

  /** Shown by who signed it, and by whom it is about. */
  function admit(roster: Roster, admission: Admission): void {
    for (const author of [admission.issuer, admission.peer]) {
      roster.addCertificate(certificateOf(admission), author);
    }
  }

  function rosterOf(buried: Numbers, named: Numbers): Roster {
    const roster = createRoster(ROOT, A);
    for (const peer of first) {
      admit(roster, { peer, issuer: peer === A ? ROOT : heirOf(peer), heir: heirOf(peer) });
    }
    roster.setCreatorHeir(B);
    for (const { by, heir, nth, ward } of names.all(named)) {
      if (ward !== undefined) {
        roster.addHanded(ward, by, heir);
        continue;
      }
      if (isNewcomer(heir)) admit(roster, { peer: heir, issuer: by, heir: by });
      roster.addNamed(by, nth, heir);
    }
    for (const { by, peer, shows } of graves.all(buried)) {
      for (const shown of admissions.all(shows)) roster.addCertificate(certificateOf(shown), by);
      roster.addTombstone({ mesh: 'mesh' as MeshId, peer, issuer: by, adopter: by, signature: NO_SIGNATURE });
    }
    return roster;
  }

  /** Without the rule, everybody's word removes. */
  function anybodyRemoves(buried: Numbers): Known {
    const removed = new Set(graves.all(buried).map(({ peer }) => peer));
    const lineage: Lineage = {
      heirOf,
      adopterOf: () => undefined,
      namedBy: () => [],
      handedFor: () => [],
      isRemoved: (peer) => removed.has(peer),
    };
    return { lineage, removed, members: first.filter((peer) => !removed.has(peer)), relyingOn: () => [] };
  }

  function look(buried: Numbers, named: Numbers): Known {
    if (!rules.onlyHeirRemoves) return anybodyRemoves(buried);
    const roster = rosterOf(buried, named);
    return {
      lineage: roster,
      removed: new Set(roster.removed()),
      members: roster.members(),
      relyingOn: (peer) =>
        sorted(roster.relyingOn(peer).map((one) => admissions.number({ ...one, heir: one.heir ?? B }))),
    };
  }

  return {
    everybody,
    isNewcomer,
    heirOf,
    graves,
    names,
    handovers: (numbers) => names.all(numbers).filter(({ ward }) => ward !== undefined),
    known(buried, named) {
      const key = `${buried} ${named}`;
      const found = views.get(key) ?? look(buried, named);
      views.set(key, found);
      return found;
    },
  };
}

const NO_SIGNATURE = new Uint8Array(64);
