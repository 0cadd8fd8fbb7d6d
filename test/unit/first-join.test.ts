import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFirstJoin } from '../../src/daemon/first-join.ts';
import { createPhases } from '../../src/daemon/phases.ts';
import { ControlError } from '../../src/doors/errors.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';
import { silentLog } from '../hosts/log.ts';

const TOKEN = 'wf1_abc';

/** A host whose tries end as listed, in turn; after the last it is in the mesh. */
function host(...failures: readonly Error[]) {
  const clock = createVirtualClock();
  const phases = createPhases();
  const tries: string[] = [];
  const join = async ({ token }: { readonly token: string }) => {
    tries.push(token);
    const failure = failures[tries.length - 1];
    if (failure !== undefined) throw failure;
    phases.enter('ready', 'the network is up');
    return true;
  };
  const firstJoin = (token: string | null) =>
    createFirstJoin({ token, runner: { phases, join }, clock, log: silentLog });
  return { clock, phases, tries, firstJoin };
}

test('a host that is set up before the one that invited it joins as soon as that answers', async () => {
  const { clock, phases, tries, firstJoin } = host(new Error('nobody answers'), new Error('nobody answers'));
  const joined = firstJoin(TOKEN).run();
  await clock.advance(1_000);
  assert.equal(tries.length, 2);
  await clock.advance(2_000);
  await joined;
  assert.deepEqual(tries, [TOKEN, TOKEN, TOKEN]);
  assert.equal(phases.get().state, 'ready');
});

test('a host that has a mesh, or no token, asks nobody', async () => {
  const { phases, tries, firstJoin } = host();
  await firstJoin(null).run();
  phases.enter('ready', 'the network is up');
  await firstJoin(TOKEN).run();
  assert.deepEqual(tries, []);
});

test('a token that can never be good is tried once', async () => {
  const { tries, firstJoin } = host(new ControlError('bad-token', 'cut off'));
  await firstJoin(TOKEN).run();
  assert.equal(tries.length, 1);
});

test('the end of the daemon is not waited for', async () => {
  const { clock, tries, firstJoin } = host(new Error('nobody answers'));
  const join = firstJoin(TOKEN);
  const run = join.run();
  await clock.settle();
  join.stop();
  await run;
  assert.equal(tries.length, 1);
});
