import { createLinuxHost } from '../../src/host/linux.ts';
import { silentLog } from '../hosts/log.ts';
import { createNamespaces, needsRoot } from '../hosts/namespaces.ts';
import { hostContract } from './host.ts';

interface Prefix {
  readonly addr: string;
  readonly len: number;
}

hostContract('Host on Linux', needsRoot, async () => {
  const namespaces = await createNamespaces();
  const { hostPath, stateDirectory } = namespaces;
  const ip = (namespace: string, ...words: string[]) => namespaces.run(namespace, 'ip', ...words);
  // A host without any address has no table of local addresses, which the kernel asks about gateways.
  await namespaces.run('host', 'ip', 'link', 'set', 'lo', 'up');
  const interfaces = async (sandbox: string) => {
    const rows = JSON.parse(await namespaces.run(sandbox, 'ip', '-json', 'link')) as { ifname: string }[];
    return rows
      .map(({ ifname }) => ifname)
      .filter((name) => name !== 'lo')
      .sort();
  };
  return {
    start: () => createLinuxHost({ stateDirectory, netns: hostPath, log: silentLog }),
    async addSandbox(name, wanted = []) {
      const sandbox = await namespaces.add(name);
      for (const link of wanted) await namespaces.run(sandbox, 'ip', 'link', 'add', link, 'type', 'bridge');
      return sandbox;
    },
    removeSandbox: (sandbox) => namespaces.remove(sandbox),
    interfaces,
    async setDown(sandbox) {
      for (const name of await interfaces(sandbox)) {
        await namespaces.run(sandbox, 'ip', 'link', 'set', name, 'down');
      }
    },
    async takeOffer(link, sandbox, name, address) {
      await ip('host', 'link', 'set', link, 'netns', sandbox, 'name', name);
      await ip(sandbox, 'address', 'add', address, 'dev', name);
      await ip(sandbox, 'link', 'set', name, 'up');
    },
    async offers() {
      const rows = JSON.parse(await ip('host', '-json', 'link')) as { ifname: string }[];
      return rows.map(({ ifname }) => ifname).filter((name) => name.startsWith('wfo'));
    },
    async networks() {
      const text = await namespaces
        .run('host', 'nft', '-json', 'list', 'set', 'inet', 'weft-networks', 'apart')
        .catch(() => '{"nftables":[]}');
      const { nftables } = JSON.parse(text) as { nftables: { set?: { elem: { prefix: Prefix }[] } }[] };
      const elements = nftables.flatMap(({ set }) => set?.elem ?? []);
      return elements.map(({ prefix: { addr, len } }) => `${addr}/${len}`).sort();
    },
    close: () => namespaces.close(),
  };
});
