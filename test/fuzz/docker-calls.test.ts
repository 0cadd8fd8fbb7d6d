import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { DockerDoor } from '../../docker-plugin/door.ts';
import { DockerError } from '../../docker-plugin/errors.ts';
import { createMethods } from '../../docker-plugin/methods.ts';
import { type JsonObject, parseObject } from '../../src/core/json.ts';
import { SpaceError } from '../../src/mesh/space.ts';
import { HostError } from '../../src/ports/host.ts';
import { createDockerWorld } from '../unit/support/docker-world.ts';

const METHODS = [...createMethods('local')];
const FIELDS = [
  ...['AddressSpace', 'Pool', 'SubPool', 'Options', 'V6', 'PoolID', 'Address', 'NetworkID', 'EndpointID'],
  ...[
    'IPv4Data',
    'IPv6Data',
    'Interface',
    'SandboxKey',
    'MacAddress',
    'AddressIPv6',
    '__proto__',
    'constructor',
  ],
];
/** Few enough that calls meet what earlier ones made. */
const TEXTS = [
  ...[
    '',
    'weft',
    '0000000000000000',
    'WeftLocal',
    'LocalDefault',
    '10.50.0.0/24',
    '10.50.0.0/33',
    '10.50.0.7',
  ],
  ...[
    '10.50.0.7/24',
    '010.50.0.7',
    'fd00::/64',
    '::ffff:10.50.0.7',
    'aa',
    'bb',
    '../..',
    '02:00:00:00:00:01',
  ],
  ...['01:00:00:00:00:01', '/run/netns/box', 'com.docker.network.gateway', '\0', 'x'.repeat(5_000)],
];

const leaf = fc.oneof(fc.constantFrom(...TEXTS), fc.boolean(), fc.constant(null), fc.double(), fc.string());
const { body } = fc.letrec<{ value: unknown; body: Record<string, unknown> }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    { arbitrary: leaf, weight: 5 },
    fc.array(tie('value'), { maxLength: 3 }),
    tie('body'),
  ),
  body: fc.dictionary(
    fc.oneof({ arbitrary: fc.constantFrom(...FIELDS), weight: 9 }, fc.string()),
    tie('value'),
    { maxKeys: 8 },
  ),
}));

/** What a call that is right in everything looks like, so that some get far. */
const plausible = fc.constantFrom<JsonObject>(
  { AddressSpace: 'WeftLocal', Pool: '10.50.0.0/24', SubPool: '', Options: null, V6: false },
  { AddressSpace: 'WeftGlobal', Pool: '10.50.0.0/24', SubPool: '', Options: null, V6: false },
  { PoolID: '0000000000000000', Address: '', Options: null },
  { PoolID: 'swarm-0000000000000000', Address: '', Options: null },
  { PoolID: '0000000000000000', Address: '10.50.0.7', Options: null },
  {
    NetworkID: 'aa',
    Options: {},
    IPv4Data: [{ AddressSpace: 'WeftLocal', Pool: '10.50.0.0/24' }],
    IPv6Data: [],
  },
  { NetworkID: 'aa', EndpointID: 'bb', Interface: { Address: '10.50.0.7/24' }, Options: {} },
  { NetworkID: 'aa', EndpointID: 'bb', SandboxKey: '/run/netns/box' },
);
const story = fc.array(fc.tuple(fc.nat(), fc.oneof(body, plausible)), { minLength: 1, maxLength: 30 });

test('whatever Docker says, the answer is a reply or an error of ours, and nothing is left when all is forgotten', async () => {
  await fc.assert(
    fc.asyncProperty(story, async (calls) => {
      const world = createDockerWorld();
      const door = await world.live();
      for (const [which, data] of calls) await tryCall(door, which, data);
      for (const { id } of door.endpoints()) await door.forgetEndpoint(id);
      for (const { id } of door.networks()) await door.forgetNetwork(id);
      await door.start();
      await world.clock.advance(120_000);
      await door.stop();
      assert.deepEqual(world.machine.offers(), []);
      assert.deepEqual(door.endpoints(), []);
    }),
    { numRuns: 200 },
  );
});

async function tryCall(door: DockerDoor, which: number, data: unknown): Promise<void> {
  const [name, method] = METHODS[which % METHODS.length] ?? assert.fail();
  try {
    const parsed = parseObject(JSON.stringify(data));
    const reply = method.kind === 'fixed' ? method.run(parsed) : await method.run(door, parsed);
    assert.equal(typeof reply, 'object', name);
    assert.doesNotThrow(() => JSON.stringify(reply), name);
  } catch (error) {
    const typed = error instanceof DockerError || error instanceof SpaceError || error instanceof HostError;
    const ours =
      typed || (error as Error).name === 'JsonError' || /^endpoints are in it/.test((error as Error).message);
    assert.ok(ours, `${name}: ${(error as Error).stack}`);
  }
}
