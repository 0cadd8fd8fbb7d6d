import { formatIpv4, parseIpv4, type Range } from './address.ts';

/**
 * Names of endpoints: (network, name) → addresses, as seen from a sandbox that is in some networks and in no others.
 *
 *   web                       in the first of the sandbox's networks that knows it
 *   web.front                 in the network `front`
 *   web.front.weft.local      the same
 *   web.weft.local            like `web`
 *   5.0.32.10.in-addr.arpa    the names of an address of these networks
 *
 * A name that has dots itself is known by the forms with a network or with `weft.local` only: no member of a mesh can take a name of the
 * internet, such as `example.com`, for everybody else's containers.
 */

export const NAME_DOMAIN = 'weft.local';

/** What somebody says: these names in this network lead to this address. */
export interface NameEntry {
  /** Id of the network. */
  readonly network: string;
  /** IPv4, unsigned. */
  readonly address: number;
  /** As `readName` gives them; the first one is what the address is called. */
  readonly names: readonly string[];
  /** False: whoever has the address cannot be reached now. It is told only when nobody else has the name. */
  readonly reachable: boolean;
}

export interface NamedNetwork {
  readonly id: string;
  /** Null: known by its id only, so there is no form with the network's name. */
  readonly name: string | null;
}

export interface NameTable {
  /** `scope`: ids of the networks that the asking sandbox is in, in the order in which they are searched. */
  resolve(scope: readonly string[], question: NameQuestion): Resolution;
}

export interface NameQuestion {
  readonly name: string;
  /** `A`, `PTR`, … */
  readonly type: string;
}

export type Resolution =
  | { readonly kind: 'addresses'; readonly addresses: readonly number[] }
  /** Names in full. */
  | { readonly kind: 'names'; readonly names: readonly string[] }
  /** The name is known and has nothing of this type. */
  | { readonly kind: 'no-data' }
  | { readonly kind: 'no-name' }
  /** Neither ours nor for us to deny. */
  | { readonly kind: 'elsewhere' };

export interface NameTableParts {
  readonly entries: Iterable<NameEntry>;
  readonly networks: readonly NamedNetwork[];
  /** Of the mesh: what is asked about these addresses is no one else's business. */
  readonly range: Range;
}

/** RFC 1035 2.3.4. Underscores and a dash at the end are no host name's, but Docker's containers have them. */
const LABEL = /^[a-z0-9_][a-z0-9_-]{0,62}$/;
const LONGEST = 253;
/** An address with many names is told with this many. */
const MOST_NAMES = 8;
const NO_DATA = { kind: 'no-data' } as const;
const NO_NAME = { kind: 'no-name' } as const;
const ELSEWHERE = { kind: 'elsewhere' } as const;

/** A name in the form in which names are compared: lower case, no dot at its end. Undefined for what cannot be one. */
export function readName(text: string): string | undefined {
  if (text.length > LONGEST + 1) return undefined;
  const name = lowered(text);
  if (name.length > LONGEST || !name.split('.').every((label) => LABEL.test(label))) return undefined;
  return name === 'localhost' || name === NAME_DOMAIN || name.endsWith(`.${NAME_DOMAIN}`) ? undefined : name;
}

interface Known {
  readonly reachable: Set<number>;
  readonly others: Set<number>;
}

interface Directory {
  readonly forward: Map<string, Known>;
  readonly reverse: Map<number, readonly string[]>;
}

export function createNameTable({ entries, networks, range }: NameTableParts): NameTable {
  const directories = new Map<string, Directory>();
  const called = new Map(networks.map(({ id, name }) => [id, name === null ? undefined : lowered(name)]));
  for (const entry of entries) add(directories, entry);

  function find(network: string, name: string): readonly number[] | undefined {
    const known = directories.get(network)?.forward.get(name);
    if (known === undefined) return undefined;
    return [...(known.reachable.size > 0 ? known.reachable : known.others)];
  }

  function search(scope: readonly string[], name: string, dotted: boolean): readonly number[] | undefined {
    for (const network of scope) {
      const found = dotted || !name.includes('.') ? find(network, name) : undefined;
      if (found !== undefined) return found;
    }
    for (const network of scope) {
      const suffix = `.${called.get(network) ?? ''}`;
      if (suffix === '.' || !name.endsWith(suffix)) continue;
      const found = find(network, name.slice(0, -suffix.length));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  function forward(scope: readonly string[], name: string, type: string): Resolution {
    const inside = name.endsWith(`.${NAME_DOMAIN}`);
    const short = inside ? name.slice(0, -NAME_DOMAIN.length - 1) : name;
    const addresses = search(scope, short, inside);
    if (addresses !== undefined)
      return type === 'A' || type === 'ANY' ? { kind: 'addresses', addresses } : NO_DATA;
    if (!inside) return name === NAME_DOMAIN ? NO_DATA : ELSEWHERE;
    return scope.some((network) => called.get(network) === short) ? NO_DATA : NO_NAME;
  }

  function reverse(scope: readonly string[], address: number, type: string): Resolution {
    const names = scope.flatMap((network) => {
      const suffix =
        called.get(network) === undefined ? NAME_DOMAIN : `${called.get(network)}.${NAME_DOMAIN}`;
      return (directories.get(network)?.reverse.get(address) ?? []).map((name) => `${name}.${suffix}`);
    });
    if (names.length > 0) return type === 'PTR' || type === 'ANY' ? { kind: 'names', names } : NO_DATA;
    return address >= range.start && address <= range.last ? NO_NAME : ELSEWHERE;
  }

  return {
    resolve(scope, question) {
      const name = lowered(question.name);
      const address = addressIn(name);
      return address === undefined
        ? forward(scope, name, question.type)
        : reverse(scope, address, question.type);
    },
  };
}

function add(directories: Map<string, Directory>, { network, address, names, reachable }: NameEntry): void {
  let directory = directories.get(network);
  if (directory === undefined) {
    directory = { forward: new Map(), reverse: new Map() };
    directories.set(network, directory);
  }
  for (const name of names) {
    let known = directory.forward.get(name);
    if (known === undefined) {
      known = { reachable: new Set(), others: new Set() };
      directory.forward.set(name, known);
    }
    (reachable ? known.reachable : known.others).add(address);
  }
  const [first] = names;
  const told = directory.reverse.get(address) ?? [];
  if (first === undefined || told.includes(first) || told.length === MOST_NAMES) return;
  directory.reverse.set(address, [...told, first]);
}

/** DNS compares ASCII letters without case, and nothing else (RFC 4343). */
function lowered(text: string): string {
  const name = text.endsWith('.') ? text.slice(0, -1) : text;
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** Of `d.c.b.a.in-addr.arpa`; undefined for any other name, also for parts of an address. */
function addressIn(name: string): number | undefined {
  const [, reversed] = /^(\d{1,3}(?:\.\d{1,3}){3})\.in-addr\.arpa$/.exec(name) ?? [];
  if (reversed === undefined) return undefined;
  const parsed = parseIpv4(reversed.split('.').reverse().join('.'));
  return parsed.ok ? parsed.value : undefined;
}

/** The name by which an address is asked for. */
export function reverseName(address: number): string {
  return `${formatIpv4(address).split('.').reverse().join('.')}.in-addr.arpa`;
}
