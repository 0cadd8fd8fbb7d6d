import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DockerDoor } from '../../docker-plugin/door.ts';
import { createPluginServer } from '../../docker-plugin/server.ts';
import { silentLog } from '../hosts/log.ts';
import { createDockerWorld, type DockerWorld } from '../unit/support/docker-world.ts';
import { callPlugin, createReplay, type Replay, readScenarios } from './support/docker-replay.ts';

const scenarios = readScenarios();
const runs = [...new Set(scenarios.map(({ engine, run }) => `${engine} ${run}`))];

test('the recording is whole', () => {
  assert.equal(scenarios.length, 227);
  assert.deepEqual(new Set(scenarios.map(({ engine }) => engine)), new Set(['20.10.24', '28.5.2', '29.7.2']));
});

for (const name of runs) {
  test(`what dockerd said in run ${name} is answered, and nothing is left behind that Docker does not have`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'weft-plugin-'));
    const socket = join(folder, 'weft.sock');
    const world = createDockerWorld();
    const door = await world.live();
    const plugin = createPluginServer({
      door: async () => door,
      explain: String,
      scope: 'local',
      clock: world.clock,
      log: silentLog,
    });
    await new Promise<void>((resolve) => plugin.server.listen(socket, resolve));
    try {
      const replay = createReplay(
        (method, body, engine) => callPlugin(socket, method, body, engine),
        (link, endpoint) => {
          world.machine.addSandbox(endpoint);
          world.machine.takeOffer(link, endpoint, 'eth0');
        },
      );
      for (const scenario of scenarios.filter(({ engine, run }) => `${engine} ${run}` === name)) {
        await replay.play(scenario);
        agree(world, door, replay, scenario.title);
      }
      assert.ok(replay.counts.played > 0);
      assert.ok(replay.counts.left * 4 < replay.counts.played, JSON.stringify(replay.counts));
      await forgetAll(world, door, replay);
    } finally {
      await plugin.close();
      await rm(folder, { recursive: true });
    }
  });
}

/** Networks, endpoints, links and addresses are those that Docker has been told of and has not given back. */
function agree(world: DockerWorld, door: DockerDoor, { belief }: Replay, title: string): void {
  const sorted = (items: Iterable<string>) => [...items].sort();
  assert.deepEqual(sorted(door.networks().map(({ id }) => id)), sorted(belief.networks), title);
  assert.deepEqual(sorted(door.endpoints().map(({ id }) => id)), sorted(belief.endpoints.keys()), title);
  const held = door.endpoints().map(({ network, address }) => `${network} ${address}`);
  for (const lease of held) assert.ok(belief.leases.has(lease), `${title}: ${lease}`);
  for (const address of world.leases.values()) {
    assert.ok(
      [...belief.leases].some((lease) => lease.endsWith(` ${address}`)),
      `${title}: ${address} is leaked`,
    );
  }
  assert.deepEqual(sorted(world.networks.keys()), sorted(['weft', ...belief.pools.keys()]), title);
}

/** What Docker lost while its plugin was down is what the engine part finds in Docker's lists. */
async function forgetAll(world: DockerWorld, door: DockerDoor, replay: Replay): Promise<void> {
  await door.start();
  for (const { id } of door.endpoints()) await door.forgetEndpoint(id);
  for (const { id } of door.networks()) await door.forgetNetwork(id);
  await world.clock.advance(120_000);
  await door.stop();
  assert.deepEqual([...world.leases], [], JSON.stringify([...replay.belief.leases]));
  assert.deepEqual(world.machine.offers(), []);
  assert.deepEqual(door.endpoints(), []);
  assert.deepEqual(door.networks(), []);
}
