import type { EndpointId, NetworkId } from '../src/core/ids.ts';
import type { Section, Sections } from '../src/ports/sections.ts';

/**
 * What the door has on disk. Docker tells each thing once and never again, so a call is answered only when its record is stored. Records
 * that belong together are put in one turn of the event loop and so reach the disk together.
 */
export interface Records {
  /** By Docker's network id. */
  readonly networks: Table<NetworkRecord>;
  /** By the network's id, which is Docker's PoolID. */
  readonly pools: Table<PoolRecord>;
  /** By the network's id: what the swarm that this host is a manager of has asked for. */
  readonly swarm: Table<SwarmRecord>;
  /** By Docker's endpoint id. */
  readonly endpoints: Table<EndpointRecord>;
}

export interface NetworkRecord {
  /** Docker's; another one on each engine. */
  readonly id: string;
  readonly network: NetworkId;
  readonly internal: boolean;
  /** Bytes of a packet in it, when the user chose; null: what fits everywhere in the mesh. */
  readonly mtu: number | null;
}

export interface PoolRecord {
  readonly id: NetworkId;
  /** RequestPool calls less ReleasePool calls. */
  readonly uses: number;
  /** Whether a call of this host made the network. */
  readonly made: boolean;
  /** Whether a Docker network was ever created on it here: until then explicit addresses are auxiliary ones, and its end is a failed start. */
  readonly used: boolean;
}

export interface SwarmRecord {
  readonly id: NetworkId;
  /** Whether a call of this host made the network. */
  readonly made: boolean;
  /** Whether the swarm ever had a network on it: before, its end is a failed start. */
  readonly used: boolean;
  /** The swarm's ids of its networks on it. */
  readonly networks: readonly string[];
}

export interface EndpointRecord {
  readonly id: EndpointId;
  /** Docker's id of the network. */
  readonly docker: string;
  readonly network: NetworkId;
  /** Its id in the mesh's address space. */
  readonly lease: EndpointId;
  readonly address: string;
  readonly prefix: number;
  /** As the user asked for; null: the one that belongs to the address. */
  readonly mac: string | null;
  /** Docker's path of the network namespace; null when it is in none. */
  readonly sandbox: string | null;
  /** Name of the container, once the engine has told it. */
  readonly name: string | null;
}

export interface Table<T> {
  all(): readonly T[];
  get(id: string): T | undefined;
  /** In memory at once, on disk when it resolves. */
  put(record: T): Promise<void>;
  remove(id: string): Promise<void>;
}

export function openRecords(keeper: Sections): Records {
  return {
    networks: table(keeper.section('docker/networks', checked(NETWORK), [])),
    pools: table(keeper.section('docker/pools', checked(POOL), [])),
    swarm: table(keeper.section('docker/swarm', checked(SWARM), [])),
    endpoints: table(keeper.section('docker/endpoints', checked(ENDPOINT), [])),
  };
}

function table<T extends { readonly id: string }>(section: Section<readonly T[]>): Table<T> {
  const records = new Map<string, T>(section.get().map((record) => [record.id, record]));
  const save = () => section.set([...records.values()]);
  return {
    all: () => section.get(),
    get: (id) => records.get(id),
    put(record) {
      records.set(record.id, record);
      return save();
    },
    remove(id) {
      records.delete(id);
      return save();
    },
  };
}

/** What each field of a record must be. */
type Shape<T> = { readonly [Key in keyof T]-?: (value: unknown) => boolean };

const text = (value: unknown) => typeof value === 'string';
const textOrNull = (value: unknown) => value === null || text(value);
const texts = (value: unknown) => Array.isArray(value) && value.every(text);
const flag = (value: unknown) => typeof value === 'boolean';
const count = (value: unknown) => Number.isInteger(value) && (value as number) >= 0;
const countOrNull = (value: unknown) => value === null || count(value);

const NETWORK: Shape<NetworkRecord> = { id: text, network: text, internal: flag, mtu: countOrNull };
const POOL: Shape<PoolRecord> = { id: text, uses: count, made: flag, used: flag };
const SWARM: Shape<SwarmRecord> = { id: text, made: flag, used: flag, networks: texts };
const ENDPOINT: Shape<EndpointRecord> = {
  id: text,
  docker: text,
  network: text,
  lease: text,
  address: text,
  prefix: count,
  mac: textOrNull,
  sandbox: textOrNull,
  name: textOrNull,
};

function checked<T extends { readonly id: string }>(shape: Shape<T>): (data: unknown) => readonly T[] {
  return (data) => {
    if (!Array.isArray(data)) throw new TypeError('records are not a list');
    const records = data.map((item: unknown) => checkRecord(shape, item));
    if (new Set(records.map(({ id }) => id)).size < records.length)
      throw new TypeError('an id is there twice');
    return records;
  };
}

function checkRecord<T>(shape: Shape<T>, item: unknown): T {
  if (typeof item !== 'object' || item === null) throw new TypeError('a record is not a map');
  const record: Partial<T> = {};
  for (const key of Object.keys(shape) as (keyof T & string)[]) {
    const value = (item as Readonly<Record<string, unknown>>)[key];
    if (!shape[key](value)) throw new TypeError(`${key} of a record is malformed`);
    record[key] = value as T[typeof key];
  }
  return record as T;
}
