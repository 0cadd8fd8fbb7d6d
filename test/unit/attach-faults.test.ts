import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Endpoints } from '../../src/attach/endpoints.ts';
import { createMemoryHost } from '../../src/ports/memory/host.ts';
import { createFault, createWorld, type Fault, type World } from './support/attach-world.ts';

/**
 * One change, with a fault at each call that it makes to the machine, the disk and the addresses in turn. Afterwards, at the latest
 * when the next look (or the next life, after a crash) has reconciled, link, address and record of each endpoint are there
 * together or gone together.
 */
interface Story {
  readonly title: string;
  /** Without faults. */
  before(endpoints: Endpoints, world: World): Promise<unknown>;
  change(endpoints: Endpoints): Promise<unknown>;
  /** How many endpoints there are when the change succeeded, and when it was refused. */
  readonly done: number;
  readonly refused: readonly number[];
}

const nothing = async () => undefined;
const STORIES: readonly Story[] = [
  {
    title: 'attach',
    before: nothing,
    change: (endpoints) => endpoints.attach({ sandbox: 'web', name: 'front' }),
    done: 1,
    refused: [0],
  },
  {
    title: 'a second attach of the same sandbox',
    before: (endpoints) => endpoints.attach({ sandbox: 'web', name: 'front' }),
    change: (endpoints) => endpoints.attach({ sandbox: 'web', name: 'back' }),
    done: 1,
    refused: [1],
  },
  {
    title: 'detach',
    before: (endpoints) => endpoints.attach({ sandbox: 'web' }),
    change: (endpoints) => endpoints.detach('web'),
    done: 0,
    refused: [0, 1],
  },
  { title: 'expose', before: nothing, change: (endpoints) => endpoints.expose(), done: 1, refused: [0] },
  {
    title: 'hide',
    before: (endpoints) => endpoints.expose(),
    change: (endpoints) => endpoints.hide(),
    done: 0,
    refused: [0, 1],
  },
  {
    title: 'reconcile',
    async before(endpoints, world) {
      world.machine.addSandbox('gone');
      const { id } = await endpoints.attach({ sandbox: 'web' });
      await endpoints.attach({ sandbox: 'gone' });
      world.machine.tamper(id, 'delete');
      world.machine.removeSandbox('gone');
    },
    change: (endpoints) => endpoints.reconcile(),
    done: 1,
    refused: [1],
  },
];
const KINDS = ['refuse', 'lose', 'crash-before', 'crash-after'] as const;

for (const story of STORIES) {
  for (const kind of KINDS) {
    test(`${story.title}: ${kind} at any step leaks nothing`, async () => {
      let at = 1;
      while (await tell(story, createFault(kind, at))) at++;
      assert.ok(at > 2, `only ${at - 1} steps were tried`);
    });
  }
}

/** False when the change made fewer calls than the fault waits for. */
async function tell(story: Story, fault: Fault): Promise<boolean> {
  const world = createWorld();
  world.machine.addSandbox('web');
  let endpoints = await world.live(fault);
  await story.before(endpoints, world);
  fault.arm();
  const changed = story.change(endpoints).then(
    () => 'done' as const,
    () => 'refused' as const,
  );
  const outcome = await Promise.race([changed, fault.crashed]);
  if (!fault.hit()) {
    assert.equal(outcome, 'done');
    return false;
  }
  if (outcome === 'crashed') endpoints = await world.live();
  await endpoints.reconcile();
  const step = `${story.title}, ${fault.kind} at ${fault.at}`;
  const count = await agreeing(world, endpoints, step);
  const wanted = { done: [story.done], refused: story.refused, crashed: [story.done, ...story.refused] }[
    outcome
  ];
  assert.ok(wanted.includes(count), `${step}: ${outcome}, and there are ${count} endpoints`);
  await endpoints.attach({ sandbox: 'web', name: 'again' });
  await agreeing(world, await world.live(), `${step}, then once more`);
  return true;
}

/** Checks that machine, addresses and records tell of the same endpoints; how many. */
async function agreeing(world: World, endpoints: Endpoints, step: string): Promise<number> {
  const listed = endpoints.list();
  const ids = listed.map(({ id }) => id).sort();
  const links = await createMemoryHost(world.machine).plugged();
  const sandboxes = listed.filter(({ kind }) => kind === 'sandbox');
  assert.deepEqual([...world.allocated.keys()].sort(), ids, `${step}: addresses`);
  assert.deepEqual(
    links.map(({ endpoint }) => endpoint).sort(),
    sandboxes.map(({ id }) => id).sort(),
    `${step}: links`,
  );
  for (const { id, address } of listed) assert.equal(world.allocated.get(id), address, step);
  const exposed = listed.filter(({ kind }) => kind === 'host').map(({ address }) => `${address}/12`);
  assert.deepEqual([...world.machine.hostAddresses()], exposed, `${step}: addresses of the host`);
  return listed.length;
}
