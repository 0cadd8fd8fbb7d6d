import assert from 'node:assert/strict';
import { type FileHandle, open } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { askOverTcp, askOverUdp } from '../../src/host/name-client.ts';
import type { NameServer } from '../../src/host/name-server.ts';
import { createLinuxNameSockets } from '../../src/host/name-sockets.ts';
import { openNamespaceSocket } from '../../src/host/namespace-socket.ts';
import { HostError } from '../../src/ports/host.ts';
import { RESOLVER, type SandboxNames } from '../../src/ports/name-sockets.ts';
import { silentLog } from '../hosts/log.ts';
import { createNamespaces, needsRoot } from '../hosts/namespaces.ts';
import { type NamesRig, namesContract } from './name-sockets.ts';
import { startDockerResolver } from './support/docker-resolver.ts';

async function createRig(): Promise<NamesRig> {
  const net = await createNamespaces();
  const handles = new Map<string, FileHandle>();
  const resolvers: NameServer[] = [];
  const opened: SandboxNames[] = [];
  const linux = createLinuxNameSockets({ netns: net.hostPath, resolvConf: '/dev/null', log: silentLog });
  const networkOf = (sandbox: string) => (handles.get(sandbox) as FileHandle).fd;
  return {
    sockets: {
      async open(sandbox, answer) {
        const names = await linux.open(sandbox, answer);
        opened.push(names);
        return names;
      },
    },
    async add(name) {
      const sandbox = await net.add(name);
      await net.run(sandbox, 'ip', 'link', 'set', 'lo', 'up');
      handles.set(sandbox, await open(`/run/netns/${sandbox}`));
      return sandbox;
    },
    remove: (sandbox) => net.remove(sandbox),
    query(sandbox, message, over) {
      const ask = over === 'udp' ? askOverUdp : askOverTcp;
      return ask({ ...RESOLVER, network: networkOf(sandbox) }, message, () => true, 1_000);
    },
    tamper: async (sandbox) => void (await net.run(sandbox, 'nft', 'delete', 'table', 'ip', 'weft-dns')),
    async addResolver(sandbox, answer) {
      resolvers.push(
        await startDockerResolver((...command) => net.run(sandbox, ...command), networkOf(sandbox), answer),
      );
    },
    async close() {
      for (const names of opened) await names.close();
      for (const resolver of resolvers) await resolver.close();
      for (const handle of handles.values()) await handle.close();
      await net.close();
    },
  };
}

describe('with namespaces of Linux', { skip: needsRoot }, () => {
  namesContract('sockets for names in network namespaces', createRig);

  test('a socket can be opened in a network namespace only', async () => {
    const file = await open('/dev/null');
    const plan = { kind: 'udp', role: 'serve', address: '127.0.0.1', port: 0 } as const;
    assert.throws(
      () => openNamespaceSocket({ ...plan, network: file.fd }),
      (error) => error instanceof HostError && /namespace EINVAL/.test(error.message),
    );
    await file.close();
    const own = await open('/proc/self/ns/net');
    const wrong: readonly object[] = [
      { ...plan, network: -1 },
      { ...plan, network: own.fd, port: 65_536 },
      { ...plan, network: own.fd, kind: 'raw' },
      { ...plan, network: own.fd, role: 'listen' },
      { ...plan, network: own.fd, address: 4 },
      { network: own.fd },
    ];
    for (const given of wrong) {
      assert.throws(() => openNamespaceSocket(given as Parameters<typeof openNamespaceSocket>[0]), HostError);
    }
    assert.throws(() => openNamespaceSocket({ ...plan, network: own.fd, address: 'localhost' }), /EINVAL/);
    await own.close();
  });
});
