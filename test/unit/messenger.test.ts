import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PeerId } from '../../src/core/ids.ts';
import type { LinkMessage, Unicast } from '../../src/core/wire/messages.ts';
import { decode, encode } from '../../src/mesh/codec.ts';
import { createFairQueue } from '../../src/mesh/fair-queue.ts';
import type { Links, LinksWatcher, Neighbour } from '../../src/mesh/links.ts';
import { createMessenger, type OpenMessenger } from '../../src/mesh/messenger.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';
import { createSeededRandom } from '../../src/ports/memory/random.ts';

/**
 * A row of peers, a – b – c – d, in which messages take 1 ms a hop. Ways and members are set by the test.
 */
function createRow(names: readonly string[]) {
  const clock = createVirtualClock();
  const cut = new Set<string>();
  const strangers = new Set<string>();
  const nodes = new Map<string, ReturnType<typeof createNode>>();

  function createNode(name: string) {
    const handlers = new Map<string, (from: Neighbour, message: never) => void>();
    const around = new Map<string, Neighbour & { space: number }>();
    let watcher: LinksWatcher = {};
    const neighbour = (other: string) => {
      const known = around.get(other);
      if (known !== undefined) return known;
      const fake = {
        peer: other as PeerId,
        space: 1 << 20,
        room: () => fake.space,
        send(message: LinkMessage) {
          clock.setTimer(1, () => nodes.get(other)?.receive(name, message));
          return true;
        },
      } as unknown as Neighbour & { space: number };
      around.set(other, fake);
      return fake;
    };
    const step = (to: string) => {
      const [here, there] = [names.indexOf(name), names.indexOf(to)];
      const next = names[here + Math.sign(there - here)] as string;
      return there < 0 || here === there || cut.has(`${name}${next}`) ? undefined : next;
    };
    const links = {
      neighbour: (peer: string) => (step(peer) === peer ? neighbour(peer) : undefined),
      handle: (type: string, handler: (from: Neighbour, message: never) => void) =>
        handlers.set(type, handler),
      watch(one: LinksWatcher) {
        watcher = one;
        return () => {};
      },
    } as unknown as Links;
    const messenger = createMessenger({
      self: name as PeerId,
      links,
      topology: { nextHop: (to) => step(to) as PeerId | undefined },
      membership: { isMember: (peer) => !strangers.has(peer) },
      clock,
      random: createSeededRandom(name),
      log: { debug() {}, info() {}, warn() {}, error() {} },
    });
    return {
      messenger,
      neighbour,
      receive: (from: string, message: LinkMessage) =>
        handlers.get('unicast')?.(neighbour(from), message as never),
      grow(other: string, space: number) {
        neighbour(other).space = space;
        watcher.room?.(neighbour(other));
      },
    };
  }

  for (const name of names) nodes.set(name, createNode(name));
  const node = (name: string) => nodes.get(name) as ReturnType<typeof createNode>;
  const at = (name: string): OpenMessenger => node(name).messenger;
  return { clock, cut, strangers, node, at };
}

const [A, B, C, D] = ['a', 'b', 'c', 'd'] as [PeerId, PeerId, PeerId, PeerId];

/** How a promise ended, after some time. */
async function outcome(
  clock: { advance(ms: number): Promise<void> },
  promise: Promise<unknown>,
  ms = 100,
): Promise<unknown> {
  let ended: unknown = 'waiting';
  promise.then(
    (value) => {
      ended = value;
    },
    (error) => {
      ended = `${error.reason}: ${error.message}`;
    },
  );
  await clock.advance(ms);
  return ended;
}

test('a request crosses the mesh and its answer comes back', async () => {
  const { clock, at } = createRow(['a', 'b', 'c', 'd']);
  at('d').handle('add', (from, body) => ({ from, sum: (body as number[]).reduce((x, y) => x + y) }));
  assert.deepEqual(await outcome(clock, at('a').request(D, 'add', [1, 2, 3])), { from: 'a', sum: 6 });
  assert.deepEqual(
    ['a', 'b', 'c', 'd'].map((name) => at(name).counters.forwarded),
    [0, 2, 2, 0],
  );
});

test('a message to oneself arrives too, after the sender has gone on', async () => {
  const { clock, at } = createRow(['a']);
  const heard: unknown[] = [];
  at('a').handle('note', (from, body) => heard.push([from, body]));
  assert.equal(at('a').send(A, 'note', 5), true);
  assert.deepEqual(heard, []);
  await clock.advance(0);
  assert.deepEqual(heard, [['a', 5]]);
});

test('what goes wrong has a reason: no way, no answer, a refusal in the words of the other side', async () => {
  const { clock, cut, at } = createRow(['a', 'b', 'c']);
  at('c').handle('never', () => new Promise(() => {}));
  at('c').handle('throws', () => {
    throw new Error('not today');
  });
  at('c').handle('rejects', async () => Promise.reject(new Error('not tomorrow')));
  at('c').handle('big', () => new Uint8Array(70_000));
  at('c').handle('odd', () => () => {});
  assert.match(String(await outcome(clock, at('a').request('z' as PeerId, 'x', 1))), /^no-route: /);
  assert.match(
    String(await outcome(clock, at('a').request(C, 'never', 1, { timeout: 80 }))),
    /^timeout: .* 80 ms/,
  );
  assert.equal(await outcome(clock, at('a').request(C, 'throws', 1)), 'refused: not today');
  assert.equal(await outcome(clock, at('a').request(C, 'rejects', 1)), 'refused: not tomorrow');
  assert.match(String(await outcome(clock, at('a').request(C, 'big', 1))), /^refused: .* over 65536/);
  assert.match(String(await outcome(clock, at('a').request(C, 'odd', 1))), /^refused: cannot encode/);
  assert.match(
    String(await outcome(clock, at('a').request(C, 'unknown', 1))),
    /^refused: .* does not know unknown/,
  );
  cut.add('bc');
  assert.match(
    String(await outcome(clock, at('a').request(C, 'never', 1))),
    /^no-route: /,
    'found out on the way',
  );
  cut.add('ab');
  assert.equal(at('a').send(C, 'x', 1), false);
});

test('closing ends every wait', async () => {
  const { clock, at } = createRow(['a', 'b']);
  at('b').handle('never', () => new Promise(() => {}));
  const request = at('a').request(B, 'never', 1);
  await clock.advance(10);
  at('a').close();
  assert.match(String(await outcome(clock, request)), /^closed: /);
});

test('a body over 64 KiB is a mistake of the sender', async () => {
  const { at } = createRow(['a', 'b']);
  assert.throws(() => at('a').send(B, 'x', new Uint8Array(70_000)), RangeError);
  await assert.rejects(at('a').request(B, 'x', new Uint8Array(70_000)), RangeError);
});

test('only members are heard, and a sender that is none is told so', async () => {
  const { clock, strangers, at } = createRow(['a', 'b', 'c']);
  const heard: unknown[] = [];
  at('c').handle('note', (_, body) => heard.push(body));
  strangers.add('a');
  at('a').send(C, 'note', 1);
  assert.match(
    String(await outcome(clock, at('a').request(C, 'note', 2))),
    /^refused: .* not known as a member/,
  );
  assert.deepEqual(heard, []);
  assert.equal(at('c').counters.rejected, 2);
});

const message = (changes: Partial<Unicast>): Unicast => ({
  ...{ type: 'unicast', to: C, from: A, hops: 3, role: 'tell', id: 0, kind: 'note', body: encode(1) },
  ...changes,
});

test('a message that goes in circles ends, and one that claims to come from its receiver is dropped', async () => {
  const { clock, node, at } = createRow(['a', 'b', 'c']);
  const heard: unknown[] = [];
  at('c').handle('note', (_, body) => heard.push(body));
  node('b').receive('a', message({ hops: 0 }));
  node('c').receive('b', message({ from: C }));
  await clock.advance(10);
  assert.deepEqual(heard, []);
  assert.equal(at('b').counters.unroutable, 1);
  assert.equal(at('c').counters.rejected, 1);
  node('b').receive('a', message({ hops: 1 }));
  await clock.advance(10);
  assert.deepEqual(heard, [1]);
});

test('an answer counts only from the one who was asked, once, and not when it cannot be read', async () => {
  const { clock, node, at } = createRow(['a', 'b', 'c']);
  at('c').handle('never', () => new Promise(() => {}));
  let asked = 0;
  const { send } = node('a').neighbour('b');
  Object.assign(node('a').neighbour('b'), {
    send(sent: Unicast) {
      asked = sent.id;
      return send(sent);
    },
  });
  const request = at('a').request(C, 'never', 1);
  await clock.advance(10);
  node('a').receive('b', message({ to: A, from: B, role: 'answer', id: asked, body: encode('forged') }));
  node('a').receive('b', message({ to: A, from: C, role: 'answer', id: asked + 1, body: encode('other') }));
  assert.equal(await outcome(clock, request, 10), 'waiting');
  node('a').receive('b', message({ to: A, from: C, role: 'answer', id: asked, body: Uint8Array.of(0xc1) }));
  assert.match(String(await outcome(clock, request, 10)), /^refused: /);
});

test('what cannot be read is refused before it reaches a handler', async () => {
  const { clock, node, at } = createRow(['a', 'b']);
  const heard: unknown[] = [];
  at('b').handle('note', (_, body) => heard.push(body));
  const replies: unknown[] = [];
  Object.assign(node('b').neighbour('a'), {
    send: (sent: Unicast) => replies.push([sent.role, decode(sent.body)]) > 0,
  });
  node('b').receive('a', message({ to: B, role: 'request', id: 7, body: Uint8Array.of(0xc1) }));
  await clock.advance(10);
  assert.deepEqual(heard, []);
  const [[role, body]] = replies as [[string, { value: string }]];
  assert.equal(role, 'refusal');
  assert.match(body.value, /^unreadable: /);
});

test('a peer that floods a forwarder loses its own messages, not those of others', async () => {
  const { clock, node, at } = createRow(['a', 'b', 'c']);
  const heard: string[] = [];
  at('c').handle('note', (from) => heard.push(from));
  node('b').grow('c', -(1 << 20));
  const body = encode('x'.repeat(60_000));
  for (let count = 0; count < 100; count++) node('b').receive('a', message({ body }));
  assert.equal(at('b').send(C, 'note', 'short'), true);
  assert.ok(at('b').counters.overflowed > 80);
  node('b').grow('c', 1 << 20);
  await clock.advance(10);
  assert.equal(heard.indexOf('b'), 1, 'they take turns');
  assert.ok(heard.length < 20);
});

test('handshakes are not held up by a comparison of states that fills the window', async () => {
  const { clock, node, at } = createRow(['a', 'b']);
  at('b').handle('offer', () => 'taken');
  node('a').neighbour('b').space = -1_000;
  assert.equal(await outcome(clock, at('a').request(B, 'offer', 1)), 'taken');
});

test('a kind of message has one handler', () => {
  const { at } = createRow(['a']);
  at('a').handle('note', () => {});
  assert.throws(() => at('a').handle('note', () => {}), /a handler already/);
});

test('a peer that asks without end is refused once 256 of its requests are under way', async () => {
  const { clock, at } = createRow(['a', 'b']);
  let busy = 0;
  at('b').handle('slow', () => {
    busy++;
    return new Promise(() => {});
  });
  const requests = Array.from({ length: 300 }, () => at('a').request(B, 'slow', 1));
  const ends = requests.map((request) => request.catch((error: Error) => error.message));
  await clock.advance(6_000);
  const refused = (await Promise.all(ends)).filter((text) => text === 'too many requests at once');
  assert.equal(busy, 256);
  assert.equal(refused.length, 44);
});

test('sources take turns, and each has a queue of its own', () => {
  const sent: string[] = [];
  let open = 0;
  const queue = createFairQueue<string>({
    hasRoom: () => open-- > 0,
    send: (item) => sent.push(item),
    maxBytes: 30,
  });
  for (const item of ['a1', 'a2', 'a3', 'a4']) assert.equal(queue.add('a', 10, item), item !== 'a4');
  assert.equal(queue.add('b', 10, 'b1'), true);
  assert.deepEqual(sent, []);
  open = 100;
  queue.drain();
  assert.deepEqual(sent, ['a1', 'b1', 'a2', 'a3']);
  open = 1;
  assert.equal(queue.add('a', 10, 'a5'), true);
  assert.deepEqual(sent.at(-1), 'a5');
});
