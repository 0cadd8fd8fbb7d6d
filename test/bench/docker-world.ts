import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDockerDoor } from '../../docker-plugin/door.ts';
import { createPluginServer } from '../../docker-plugin/server.ts';
import type { Identity } from '../../src/core/crypto.ts';
import { createSystemClock } from '../../src/host/clock.ts';
import { nodeCrypto } from '../../src/host/crypto.ts';
import { createFileStore } from '../../src/host/file-store.ts';
import { systemRandom } from '../../src/host/random.ts';
import { openKeeper } from '../../src/mesh/keeper.ts';
import { foundMesh, openMembershipState } from '../../src/mesh/membership-state.ts';
import { startMesh } from '../../src/mesh/mesh.ts';
import { createMemoryWire } from '../../src/ports/memory/datagram-wire.ts';
import { openMemoryDatapath } from '../../src/ports/memory/datapath.ts';
import { createMemoryHost, createMemoryMachine } from '../../src/ports/memory/host.ts';
import { createMemoryNetwork } from '../../src/ports/memory/transport.ts';
import { callPlugin } from '../contract/support/docker-replay.ts';
import { silentLog } from '../hosts/log.ts';

/** The Docker door of a mesh of one host as weftd composes it, with its state on disk; links and packets are tables in memory. */
export interface DockerBench {
  /** One call as dockerd makes it. Rejects with the driver's words. */
  call<T>(method: string, body: object): Promise<T>;
  close(): Promise<void>;
}

const ADDRESS = '198.18.0.1';
/** 10.32.0.0/12. */
const RANGE = { start: 0x0a20_0000, last: 0x0a2f_ffff };

export async function createDockerBench(): Promise<DockerBench> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-docker-bench-'));
  const [clock, random, log, crypto] = [createSystemClock(), systemRandom, silentLog, nodeCrypto];
  const keeper = await openKeeper({ store: createFileStore({ directory: folder, name: 'state' }) });
  const seed = random.bytes(32);
  const publicKey = crypto.publicKey(seed);
  const identity: Identity = { seed, publicKey, peer: crypto.peerId(publicKey) };
  const state = openMembershipState(keeper, { crypto, identity });
  await foundMesh({ crypto, random, identity, state, range: RANGE });
  const network = createMemoryNetwork({ clock, random });
  const wire = createMemoryWire({ clock, latency: 1 });
  const reach = { control: [`${ADDRESS}:6783`], data: [`${ADDRESS}:6783`] };
  const mesh = await startMesh({
    ...{ identity, crypto, clock, random, log, keeper, state },
    openTransport: async (doorkeeper) => network.transport(identity.peer, { doorkeeper, host: ADDRESS }),
    openDatapath: (onEvent) => {
      const device = { device: 'weft0', port: 6783, address: '::', onEvent };
      return openMemoryDatapath(device, { wire, clock, host: ADDRESS });
    },
    settings: { nickname: 'bench', release: '0.0.0', listen: ['0.0.0.0:6783'], reach, aes: true },
  });
  const host = createMemoryHost(createMemoryMachine());
  const { networks, space } = mesh;
  const self = identity.peer;
  const door = createDockerDoor({
    self,
    driver: 'weft',
    scope: 'local',
    networks,
    space,
    host,
    keeper,
    clock,
    random,
    log,
    mtu: 1400,
    meshMtu: () => 1400,
  });
  await door.start();
  const plugin = createPluginServer({ door: async () => door, explain: String, scope: 'local', clock, log });
  const socket = join(folder, 'weft.sock');
  await new Promise<void>((resolve) => plugin.server.listen(socket, resolve));
  return {
    async call<T>(method: string, body: object) {
      const answer = await callPlugin(socket, method, JSON.stringify(body));
      if (answer.status !== 200) throw new Error(`${method}: ${answer.body.Err}`);
      return answer.body as T;
    },
    async close() {
      await plugin.close();
      await door.stop();
      await mesh.close();
      await rm(folder, { recursive: true });
    },
  };
}
