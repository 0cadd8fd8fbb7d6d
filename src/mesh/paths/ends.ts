import { type IpAddress, parseHostPort, parseIp, type Range } from '../../core/address.ts';
import { utf8 } from '../../core/bytes.ts';
import type { Crypto } from '../../core/crypto.ts';
import type { PeerId } from '../../core/ids.ts';
import { type UnderlayFamily, underlayFamily } from '../../ports/host.ts';
import type { Space } from '../space.ts';

export interface End {
  readonly mac: string;
  readonly linkLocal: string;
}

/** The peer's addresses inside the device, from its name: nobody need be told. Locally administered, unicast. */
export function deriveEnd(crypto: Crypto, peer: PeerId): End {
  const digest = [...crypto.hash(utf8(`weft fast path ${peer}`))];
  const hex = (byte: number | undefined) => (byte ?? 0).toString(16).padStart(2, '0');
  const mac = [0x06, ...digest.slice(0, 5)].map(hex).join(':');
  const groups = [0, 2, 4, 6].map((at) =>
    (((digest[at + 8] ?? 0) << 8) | (digest[at + 9] ?? 0) | (at === 0 ? 0x1000 : 0)).toString(16),
  );
  return { mac, linkLocal: `fe80::${groups.join(':')}` };
}

/** The addresses in a list of `host:port`. */
export function addressesIn(texts: readonly string[]): readonly IpAddress[] {
  return texts.flatMap((text) => {
    const parsed = parseHostPort(text);
    const address = parsed.ok ? parseIp(parsed.value.host) : undefined;
    return address?.ok === true ? [address.value] : [];
  });
}

export function addressesAt(address: string | undefined): readonly IpAddress[] {
  const parsed = address === undefined ? undefined : parseIp(address);
  return parsed?.ok === true ? [parsed.value] : [];
}

export function familiesOf(
  ends: readonly { readonly underlay: string | undefined }[],
): ReadonlySet<UnderlayFamily> {
  return new Set(ends.flatMap(({ underlay }) => (underlay === undefined ? [] : [underlayFamily(underlay)])));
}

/** Coalesced, by owner. */
export function rangesOf(ring: ReturnType<Space['ring']>): ReadonlyMap<PeerId, readonly Range[]> {
  const found = new Map<PeerId, Range[]>();
  for (const { start, last, owner } of ring) {
    if (owner === undefined) continue;
    const list = found.get(owner) ?? [];
    const before = list.at(-1);
    if (before !== undefined && before.last + 1 === start)
      list[list.length - 1] = { start: before.start, last };
    else list.push({ start, last });
    found.set(owner, list);
  }
  return found;
}
