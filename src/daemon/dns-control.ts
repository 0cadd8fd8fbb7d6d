import { formatIpv4, parseIpv4, quote } from '../core/address.ts';
import type { NetworkId } from '../core/ids.ts';
import { readName, reverseName } from '../core/names.ts';
import type { DnsControl, DnsName } from '../doors/dns-control.ts';
import { ControlError } from '../doors/errors.ts';
import type { NameView } from '../mesh/names.ts';
import { readPeerRecord } from '../mesh/records.ts';
import { LONGEST_STATIC_NAME, type StaticName } from '../mesh/static-names.ts';
import type { Network } from './network.ts';

/** `running` throws ControlError where there is no network, and `network` gives none. */
export function createDnsControl(running: () => Network, network: () => Network | undefined): DnsControl {
  function networkOf(text = 'weft'): { readonly id: NetworkId; readonly shown: string } {
    const found = running().mesh.networks.get(text);
    if (found === undefined) throw new ControlError('unknown-network', `no network is called ${quote(text)}`);
    return { id: found.id, shown: found.name ?? found.id };
  }

  function hostOf(peer: NameView['peer']): string | null {
    if (peer === null) return null;
    return readPeerRecord(running().mesh.records.get(peer, 'peer'))?.nickname ?? peer;
  }

  function shown(view: NameView): readonly DnsName[] {
    const network = running().mesh.networks.get(view.network);
    return view.names.map((name) => ({
      name,
      network: network?.name ?? view.network,
      address: view.address,
      kind: view.peer === null ? 'static' : 'endpoint',
      host: hostOf(view.peer),
      endpoint: view.endpoint,
      reachable: view.reachable,
    }));
  }

  function staticOf(text: string, address: string, network: NetworkId): StaticName {
    const name = readName(text);
    const parsed = parseIpv4(address);
    if (name === undefined || name.length > LONGEST_STATIC_NAME) {
      throw new ControlError('bad-name', `${quote(text)} cannot be a name`);
    }
    if (!parsed.ok) throw new ControlError('bad-address', parsed.message);
    return { network, name, address: parsed.value };
  }

  return {
    list: () => ({ names: (network()?.names.names.view() ?? []).flatMap(shown).sort(compare) }),
    async lookup({ name, network }) {
      const { id, shown: where } = networkOf(network);
      const address = parseIpv4(name);
      const question = address.ok
        ? { name: reverseName(address.value), type: 'PTR' }
        : { name, type: /\.in-addr\.arpa\.?$/i.test(name) ? 'PTR' : 'A' };
      const found = running().names.names.resolve([id], question);
      const none = { name, network: where, addresses: [], names: [] };
      if (found.kind === 'addresses') return { ...none, addresses: found.addresses.map(formatIpv4) };
      if (found.kind === 'names') return { ...none, names: found.names };
      throw new ControlError('unknown-name', `nothing in the network ${where} is called ${quote(name)}`);
    },
    async add({ name, address, network }) {
      const { id, shown: where } = networkOf(network);
      const entry = staticOf(name, address, id);
      await running().names.statics.add(entry);
      const shownAddress = formatIpv4(entry.address);
      const by = { kind: 'static', host: null, endpoint: null, reachable: true } as const;
      return { name: entry.name, network: where, address: shownAddress, ...by };
    },
    async remove({ name, address, network }) {
      const { id, shown: where } = networkOf(network);
      const wanted = readName(name);
      const { statics } = running().names;
      const found = statics
        .all()
        .filter((one) => one.network === id && one.name === wanted)
        .filter((one) => address === undefined || formatIpv4(one.address) === address);
      if (found.length === 0) {
        const to = address === undefined ? '' : ` for ${quote(address)}`;
        throw new ControlError(
          'unknown-name',
          `nobody has added ${quote(name)}${to} to the network ${where}`,
        );
      }
      await Promise.all(found.map((one) => statics.remove(one)));
      const by = { kind: 'static', host: null, endpoint: null, reachable: true } as const;
      return {
        names: found.map((one) => ({
          name: one.name,
          network: where,
          address: formatIpv4(one.address),
          ...by,
        })),
      };
    },
  };
}

function compare(a: DnsName, b: DnsName): number {
  const keys = ['network', 'name', 'address'] as const;
  for (const key of keys) if (a[key] !== b[key]) return a[key] < b[key] ? -1 : 1;
  return 0;
}
