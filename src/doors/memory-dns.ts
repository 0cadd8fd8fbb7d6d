import type { DnsControl, DnsName } from './dns-control.ts';
import { ControlError } from './errors.ts';

/** The twin of the daemon's DnsControl: the names of the twin's endpoints, and those that are added, in the network `weft`. */
export function createMemoryDns(endpoints: () => readonly DnsName[], requireMesh: () => void): DnsControl {
  let added: readonly DnsName[] = [];

  function check(network: string | undefined): void {
    requireMesh();
    if (network !== undefined && network !== 'weft') {
      throw new ControlError('unknown-network', `There is no network ${network}`);
    }
  }

  const unknown = (name: string) => new ControlError('unknown-name', `Nothing is called ${name}`);
  const all = () => [...endpoints(), ...added];

  return {
    list: () => ({ names: all() }),
    async lookup({ name, network }) {
      check(network);
      const called = all().filter((one) => one.name === name.toLowerCase());
      const having = all().filter((one) => one.address === name);
      if (called.length + having.length === 0) throw unknown(name);
      const addresses = called.map(({ address }) => address);
      return {
        name,
        network: 'weft',
        addresses,
        names: having.map((one) => `${one.name}.weft.weft.local`),
      };
    },
    async add({ name, address, network }) {
      check(network);
      if (name.length > 64 || /\.\.|\.weft\.local$/.test(name))
        throw new ControlError('bad-name', `${name} cannot be a name`);
      const by = { kind: 'static', host: null, endpoint: null, reachable: true } as const;
      const one: DnsName = { name: name.toLowerCase(), network: 'weft', address, ...by };
      added = [...added.filter((other) => other.name !== one.name || other.address !== address), one];
      return one;
    },
    async remove({ name, address, network }) {
      check(network);
      const gone = added.filter(
        (one) => one.name === name.toLowerCase() && (address ?? one.address) === one.address,
      );
      if (gone.length === 0) throw unknown(name);
      added = added.filter((one) => !gone.includes(one));
      return { names: gone };
    },
  };
}
