import type { LinkState } from '../../../src/host/tables.ts';

/** A link of our group as the kernel shows it, up and without addresses. */
export function linkState(index: number, name: string, more: Partial<LinkState> = {}): LinkState {
  return {
    index,
    name,
    kind: 'veth',
    peer: 2,
    group: 173,
    alias: undefined,
    mac: '0e:57:00:00:00:01',
    mtu: 1400,
    queue: 0,
    up: true,
    carrier: true,
    signal: true,
    vxlan: undefined,
    addresses: [],
    addresses6: [],
    ...more,
  };
}
