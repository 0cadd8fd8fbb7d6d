import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PeerId } from '../../src/core/ids.ts';
import { chooseSurplus, chooseTargets, type Situation, successor } from '../../src/mesh/links/choice.ts';
import { dialAny } from '../../src/mesh/links/dial.ts';
import { createRedial } from '../../src/mesh/redial.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';
import { createSeededRandom } from '../../src/ports/memory/random.ts';
import { DialError, type Door, type Link } from '../../src/ports/transport.ts';

function createWorld() {
  const clock = createVirtualClock();
  const tries: { target: string; at: number; signal: AbortSignal }[] = [];
  const answers = new Map<string, () => Promise<void>>();
  const redial = createRedial<string>({
    clock,
    random: createSeededRandom('redial'),
    dial: (target, signal) => {
      tries.push({ target, at: clock.now(), signal });
      return answers.get(target)?.() ?? Promise.reject(new Error(`${target} does not answer`));
    },
  });
  return { clock, tries, answers, redial };
}

test('a target that never answers is tried for ever, soon at first, once a minute in the end', async () => {
  const { clock, tries, redial } = createWorld();
  redial.want(new Map([['a', 30]]));
  await clock.advance(3_600_000);
  assert.equal(tries[0]?.at, 30);
  const gaps = tries.slice(1).map(({ at }, index) => at - (tries[index]?.at ?? 0));
  assert.ok((gaps[0] ?? 0) >= 1_000 && (gaps[0] ?? 0) <= 1_250, `second try after ${gaps[0]} ms`);
  for (const gap of gaps) assert.ok(gap >= 1_000 && gap <= 60_000, `${gap} ms`);
  const late = gaps.slice(10);
  assert.ok(late.length > 50 && late.every((gap) => gap >= 36_000));
  assert.ok(new Set(late).size > 20, 'the times are not in step');
  assert.equal(redial.states().get('a')?.lastError, 'a does not answer');
});

test('what is not wanted any more is given up, and its failures are remembered', async () => {
  const { clock, tries, answers, redial } = createWorld();
  redial.want(new Map([['a', 0]]));
  await clock.advance(10_000);
  const count = tries.length;
  const rest = redial.states().get('a')?.nextTry ?? 0;
  redial.want(new Map());
  await clock.advance(Math.floor(rest / 2));
  assert.equal(redial.isReady('a'), false, 'it still rests');
  redial.want(new Map([['a', 0]]));
  await clock.advance(Math.floor(rest / 4));
  assert.equal(tries.length, count, 'wanting it again does not shorten its rest');

  answers.set('a', () => new Promise(() => {}));
  await clock.advance(60_000);
  const trying = tries.at(-1);
  assert.equal(redial.states().get('a')?.state, 'dialling');
  redial.want(new Map());
  assert.equal(trying?.signal.aborted, true);
});

test('good news makes everybody worth a try at once', async () => {
  const { clock, tries, redial } = createWorld();
  redial.want(new Map([['a', 0]]));
  await clock.advance(200_000);
  const before = tries.length;
  redial.hurry();
  await clock.advance(200);
  assert.equal(tries.length, before + 1);
  assert.ok((redial.states().get('a')?.nextTry ?? 0) < 3_000);
});

test('a success wipes the slate', async () => {
  const { clock, tries, answers, redial } = createWorld();
  redial.want(new Map([['a', 0]]));
  await clock.advance(30_000);
  answers.set('a', async () => {});
  await clock.advance(60_000);
  assert.equal(redial.states().size, 0);
  const count = tries.length;
  answers.delete('a');
  redial.want(new Map());
  redial.want(new Map([['a', 0]]));
  await clock.advance(1_500);
  assert.equal(tries.length, count + 2, 'as if it had never failed');
});

const DOORS: readonly Door[] = ['new', 'old'].map((name) => ({ name, secret: new Uint8Array(32) }));

function fakeLink(address: string, closed: string[]): Link {
  return {
    remote: 'peer' as PeerId,
    remoteAddress: address,
    door: 'new',
    direction: 'dialled',
    send: () => true,
    receive() {},
    close: () => void closed.push(address),
  };
}

test('all addresses are dialled at once: two black holes do not hide the one that works', async () => {
  const closed: string[] = [];
  const given: string[] = [];
  const transport = {
    dial: (address: string, _door: Door, signal?: AbortSignal): Promise<Link> => {
      if (address.startsWith('good')) return Promise.resolve(fakeLink(address, closed));
      return new Promise((_, reject) => {
        signal?.addEventListener('abort', () => {
          given.push(address);
          reject(new DialError('timeout', 'given up'));
        });
      });
    },
  };
  const addresses = ['hole:1', 'hole:2', 'good:3', 'good:4'];
  const link = await dialAny({ transport, doors: DOORS, addresses, signal: new AbortController().signal });
  assert.equal(link.remoteAddress, 'good:3');
  await Promise.resolve();
  assert.deepEqual(given, ['hole:1', 'hole:2']);
  assert.deepEqual(closed, ['good:4'], 'the one that came too late is not left open');
});

test('a peer that does not know the current epoch yet is dialled by the previous door', async () => {
  const doors: string[] = [];
  const transport = {
    dial: async (address: string, door: Door) => {
      doors.push(door.name);
      if (door.name === 'new') throw new DialError('old-epoch', 'not known here');
      return fakeLink(address, []);
    },
  };
  const signal = new AbortController().signal;
  await dialAny({ transport, doors: DOORS, addresses: ['a:1'], signal });
  assert.deepEqual(doors, ['new', 'old']);
});

test('of many failures the one that says most is told, with the others behind it', async () => {
  const answers = new Map([
    ['a:1', new DialError('timeout', 'a:1: no answer')],
    ['b:1', new DialError('removed', 'b:1: refused: removed')],
  ]);
  const transport = { dial: (address: string) => Promise.reject(answers.get(address)) };
  const signal = new AbortController().signal;
  const dialled = dialAny({ transport, doors: DOORS, addresses: [...answers.keys()], signal });
  await assert.rejects(dialled, { reason: 'removed', message: 'a:1: no answer; b:1: refused: removed' });
  const nowhere = dialAny({ transport, doors: DOORS, addresses: [], signal });
  await assert.rejects(nowhere, { reason: 'unreachable' });
});

const names = (count: number) =>
  Array.from({ length: count }, (_, index) => `p${String(index).padStart(2, '0')}` as PeerId);

function situation(changes: Partial<Situation> & { others: readonly PeerId[] }): Situation {
  const random = createSeededRandom('choice');
  return {
    self: 'p05x' as PeerId,
    settled: true,
    isSearching: true,
    isLinked: () => false,
    isUp: () => true,
    isDialable: () => true,
    isTried: () => false,
    isReady: () => true,
    fraction: () => random.fraction(),
    ...changes,
  };
}

test('up to eight others are all linked', () => {
  const others = names(8);
  const linked = new Set(others.slice(0, 3));
  const chosen = chooseTargets(
    situation({ others, isLinked: (peer) => linked.has(peer), isUp: () => false }),
  );
  assert.deepEqual(chosen, others.slice(3));
  assert.deepEqual(chooseTargets(situation({ others, isDialable: () => false })), []);
});

test('of more, as many are dialled as are missing, two at a time, and the next by id besides', () => {
  const others = names(40);
  const count = (linked: number, settled: boolean) => {
    const links = new Set(others.slice(20, 20 + linked));
    return chooseTargets(situation({ others, settled, isLinked: (peer) => links.has(peer) }));
  };
  assert.equal(count(0, false).length, 2);
  assert.equal(count(5, false).length, 1);
  assert.equal(count(6, false).length, 0);
  assert.deepEqual(count(6, true), ['p06']);
});

test('one member that nobody reaches is tried at a time, and only by who has links', () => {
  const others = names(40);
  const links = new Set(others.slice(6, 12));
  const lost = new Set(others.slice(30));
  const isLinked = (peer: PeerId) => links.has(peer);
  const isUp = (peer: PeerId) => !lost.has(peer);
  const chosen = chooseTargets(situation({ others, isLinked, isUp }));
  assert.equal(chosen.length, 1);
  assert.ok(lost.has(chosen[0] as PeerId));
  const isTried = (peer: PeerId) => peer === chosen[0];
  assert.deepEqual(chooseTargets(situation({ others, isLinked, isUp, isTried })), chosen);
  assert.deepEqual(chooseTargets(situation({ others, isLinked, isUp, isSearching: false })), [], 'in turns');
  const alone = chooseTargets(situation({ others, isUp: () => false }));
  assert.ok(alone.length > 0, 'who has no link tries anybody');
});

test('the ring of ids closes: after the last comes the first that is up', () => {
  const others = names(12);
  const self = 'p99' as PeerId;
  assert.equal(successor(situation({ self, others })), 'p00');
  assert.equal(successor(situation({ self, others, isUp: (peer) => peer > 'p03' })), 'p04');
  assert.equal(successor(situation({ others })), 'p06');
  assert.equal(successor(situation({ others, isUp: () => false })), undefined);
});

test('a link is given up only where both sides have more than they need', () => {
  const others = names(40);
  const links = new Set(others.slice(0, 10));
  const now = situation({ others, isLinked: (peer) => links.has(peer) });
  const dialled = others.slice(4, 8);
  assert.equal(
    chooseSurplus(now, dialled, () => 8),
    undefined,
  );
  const surplus = chooseSurplus(now, dialled, (peer) => (peer === 'p07' || peer === 'p06' ? 9 : 8));
  assert.equal(surplus, 'p07', 'p06 is the next by id and stays');
  const few = situation({ others, isLinked: (peer) => links.has(peer) && peer < 'p08' });
  assert.equal(
    chooseSurplus(few, dialled, () => 20),
    undefined,
  );
});
