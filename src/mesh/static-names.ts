import { formatIpv4, parseIpv4 } from '../core/address.ts';
import { readName } from '../core/names.ts';
import { createObjects, type ObjectsParts } from './objects.ts';
import { KEY } from './records.ts';

/**
 * Names that somebody gives to addresses by hand, for what is no endpoint: a database beside the mesh, a second name. Every member may add and
 * remove any. Each (network, name, address) is an object of its own: two hosts that add at the same time both have their way.
 */
export interface StaticNames {
  all(): readonly StaticName[];
  /** On disk when it resolves. Throws RangeError for a name that is too long to be one here. */
  add(entry: StaticName): Promise<void>;
  /** Fine when it is not there. On disk when it resolves. */
  remove(entry: StaticName): Promise<void>;
  /** Called after each change. Returns the way to stop. */
  watch(handler: () => void): () => void;
  close(): void;
}

export interface StaticName {
  /** Id of the network. */
  readonly network: string;
  /** As `readName` gives it. */
  readonly name: string;
  /** IPv4, unsigned; any that there is, in the mesh or not. */
  readonly address: number;
}

/** Keys of records have at most 128 bytes. */
export const LONGEST_STATIC_NAME = 64;
/** Text of a network's id. */
const NETWORK_ID = /^[0-9a-z]{1,16}$/;

export function createStaticNames(parts: Omit<ObjectsParts<StaticName>, 'prefix' | 'read'>): StaticNames {
  const objects = createObjects<StaticName>({ ...parts, prefix: KEY.static, read: readStatic });
  return {
    // A member may write a value under the id of another: then it is nobody's.
    all: () => [...objects.all()].flatMap(([id, entry]) => (idOf(entry) === id ? [entry] : [])),
    async add(entry) {
      if (entry.name.length > LONGEST_STATIC_NAME)
        throw new RangeError(`a name has at most ${LONGEST_STATIC_NAME} characters here`);
      if (objects.get(idOf(entry)) === undefined) await objects.put(idOf(entry), entry);
    },
    async remove(entry) {
      if (objects.get(idOf(entry)) !== undefined) await objects.remove(idOf(entry));
    },
    watch: objects.watch,
    close: objects.close,
  };
}

function idOf({ network, name, address }: StaticName): string {
  return `${network}/${name}/${formatIpv4(address)}`;
}

/** Undefined for what its author has not written as this program does. */
function readStatic(value: unknown): StaticName | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { network, name, address } = value as Partial<Record<keyof StaticName, unknown>>;
  if (typeof network !== 'string' || !NETWORK_ID.test(network)) return undefined;
  if (typeof name !== 'string' || name.length > LONGEST_STATIC_NAME || readName(name) !== name)
    return undefined;
  if (typeof address !== 'number' || !Number.isInteger(address)) return undefined;
  if (address < 0 || !parseIpv4(formatIpv4(address)).ok) return undefined;
  return { network, name, address };
}
