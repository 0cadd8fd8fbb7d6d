import { formatIpv4, parseIpv4, type Range } from '../core/address.ts';
import type { EndpointId, PeerId } from '../core/ids.ts';
import {
  createNameTable,
  type NamedNetwork,
  type NameEntry,
  type NameQuestion,
  type Resolution,
  readName,
} from '../core/names.ts';
import { includes, itemAt, sizeOf } from '../core/ranges.ts';
import type { Liveness } from './liveness.ts';
import type { Membership } from './membership.ts';
import { createNameSlots } from './name-slots.ts';
import { KEY, type RecordEntry, type Records } from './records.ts';
import type { Space } from './space.ts';
import type { StaticNames } from './static-names.ts';

/**
 * The names of endpoints, as records of the peers that have them. A name counts while its author is a member and owns the address in the
 * ring, inside the network's subnet: the table of allowed sources, so nobody can name what is another's.
 *
 * Names of a peer that is down stay. It may be its daemon that is restarted, with all its containers alive; and a program that finds no name
 * gives up sooner than one that gets no answer. But they are told only where nobody else has the name: of several endpoints that share one,
 * those that can be reached. With the removal of the peer they are gone.
 */
export interface Names {
  /** Names of an endpoint here, in place of what it had; what cannot be a name is left out. On disk when it resolves. */
  publish(endpoint: EndpointId, about: Publication): Promise<void>;
  /** Fine for an endpoint without names. On disk when it resolves. */
  withdraw(endpoint: EndpointId): Promise<void>;
  /** The endpoints of this peer that have names. */
  published(): readonly EndpointId[];
  /** All names that count. */
  view(): readonly NameView[];
  resolve(scope: readonly string[], question: NameQuestion): Resolution;
  /** Called after each change of the view. Returns the way to stop. */
  watch(handler: () => void): () => void;
  close(): void;
}

export interface Publication {
  /** Id of the network. */
  readonly network: string;
  /** IPv4 text. */
  readonly address: string;
  /** The first one is what the address is called. */
  readonly names: readonly string[];
}

export interface NameView extends Publication {
  /** Null: given by hand. */
  readonly peer: PeerId | null;
  readonly endpoint: string | null;
  readonly reachable: boolean;
}

export interface NetworkOfNames extends NamedNetwork {
  readonly subnet: Range;
}

export interface NamesParts {
  readonly self: PeerId;
  readonly range: Range;
  readonly records: Records;
  readonly membership: Pick<Membership, 'isMember' | 'watch'>;
  readonly space: Pick<Space, 'ring' | 'watch'>;
  readonly liveness: Pick<Liveness, 'isUp' | 'onPeerUp' | 'onPeerDown'>;
  readonly statics: Pick<StaticNames, 'all' | 'watch'>;
  /** The networks and their names, as they are now. */
  readonly networks: () => readonly NetworkOfNames[];
  /** Called after each change of the networks. Returns the way to stop. */
  readonly watchNetworks: (handler: () => void) => () => void;
}

/** Names of one endpoint: its own, its host name, its aliases. */
export const MOST_NAMES = 32;
/** Text of a network's id. */
const NETWORK_ID = /^[A-Za-z0-9][\w.-]{0,63}$/;

export function createNames(parts: NamesParts): Names {
  const { self, range, records, membership, space, liveness, statics, networks } = parts;
  const handlers = new Set<() => void>();
  const slots = createNameSlots(records, self);
  /** Made when somebody asks after a change: changes come in bursts, and so do questions. */
  let built: { readonly view: readonly NameView[]; readonly resolve: Names['resolve'] } | undefined;

  function change(): void {
    built = undefined;
    for (const handler of [...handlers]) handler();
  }
  const stops = [
    records.watch(KEY.name, change),
    membership.watch(change),
    space.watch(change),
    liveness.onPeerUp(change),
    liveness.onPeerDown(change),
    statics.watch(change),
    parts.watchNetworks(change),
  ];

  function build() {
    const ring = space.ring();
    const named = networks();
    const own = [...records.entries(KEY.name)].flatMap((record) => {
      const found = readRecord(record);
      if (found === undefined || !membership.isMember(found.peer)) return [];
      if (itemAt(ring, found.number)?.owner !== found.peer) return [];
      if (networkAt(named, found.number)?.id !== found.network) return [];
      const { number, ...about } = found;
      const reachable = found.peer === self || liveness.isUp(found.peer);
      return [{ number, shown: { ...about, address: formatIpv4(number), reachable } }];
    });
    const given = statics.all().map(({ network, name, address: number }) => ({
      number,
      shown: {
        peer: null,
        endpoint: null,
        network,
        address: formatIpv4(number),
        names: [name],
        reachable: true,
      },
    }));
    const view = [...own, ...given];
    const entries: readonly NameEntry[] = view.map(({ number, shown: { network, names, reachable } }) => ({
      network,
      address: number,
      names,
      reachable,
    }));
    const table = createNameTable({ entries, networks: named, range });
    return { view: view.map(({ shown }) => shown), resolve: table.resolve };
  }

  const current = () => {
    built ??= build();
    return built;
  };

  async function withdraw(endpoint: EndpointId): Promise<void> {
    const keys = slots.keysOf(endpoint);
    if (keys.length === 0) return;
    await slots.releaseAfter(endpoint, records.putAll(new Map(keys.map((key) => [key, undefined]))));
  }

  return {
    async publish(endpoint, { network, address, names }) {
      const valid = [...new Set(names.flatMap((text) => readName(text) ?? []))].slice(0, MOST_NAMES);
      if (valid.length === 0) await withdraw(endpoint);
      else await records.put(slots.take(endpoint), { endpoint, network, address, names: valid });
    },
    withdraw,
    published: slots.endpoints,
    view: () => current().view,
    resolve: (scope, question) => current().resolve(scope, question),
    watch(handler) {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
    close() {
      for (const stop of stops) stop();
      slots.close();
    },
  };
}

/** The smallest one that has the address: the default network's subnet is the whole range, less what others took. */
function networkAt(networks: readonly NetworkOfNames[], address: number): NetworkOfNames | undefined {
  const having = networks.filter(({ subnet }) => includes(subnet, address));
  return having.sort((a, b) => sizeOf(a.subnet) - sizeOf(b.subnet))[0];
}

/** Docker's ids of endpoints have 64. */
const LONGEST_ID = 128;

interface Found extends Publication {
  readonly peer: PeerId;
  readonly endpoint: string;
  readonly number: number;
}

/** Undefined for what its author has not written as this program does. */
function readRecord({ author, value }: RecordEntry): Found | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { endpoint, network, address, names } = value as Partial<Record<keyof Found, unknown>>;
  if (typeof endpoint !== 'string' || endpoint.length > LONGEST_ID) return undefined;
  if (typeof network !== 'string' || !NETWORK_ID.test(network) || typeof address !== 'string')
    return undefined;
  if (!Array.isArray(names) || names.length > MOST_NAMES) return undefined;
  const parsed = parseIpv4(address);
  const valid = names.flatMap((text: unknown) => (typeof text === 'string' ? (readName(text) ?? []) : []));
  if (!parsed.ok || valid.length === 0) return undefined;
  return { peer: author, endpoint, network, address, names: valid, number: parsed.value };
}
