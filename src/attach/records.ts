import type { EndpointId, NetworkId } from '../core/ids.ts';
import { ENDPOINT_ID } from '../ports/host.ts';
import type { Section, Sections } from './parts.ts';

/**
 * What is stored of an endpoint. The record is on disk before anything is done for the endpoint and leaves it after everything is undone:
 * `attaching` and `detaching` at a start of the daemon mean that a crash came between, and that all of it is to be undone.
 */
export interface EndpointRecord {
  readonly id: EndpointId;
  readonly kind: 'sandbox' | 'host';
  readonly phase: 'attaching' | 'attached' | 'detaching';
  readonly network: NetworkId;
  readonly name: string | null;
  /** Null for the host. */
  readonly sandbox: SandboxRecord | null;
  /** Null until it is allocated. */
  readonly address: string | null;
  readonly prefix: number;
  /** Null until it is plugged, and for the host. */
  readonly link: LinkRecord | null;
}

export interface SandboxRecord {
  /** As given to attach. */
  readonly given: string;
  /** The fields of the port's Sandbox. */
  readonly path: string;
  readonly namespace: string;
  readonly birth: string;
}

export interface LinkRecord {
  readonly interface: string;
  readonly hostLink: string;
  readonly mac: string;
}

/** The one owner of the stored endpoints. */
export interface EndpointRecords {
  all(): readonly EndpointRecord[];
  get(id: EndpointId): EndpointRecord | undefined;
  /** In memory at once; resolves when on disk. */
  put(record: EndpointRecord): Promise<void>;
  remove(id: EndpointId): Promise<void>;
}

/** `changed` is called when a change is in memory. */
export function createRecords(keeper: Sections, changed: () => void): EndpointRecords {
  const section: Section<readonly EndpointRecord[]> = keeper.section('endpoints', checkRecords, []);
  const set = (records: readonly EndpointRecord[]) => {
    const saved = section.set(records);
    changed();
    return saved;
  };
  return {
    all: () => section.get(),
    get: (id) => section.get().find((record) => record.id === id),
    put(record) {
      const records = [...section.get()];
      const place = records.findIndex(({ id }) => id === record.id);
      records.splice(place === -1 ? records.length : place, 1, record);
      return set(records);
    },
    remove: (id) => set(section.get().filter((record) => record.id !== id)),
  };
}

/** Throws with the name of the field that is not as this program writes it. */
function checkRecords(data: unknown): readonly EndpointRecord[] {
  if (!Array.isArray(data)) throw new Error('endpoints is not a list');
  const records = data.map((item: unknown, index) => checkRecord(fields(item, `endpoints[${index}]`)));
  if (new Set(records.map(({ id }) => id)).size !== records.length)
    throw new Error('endpoints: an id is there twice');
  return records;
}

type Fields = Readonly<Record<string, unknown>>;

function checkRecord(item: Fields): EndpointRecord {
  const { sandbox, link } = item;
  const id = text(item, 'id');
  if (!ENDPOINT_ID.test(id)) throw new Error('endpoints: id is not an id');
  if ((item.kind === 'host') !== (sandbox === null)) throw new Error('endpoints: sandbox does not fit kind');
  if (item.phase === 'attached' && item.address === null) throw new Error('endpoints: address is missing');
  return {
    id: id as EndpointId,
    kind: oneOf(item, 'kind', ['sandbox', 'host'] as const),
    phase: oneOf(item, 'phase', ['attaching', 'attached', 'detaching'] as const),
    network: text(item, 'network') as NetworkId,
    name: item.name === null ? null : text(item, 'name'),
    sandbox: sandbox === null ? null : checkSandbox(fields(sandbox, 'sandbox')),
    address: item.address === null ? null : text(item, 'address'),
    prefix: length(item),
    link: link === null ? null : checkLink(fields(link, 'link')),
  };
}

function checkSandbox(item: Fields): SandboxRecord {
  return {
    given: text(item, 'given'),
    path: text(item, 'path'),
    namespace: text(item, 'namespace'),
    birth: text(item, 'birth'),
  };
}

function checkLink(item: Fields): LinkRecord {
  return { interface: text(item, 'interface'), hostLink: text(item, 'hostLink'), mac: text(item, 'mac') };
}

function fields(item: unknown, name: string): Fields {
  if (typeof item !== 'object' || item === null) throw new Error(`${name} is not a map`);
  return item as Fields;
}

function text(item: Fields, name: string): string {
  const value = item[name];
  if (typeof value !== 'string') throw new Error(`endpoints: ${name} is not text`);
  return value;
}

function length(item: Fields): number {
  const { prefix } = item;
  if (typeof prefix !== 'number' || !Number.isInteger(prefix) || prefix < 0 || prefix > 32) {
    throw new Error('endpoints: prefix is not from 0 to 32');
  }
  return prefix;
}

function oneOf<T extends string>(item: Fields, name: string, values: readonly T[]): T {
  const found = values.find((value) => value === item[name]);
  if (found === undefined) throw new Error(`endpoints: ${name} is none of ${values.join(', ')}`);
  return found;
}
