import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeToken } from '../../src/core/token.ts';
import { JoinError } from '../../src/mesh/join.ts';
import { JOIN_PATIENCE, joinPatiently } from '../../src/mesh/patient-join.ts';
import { DialError, type DialFailure, type Transport } from '../../src/ports/transport.ts';
import { createJoinWorld, within } from './support/join-world.ts';
import { silent } from './support/membership-world.ts';

/** A joiner whose first dials end as listed; all the later ones as the last of them, `ok` being the network's own answer. */
async function slowWorld(...outcomes: readonly (DialFailure | 'ok')[]) {
  const world = createJoinWorld();
  const issuer = await within(world.clock, world.startIssuer(world.newMachine()));
  const { token } = await within(world.clock, issuer.invites.issue({ ttl: 3_600_000, uses: 9 }));
  const joiner = await world.startJoiner();
  const told: string[] = [];
  let dials = 0;
  const dial: Transport['dial'] = async (...words) => {
    const outcome = outcomes[Math.min(dials++, outcomes.length - 1)] ?? 'ok';
    if (outcome === 'ok') return joiner.transport.dial(...words);
    throw new DialError(outcome, `the network says ${outcome}`);
  };
  const { clock, identity, state } = joiner;
  const parts = {
    crypto: world.crypto,
    clock,
    identity,
    transport: { ...joiner.transport, dial },
    state,
    log: silent,
    about: { nickname: 'joiner', version: '1', control: [], data: [] },
    onRetry: (text: string) => void told.push(text),
  };
  const join = (signal?: AbortSignal) => joinPatiently(parts, decodeToken(token, world.crypto), signal);
  return { world, issuer, joiner, told, join, dials: () => dials };
}

async function codeOf(joining: Promise<unknown>): Promise<string> {
  try {
    await joining;
    return 'joined';
  } catch (error) {
    assert.ok(error instanceof JoinError, String(error));
    return error.code;
  }
}

test('a host that is slow or busy is asked again, and each further try is told', async () => {
  const { world, joiner, told, join, dials } = await slowWorld('timeout', 'busy', 'old-epoch', 'ok');
  assert.equal((await within(world.clock, join())).fresh, true);
  assert.equal(joiner.state.get()?.phase, 'member');
  assert.equal(dials(), 4);
  assert.equal(told.length, 3);
  assert.match(told[0] ?? '', /did not answer in time: asking again/);
});

test('a link that breaks off in the middle is no end', async () => {
  const { world, issuer, joiner, told, join } = await slowWorld('ok');
  const joining = join();
  await world.clock.runUntil(() => joiner.state.get() !== null, 10_000);
  world.network.cut(issuer.identity.peer, joiner.identity.peer);
  assert.equal((await within(world.clock, joining)).fresh, true);
  assert.equal(told.length, 1);
});

test('patience has an end, and the last answer counts', async () => {
  const { world, join, dials } = await slowWorld('busy');
  const began = world.clock.now();
  assert.equal(await codeOf(within(world.clock, join())), 'busy');
  const took = world.clock.now() - began;
  assert.ok(took > JOIN_PATIENCE / 2 && took <= JOIN_PATIENCE, `${took} ms`);
  assert.ok(dials() > 4);
});

test('what will be the same in a minute is told at once', async () => {
  for (const failure of ['unreachable', 'used-up', 'bad-secret', 'removed'] as const) {
    const { world, join, dials } = await slowWorld(failure);
    assert.equal(await codeOf(within(world.clock, join())), failure);
    assert.equal(dials(), 1);
  }
});

test('who stops waiting is not kept by a pause', async () => {
  const { world, join, dials } = await slowWorld('busy');
  const stop = new AbortController();
  const joining = codeOf(join(stop.signal));
  await world.clock.runUntil(() => dials() === 3, 20_000);
  stop.abort();
  await world.clock.settle();
  assert.equal(await joining, 'busy');
  assert.equal(dials(), 3);
});
