import { quote } from '../core/address.ts';
import { HostError } from '../ports/host.ts';
import type { Namespace } from './namespace.ts';

/** What `ip -json` says, in the words of this program. */
export interface LinkState {
  readonly index: number;
  readonly name: string;
  /** `veth`, `tun`, `bridge`, …; absent for hardware and the loopback. */
  readonly kind: string | undefined;
  /** Index of the other end of a veth, in that end's namespace. */
  readonly peer: number | undefined;
  readonly group: string;
  readonly alias: string | undefined;
  readonly mac: string | undefined;
  readonly mtu: number;
  readonly queue: number;
  /** Administratively up. */
  readonly up: boolean;
  /** Up, and the other end too. */
  readonly carrier: boolean;
  readonly addresses: readonly LinkAddress[];
}

export interface LinkAddress {
  readonly local: string;
  readonly prefix: number;
}

export interface RouteState {
  /** `10.32.0.0/12`, `10.32.0.5`, `default`. */
  readonly destination: string;
  readonly type: string;
  readonly device: string | undefined;
  readonly protocol: string;
  readonly source: string | undefined;
  /** Name or number; `main` when `ip` left it out. */
  readonly table: string;
}

/** An IPv4 policy rule that has a destination. */
export interface RuleState {
  readonly destination: string;
  /** Name or number. */
  readonly table: string;
  readonly protocol: string;
}

/** Links with their IPv4 addresses; `filter` is part of the command line, e.g. `['group', '173']`. */
export async function readLinks(
  namespace: Namespace,
  filter: readonly string[] = [],
): Promise<readonly LinkState[]> {
  const rows = parse(await namespace.run(['ip', '-json', '-details', 'address', 'show', ...filter]));
  return rows.map(toLink).filter((link) => link !== undefined);
}

/** IPv4 routes of all tables but the kernel's own table of local addresses. */
export async function readRoutes(namespace: Namespace): Promise<readonly RouteState[]> {
  return toRoutes(parse(await namespace.run(['ip', '-json', '-4', 'route', 'show', 'table', 'all'])));
}

/** Both with one program: to start one takes longer than the kernel takes to answer. */
export async function readLinksAndRoutes(
  namespace: Namespace,
): Promise<readonly [readonly LinkState[], readonly RouteState[]]> {
  const questions = 'address show\nroute show table all\n';
  const answers = await namespace.run(['ip', '-json', '-details', '-batch', '-'], questions);
  const [links = '', routes = ''] = answers.split('\n');
  // Nothing chooses a family for the second question only.
  const isIpv4 = ({ dst, gateway }: Row) => ![dst, gateway].some((value) => text(value)?.includes(':'));
  return [
    parse(links)
      .map(toLink)
      .filter((link) => link !== undefined),
    toRoutes(parse(routes).filter(isIpv4)),
  ];
}

function toRoutes(rows: readonly Row[]): readonly RouteState[] {
  return rows
    .map(toRoute)
    .filter((route) => route !== undefined)
    .filter(({ table }) => table !== 'local');
}

/** IPv4 policy rules for a destination; those without one are not ours. */
export async function readRules(namespace: Namespace): Promise<readonly RuleState[]> {
  const rows = parse(await namespace.run(['ip', '-json', '-4', 'rule', 'show']));
  return rows.flatMap(({ dst, dstlen, table, protocol }) => {
    if (typeof dst !== 'string') return [];
    const length = typeof dstlen === 'number' ? dstlen : 32;
    return [
      { destination: `${dst}/${length}`, table: text(table) ?? 'main', protocol: text(protocol) ?? '' },
    ];
  });
}

export interface NeighbourState {
  readonly device: string;
  readonly mac: string;
}

/** Links of a group, and neighbours that do not age; with one program. */
export async function readLinksAndNeighbours(
  namespace: Namespace,
  group: string,
): Promise<readonly [readonly LinkState[], readonly NeighbourState[]]> {
  const questions = `address show group ${group}\nneighbour show nud permanent\n`;
  const answers = await namespace.run(['ip', '-json', '-details', '-batch', '-'], questions);
  const [links = '', neighbours = ''] = answers.split('\n');
  return [
    parse(links)
      .map(toLink)
      .filter((link) => link !== undefined),
    parse(neighbours).flatMap(({ dev, lladdr }) => {
      const [device, mac] = [text(dev), text(lladdr)];
      return device === undefined || mac === undefined ? [] : [{ device, mac }];
    }),
  ];
}

/** Runs the lines with one `ip -batch`; stops at the first that fails. No lines, no process. */
export async function batch(namespace: Namespace, lines: readonly (readonly string[])[]): Promise<void> {
  if (lines.length === 0) return;
  for (const word of lines.flat()) {
    if (!WORD.test(word)) throw new HostError('bad-request', `${quote(word)} cannot be a word for ip`);
  }
  await namespace.run(['ip', '-batch', '-'], `${lines.map((line) => line.join(' ')).join('\n')}\n`);
}

/** Batch files know quotes, comments and line ends; no name that this program uses needs any of them. */
const WORD = /^[\w./:@+-]+$/;

type Row = Readonly<Record<string, unknown>>;

function parse(output: string): readonly Row[] {
  // Some versions print nothing at all when nothing matches.
  if (output.trim() === '') return [];
  try {
    const rows: unknown = JSON.parse(output);
    if (Array.isArray(rows)) return rows.filter((row) => typeof row === 'object' && row !== null);
  } catch {
    // Reported below, as any other form that is not a list.
  }
  throw new HostError(
    'command-failed',
    'ip -json printed something that is no list: is iproute2 older than 4.19?',
  );
}

/** A filtered list has empty objects where links were left out. */
function toLink(row: Row): LinkState | undefined {
  const { ifindex, ifname, flags, linkinfo, link_index: peer } = row;
  if (typeof ifindex !== 'number' || typeof ifname !== 'string') return undefined;
  const words: readonly unknown[] = Array.isArray(flags) ? flags : [];
  const addresses: readonly unknown[] = Array.isArray(row.addr_info) ? row.addr_info : [];
  return {
    index: ifindex,
    name: ifname,
    kind: text((linkinfo as Row | undefined)?.info_kind),
    peer: typeof peer === 'number' ? peer : undefined,
    group: text(row.group) ?? 'default',
    alias: text(row.ifalias),
    mac: text(row.address),
    mtu: Number(row.mtu),
    queue: Number(row.txqlen ?? 0),
    up: words.includes('UP'),
    carrier: words.includes('UP') && words.includes('LOWER_UP') && !words.includes('NO-CARRIER'),
    addresses: addresses.map((info) => toAddress(info as Row)).filter((address) => address !== undefined),
  };
}

function toAddress(row: Row): LinkAddress | undefined {
  const local = text(row.local);
  return local === undefined || row.family !== 'inet' ? undefined : { local, prefix: Number(row.prefixlen) };
}

function toRoute(row: Row): RouteState | undefined {
  const destination = text(row.dst);
  if (destination === undefined) return undefined;
  return {
    destination,
    type: text(row.type) ?? 'unicast',
    device: text(row.dev),
    protocol: text(row.protocol) ?? 'boot',
    source: text(row.prefsrc),
    table: text(row.table) ?? 'main',
  };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
