import { formatCidr, formatIpv6, type IpAddress, type Parsed, parseCidr, parseIp, quote } from './address.ts';

/** Blocks of addresses of the hosts themselves, of either family. Addresses of the mesh are IPv4: those blocks are `Cidr`. */
export interface Block {
  readonly family: 4 | 6;
  readonly start: bigint;
  /** 0 … 32, or 0 … 128. */
  readonly prefix: number;
}

/** Strict: bits beyond the prefix must be zero, and IPv4 is written as IPv4. */
export function parseBlock(text: string): Parsed<Block> {
  if (!text.includes(':')) {
    const parsed = parseCidr(text);
    if (!parsed.ok) return parsed;
    const { start, prefix } = parsed.value;
    return { ok: true, value: { family: 4, start: BigInt(start), prefix } };
  }
  const [, before = '', digits = ''] = /^([^/]*)\/(0|[1-9][0-9]{0,2})$/.exec(text.slice(0, 64)) ?? [];
  const address = parseIp(before);
  const prefix = Number(digits);
  if (digits === '' || !address.ok || address.value.family !== 6 || prefix > 128) {
    const message = `${quote(text)} is not an IPv6 address with a prefix: write e.g. 2001:db8::/64, the prefix from 0 to 128`;
    return { ok: false, message };
  }
  const rest = BigInt(128 - prefix);
  const start = (address.value.value >> rest) << rest;
  if (start === address.value.value) return { ok: true, value: { family: 6, start, prefix } };
  const message = `${quote(text)} has bits set beyond its prefix: write ${formatIpv6(start)}/${prefix}`;
  return { ok: false, message };
}

export function formatBlock({ family, start, prefix }: Block): string {
  return family === 4 ? formatCidr(Number(start), prefix) : `${formatIpv6(start)}/${prefix}`;
}

export function isInBlock({ family, start, prefix }: Block, address: IpAddress): boolean {
  const rest = BigInt((family === 4 ? 32 : 128) - prefix);
  return address.family === family && BigInt(address.value) >> rest === start >> rest;
}
