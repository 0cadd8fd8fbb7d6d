/**
 * Addresses as text and as numbers. An IPv4 address is an unsigned 32-bit number, an IPv6 address an unsigned 128-bit bigint.
 * Text is read strictly: other readings of the same text (octal, short forms) have let addresses past filters elsewhere.
 */

/** What a reader of text gives back: the value, or a message that says what would be right. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly message: string };

export type IpAddress =
  | { readonly family: 4; readonly value: number }
  | { readonly family: 6; readonly value: bigint };

/** A block of IPv4 addresses, both ends inside. */
export interface Range {
  readonly start: number;
  readonly last: number;
}

export interface Cidr extends Range {
  /** The address that was written; equals `start` for a block. */
  readonly address: number;
  /** 0 … 32. */
  readonly prefix: number;
}

/** No spelling of an address or endpoint is longer; checked before anything is split. */
const MAX_TEXT = 300;
const MAX_IPV6_TEXT = 45;
const OCTET = /^(?:0|[1-9][0-9]{0,2})$/;
const GROUP = /^[0-9a-fA-F]{1,4}$/;
const PREFIX = /^(?:0|[1-9][0-9]?)$/;
const MAPPED = 0xffffn;

function fail(message: string): { readonly ok: false; readonly message: string } {
  return { ok: false, message };
}

/** The offending text, short enough for one line and without characters that change a terminal. */
export function quote(text: string): string {
  const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  return `"${shown.replace(/[^\x20-\x7e…]/g, '?')}"`;
}

/** Four decimal numbers without leading zeros, e.g. `10.32.0.5`. */
export function parseIpv4(text: string): Parsed<number> {
  const value = readIpv4(text);
  if (value === undefined) {
    return fail(`${quote(text)} is not an IPv4 address: four numbers from 0 to 255, e.g. 10.32.0.5`);
  }
  return { ok: true, value };
}

function readIpv4(text: string): number | undefined {
  if (text.length > 15) return undefined;
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0;
  for (const part of parts) {
    if (!OCTET.test(part)) return undefined;
    const octet = Number(part);
    if (octet > 255) return undefined;
    value = value * 256 + octet;
  }
  return value;
}

export function formatIpv4(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}

/** RFC 4291 §2.2, without a zone; the last 32 bits may be written as IPv4. */
export function parseIpv6(text: string): Parsed<bigint> {
  const value = readIpv6(text);
  if (value === undefined) {
    const hint = text.includes('%') ? ' (without a zone)' : '';
    return fail(
      `${quote(text)} is not an IPv6 address${hint}: up to eight groups of hexadecimal digits, e.g. fd00::5`,
    );
  }
  return { ok: true, value };
}

function readIpv6(text: string): bigint | undefined {
  if (text.length < 2 || text.length > MAX_IPV6_TEXT) return undefined;
  const gap = text.indexOf('::');
  if (gap === -1) {
    const groups = readGroups(text);
    return groups?.length === 8 ? join(groups) : undefined;
  }
  if (text.indexOf('::', gap + 1) !== -1) return undefined;
  const headText = text.slice(0, gap);
  const tailText = text.slice(gap + 2);
  // An embedded IPv4 address may only stand at the very end.
  const head = headText === '' ? [] : headText.includes('.') ? undefined : readGroups(headText);
  const tail = tailText === '' ? [] : readGroups(tailText);
  if (head === undefined || tail === undefined || head.length + tail.length > 7) return undefined;
  const zeros = new Array<number>(8 - head.length - tail.length).fill(0);
  return join([...head, ...zeros, ...tail]);
}

function readGroups(text: string): number[] | undefined {
  const parts = text.split(':');
  if (parts.length > 8) return undefined;
  const groups: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (GROUP.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const embedded = index === parts.length - 1 ? readIpv4(part) : undefined;
    if (embedded === undefined) return undefined;
    groups.push(embedded >>> 16, embedded & 0xffff);
  }
  return groups;
}

function join(groups: readonly number[]): bigint {
  let value = 0n;
  for (const group of groups) value = (value << 16n) | BigInt(group);
  return value;
}

/** The canonical text of RFC 5952: lower case, the longest run of two or more zero groups as `::`. */
export function formatIpv6(address: bigint): string {
  const groups: number[] = [];
  for (let shift = 112n; shift >= 0n; shift -= 16n) groups.push(Number((address >> shift) & 0xffffn));
  const run = longestZeroRun(groups);
  const hex = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':');
  if (run.length < 2) return hex(groups);
  return `${hex(groups.slice(0, run.start))}::${hex(groups.slice(run.start + run.length))}`;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let length = 0;
  for (const [index, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0;
    if (length > best.length) best = { start: index - length + 1, length };
  }
  return best;
}

/** Either family. An IPv4-mapped IPv6 address (`::ffff:a.b.c.d`) is the IPv4 address it stands for. */
export function parseIp(text: string): Parsed<IpAddress> {
  const v4 = readIpv4(text);
  if (v4 !== undefined) return { ok: true, value: { family: 4, value: v4 } };
  const v6 = readIpv6(text);
  if (v6 !== undefined) return { ok: true, value: normaliseIp({ family: 6, value: v6 }) };
  return fail(`${quote(text)} is not an IP address: write e.g. 192.0.2.7 or 2001:db8::7`);
}

export function normaliseIp(address: IpAddress): IpAddress {
  if (address.family === 6 && address.value >> 32n === MAPPED) {
    return { family: 4, value: Number(address.value & 0xffff_ffffn) };
  }
  return address;
}

export function formatIp(address: IpAddress): string {
  return address.family === 4 ? formatIpv4(address.value) : formatIpv6(address.value);
}

/** A block, e.g. `10.32.0.0/12`: bits beyond the prefix must be zero. */
export function parseCidr(text: string): Parsed<Cidr> {
  const parsed = parseAddressWithPrefix(text);
  if (!parsed.ok) return parsed;
  const { address, start, prefix } = parsed.value;
  if (address !== start) {
    return fail(`${quote(text)} has bits set beyond its prefix: write ${formatIpv4(start)}/${prefix}`);
  }
  return parsed;
}

/** An address with the prefix of its network, e.g. `10.32.0.5/12`. */
export function parseAddressWithPrefix(text: string): Parsed<Cidr> {
  const slash = text.length > 18 ? -1 : text.indexOf('/');
  const address = slash === -1 ? undefined : readIpv4(text.slice(0, slash));
  const prefixText = text.slice(slash + 1);
  if (address === undefined || !PREFIX.test(prefixText) || Number(prefixText) > 32) {
    return fail(
      `${quote(text)} is not an address with a prefix: write e.g. 10.32.0.0/12, the prefix from 0 to 32`,
    );
  }
  const prefix = Number(prefixText);
  const size = 2 ** (32 - prefix);
  const start = Math.floor(address / size) * size;
  return { ok: true, value: { address, prefix, start, last: start + size - 1 } };
}

export function formatCidr(start: number, prefix: number): string {
  return `${formatIpv4(start)}/${prefix}`;
}

/** Length of the prefix when the range is exactly one CIDR block. */
export function prefixOf(range: Range): number | undefined {
  const size = range.last - range.start + 1;
  const bits = Math.log2(size);
  return Number.isInteger(bits) && range.start % size === 0 ? 32 - bits : undefined;
}

/** The other side's socket: an IP address or a DNS name, and a port. */
export interface HostPort {
  readonly kind: 'ipv4' | 'ipv6' | 'name';
  /** Canonical text without brackets; names in lower case. */
  readonly host: string;
  /** 0 … 65535. */
  readonly port: number;
}

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?$/;
/** A last label like this makes resolvers read the whole name as an IPv4 address in one of its loose forms. */
const NUMERIC_LABEL = /^(?:[0-9]+|0x[0-9a-f]*)$/;
const PORT = /^(?:0|[1-9][0-9]{0,4})$/;

/**
 * `host:port`, `[v6]:port`; with `defaultPort` the port may be left out (an IPv6 address then needs no brackets).
 * Mapped IPv6 becomes IPv4. A name whose last label is a number is refused: it would be an address in disguise.
 */
export function parseHostPort(text: string, defaultPort?: number): Parsed<HostPort> {
  const parts = text.length > MAX_TEXT ? undefined : cut(text);
  const portText = parts?.port ?? (defaultPort === undefined ? undefined : String(defaultPort));
  if (parts === undefined || portText === undefined) {
    return fail(
      `${quote(text)} is not host:port: write e.g. 192.0.2.7:6783, [2001:db8::7]:6783 or name:6783`,
    );
  }
  if (!PORT.test(portText) || Number(portText) > 65_535) {
    return fail(`${quote(text)} has no good port: a number from 0 to 65535`);
  }
  const host = readHost(parts.host, parts.bracketed);
  if (host === undefined) {
    return fail(
      `${quote(text)} has no good host: an IPv4 address, an IPv6 address in brackets, or a DNS name`,
    );
  }
  return { ok: true, value: { ...host, port: Number(portText) } };
}

function cut(text: string): { host: string; port: string | undefined; bracketed: boolean } | undefined {
  if (text.startsWith('[')) {
    const end = text.indexOf(']');
    if (end === -1) return undefined;
    const rest = text.slice(end + 1);
    if (rest !== '' && !rest.startsWith(':')) return undefined;
    return { host: text.slice(1, end), port: rest === '' ? undefined : rest.slice(1), bracketed: true };
  }
  const colon = text.indexOf(':');
  if (colon === -1) return { host: text, port: undefined, bracketed: false };
  // More than one colon: an IPv6 address, which without brackets cannot have a port.
  if (text.indexOf(':', colon + 1) !== -1) return { host: text, port: undefined, bracketed: false };
  return { host: text.slice(0, colon), port: text.slice(colon + 1), bracketed: false };
}

function readHost(text: string, bracketed: boolean): Pick<HostPort, 'kind' | 'host'> | undefined {
  if (bracketed || text.includes(':')) {
    const value = readIpv6(text);
    if (value === undefined) return undefined;
    const address = normaliseIp({ family: 6, value });
    return { kind: address.family === 4 ? 'ipv4' : 'ipv6', host: formatIp(address) };
  }
  if (readIpv4(text) !== undefined) return { kind: 'ipv4', host: text };
  const name = text.toLowerCase();
  const labels = name.split('.');
  const tail = labels.at(-1) ?? '';
  if (name.length > 253 || NUMERIC_LABEL.test(tail) || !labels.every((label) => LABEL.test(label)))
    return undefined;
  return { kind: 'name', host: name };
}

export function formatHostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
