import type { NetworkId } from '../core/ids.ts';
import { ControlError } from './errors.ts';
import type { CreateNetworkRequest, NetworkControl, NetworkStatus } from './networks.ts';

/** Networks of the twin: subnets without a wish are 10.33.0.0/24 and on. */
export interface MemoryNetworks extends NetworkControl {
  list(): readonly NetworkStatus[];
  /** Throws `unknown-network`; `weft` when none is named. */
  find(nameOrId?: string): NetworkStatus;
  /** The wanted address, or a free one. Throws what stands against it. */
  claim(wanted: string | undefined, network: NetworkStatus): string;
}

/** `addressesIn` tells the addresses that endpoints have in a network, by its name, or in all of them. */
export function createMemoryNetworks(
  range: () => string,
  addressesIn: (network?: string) => readonly string[],
): MemoryNetworks {
  const made: NetworkStatus[] = [];
  let count = 0;

  const weft = (): NetworkStatus => ({ ...blank('weft', 'weft', range()), ...numbers('weft', 1_048_574) });
  const shown = (network: NetworkStatus): NetworkStatus => {
    return { ...network, ...numbers(network.name ?? network.id, 254) };
  };
  const list = () => [weft(), ...made.map(shown)];
  const get = (text: string) => list().find(({ id, name }) => id === text || name === text);

  function numbers(network: string, size: number) {
    const used = addressesIn(network).length;
    return { used, free: size - used };
  }

  function find(text = 'weft'): NetworkStatus {
    const found = get(text);
    if (found === undefined) throw new ControlError('unknown-network', `There is no network ${text}`);
    return found;
  }

  function nextAddress({ subnet }: NetworkStatus): string {
    const taken = new Set(addressesIn());
    const start = subnet.replace(/\d+\/\d+$/, '');
    for (let last = 1; last < 255; last++) {
      if (!taken.has(`${start}${last}`)) return `${start}${last}`;
    }
    throw new ControlError('no-space');
  }

  function claim(wanted: string | undefined, network: NetworkStatus): string {
    if (wanted === undefined) return nextAddress(network);
    if (!/^10\.(3[2-9]|4[0-7])\./.test(wanted))
      throw new ControlError('outside-range', `${wanted} is not in ${range()}`);
    if (wanted === '10.32.0.0' || wanted === '10.47.255.255') throw new ControlError('reserved');
    if (addressesIn().includes(wanted)) throw new ControlError('in-use', `${wanted} is in use`);
    return wanted;
  }

  function require(text: string): NetworkStatus {
    const found = find(text);
    if (found.id === 'weft') throw new ControlError('network-permanent');
    return found;
  }

  async function createNetwork(request: CreateNetworkRequest): Promise<NetworkStatus> {
    const { name, subnet = `10.33.${count}.0/24`, ...more } = request;
    if (name === 'weft') throw new ControlError('bad-network', `${name} is the first network`);
    const there = list().find((network) => network.subnet === subnet);
    if (there?.name === name) return there;
    if (there !== undefined) throw new ControlError('subnet-taken', `${subnet} belongs to ${there.name}`);
    if (!/^10\.(3[2-9]|4[0-7])\./.test(subnet)) {
      throw new ControlError('subnet-outside', `${subnet} is not in ${range()}`);
    }
    if (request.subnet === undefined && (more.gateway ?? more.ipRange ?? more.reserved) !== undefined) {
      throw new ControlError('bad-network', 'A gateway needs a subnet');
    }
    if (get(name) !== undefined) throw new ControlError('network-name-taken', `There is a network ${name}`);
    count += 1;
    const network = { ...blank(count.toString(16).padStart(16, '0'), name, subnet), ...more };
    made.push(network);
    return shown(network);
  }

  return {
    list,
    find,
    claim,
    createNetwork,
    async removeNetwork({ network: text }) {
      const network = require(text);
      const used = addressesIn(network.name ?? network.id);
      if (used.length > 0) {
        throw new ControlError('network-in-use', `${text} has endpoints on this host: ${used.join(', ')}`);
      }
      made.splice(
        made.findIndex(({ id }) => id === network.id),
        1,
      );
      return network;
    },
    async renameNetwork({ network: text, name }) {
      const network = require(text);
      if (get(name) !== undefined && name !== network.name) throw new ControlError('network-name-taken');
      const at = made.findIndex(({ id }) => id === network.id);
      const renamed = { ...network, name };
      made[at] = renamed;
      return renamed;
    },
  };
}

function blank(id: string, name: string, subnet: string): NetworkStatus {
  const none = { clash: null, internal: false, gateway: null, reserved: [], ipRange: null, options: {} };
  return { id: id as NetworkId, name, subnet, ...none, used: 0, free: 0 };
}
