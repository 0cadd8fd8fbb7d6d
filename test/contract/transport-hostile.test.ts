/** What strangers and members can throw at the real transport: it may cost them their connection, never us the process. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import type { Connection } from '@libp2p/interface';
import { parseHostPort } from '../../src/core/address.ts';
import { createSystemClock } from '../../src/host/clock.ts';
import { systemRandom } from '../../src/host/random.ts';
import { remoteAddressOf, toMultiaddr } from '../../src/mesh/libp2p/addresses.ts';
import { type AttemptOptions, createGate, GATE_PROTOCOL } from '../../src/mesh/libp2p/gate.ts';
import { createHandshakeLimiter } from '../../src/mesh/libp2p/limiter.ts';
import { startNode } from '../../src/mesh/libp2p/node.ts';
import { encodePreface } from '../../src/mesh/libp2p/preface.ts';
import { LINK_PROTOCOL, type Libp2pTransportParts } from '../../src/mesh/libp2p/transport.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';
import {
  DIAL_TIMEOUT,
  type DialError,
  type Doorkeeper,
  type Link,
  MAX_MESSAGE,
  MAX_QUEUED_BYTES,
} from '../../src/ports/transport.ts';
import { createIdentity, createLibp2pWorld, type Libp2pWorld } from './libp2p-world.ts';
import { DOOR } from './transport-suite.ts';

const OPEN: Doorkeeper = () => ({ admit: true, secret: DOOR.secret });
const GENEROUS = { perSource: { burst: 1e6, perSecond: 1e6 }, total: { burst: 1e6, perSecond: 1e6 } };

function story(title: string, run: (world: Libp2pWorld) => Promise<void>): void {
  test(title, async () => {
    const world = createLibp2pWorld();
    try {
      await run(world);
    } finally {
      await world.end();
    }
  });
}

async function listener(world: Libp2pWorld, options: Partial<Libp2pTransportParts> = {}) {
  const transport = await world.create(OPEN, options);
  const links: Link[] = [];
  const messages: Uint8Array[] = [];
  const closed: string[] = [];
  const [address] = await transport.listen(['127.0.0.1:0'], (link) => {
    links.push(link);
    link.receive({
      message: (message) => messages.push(message),
      closed: (reason) => closed.push(reason),
    });
  });
  return { transport, address: address as string, links, messages, closed };
}

/** Still at work: a fresh peer gets a link through which a message passes, at the latest when the source is let in again. */
async function assertServes(world: Libp2pWorld, there: Awaited<ReturnType<typeof listener>>): Promise<void> {
  const before = there.messages.length;
  const link = await world.dialPatiently(await world.create(OPEN), there.address, DOOR);
  link.receive({ message: () => {}, closed: () => {} });
  link.send(new Uint8Array([1]));
  await world.until(() => there.messages.length === before + 1);
}

function rawSocket(address: string): { socket: Socket; gone: () => boolean } {
  const [host, port] = address.split(':');
  const socket = connect(Number(port), host as string);
  let closed = false;
  socket.on('error', () => {});
  socket.on('close', () => {
    closed = true;
  });
  // Who does not read never sees the other side's FIN.
  socket.resume();
  return { socket, gone: () => closed };
}

/** A member that has our libraries and the secret, and goes its own way after the handshake. */
async function createRogue() {
  const identity = createIdentity();
  const gate = createGate({
    self: identity.peer,
    doorkeeper: OPEN,
    limiter: createHandshakeLimiter(createSystemClock()),
    staticKey: systemRandom.bytes(32),
    remoteAddressOf,
    onProven: () => {},
  });
  const node = await startNode({ identity, gate });
  return {
    async connect(address: string): Promise<Connection> {
      const parsed = parseHostPort(address);
      assert.ok(parsed.ok);
      const options: AttemptOptions & { signal: AbortSignal } = {
        signal: new AbortController().signal,
        attempt: { door: DOOR, failure: undefined },
      };
      return node.services.wiring.transportManager.dial(toMultiaddr(parsed.value), options);
    },
    stop: () => node.stop(),
  };
}

const line = (text: string) => Buffer.concat([Buffer.from([text.length + 1]), Buffer.from(`${text}\n`)]);
const NEGOTIATION = Buffer.concat([line('/multistream/1.0.0'), line(GATE_PROTOCOL)]);

story(
  'garbage, half handshakes and silence are cut off in time, and others are served meanwhile',
  async (world) => {
    const there = await listener(world);
    const openings: readonly (readonly [string, Uint8Array])[] = [
      ['silence', new Uint8Array()],
      ['zeros', new Uint8Array(70_000)],
      ['random', systemRandom.bytes(70_000)],
      ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
      ['half a negotiation', NEGOTIATION.subarray(0, 25)],
      ['another protocol', Buffer.concat([line('/multistream/1.0.0'), line('/noise')])],
      ['no preface', NEGOTIATION],
      ['wrong magic', Buffer.concat([NEGOTIATION, Buffer.from('WEFX\x01\x05hello')])],
      ['wrong version', Buffer.concat([NEGOTIATION, Buffer.from('WEFT\x63\x05hello')])],
      ['empty name', Buffer.concat([NEGOTIATION, Buffer.from('WEFT\x01\x00')])],
      ['long name', Buffer.concat([NEGOTIATION, Buffer.from(`WEFT\x01\xff${'a'.repeat(255)}`, 'latin1')])],
      ['bad name', Buffer.concat([NEGOTIATION, Buffer.from('WEFT\x01\x05../..')])],
      ['half a preface', Buffer.concat([NEGOTIATION, encodePreface('join/1').subarray(0, 8)])],
      ['no noise', Buffer.concat([NEGOTIATION, encodePreface('join/1')])],
      ['bad noise', Buffer.concat([NEGOTIATION, encodePreface('join/1'), Buffer.alloc(5_000, 7)])],
      ['much ahead', Buffer.concat([NEGOTIATION, encodePreface('join/1'), systemRandom.bytes(1_000_000)])],
    ];
    const strangers = openings.map(([what, bytes]) => {
      const stranger = rawSocket(there.address);
      stranger.socket.write(bytes);
      return { what, ...stranger };
    });
    // One byte now and then keeps any timer of idleness from firing.
    const slow = rawSocket(there.address);
    const trickle = Buffer.concat([NEGOTIATION, encodePreface('join/1')]);
    let at = 0;
    const pace = setInterval(() => slow.socket.write(trickle.subarray(at, ++at)), 250);
    await assertServes(world, there);
    const began = performance.now();
    try {
      await world.until(() => slow.gone() && strangers.every((stranger) => stranger.gone()));
    } catch {
      assert.fail(`not cut off: ${strangers.filter((one) => !one.gone()).map((one) => one.what)}`);
    } finally {
      clearInterval(pace);
    }
    assert.ok(performance.now() - began < DIAL_TIMEOUT + 2_000);
    assert.equal(there.links.length, 1);
    await assertServes(world, there);
  },
);

story('a thousand handshakes broken off at all points leave room for the next', async (world) => {
  const there = await listener(world, { limits: GENEROUS });
  const whole = Buffer.concat([NEGOTIATION, encodePreface('join/1'), Buffer.from([0, 32]), Buffer.alloc(40)]);
  for (let batch = 0; batch < 20; batch++) {
    const sockets = Array.from({ length: 50 }, (_, index) => {
      const stranger = rawSocket(there.address);
      stranger.socket.write(whole.subarray(0, (batch * 50 + index) % whole.length), () =>
        index % 2 === 0 ? stranger.socket.resetAndDestroy() : stranger.socket.end(),
      );
      return stranger;
    });
    await world.until(() => sockets.every((stranger) => stranger.gone()));
  }
  await assertServes(world, there);
});

story('a frame over the limit closes the link before anything is allocated for it', async (world) => {
  const there = await listener(world);
  const rogue = await createRogue();
  const connection = await rogue.connect(there.address);
  const stream = await connection.newStream(LINK_PROTOCOL);
  const head = new Uint8Array(4);
  new DataView(head.buffer).setUint32(0, MAX_MESSAGE + 1);
  stream.send(head);
  await world.until(() => there.closed.length === 1);
  assert.match(there.closed[0] as string, /over the limit/);
  assert.equal(there.messages.length, 0);
  await assertServes(world, there);
  await rogue.stop();
});

story('a second stream is refused and the link goes on', async (world) => {
  const there = await listener(world);
  const rogue = await createRogue();
  const connection = await rogue.connect(there.address);
  const stream = await connection.newStream(LINK_PROTOCOL);
  await assert.rejects(connection.newStream(LINK_PROTOCOL));
  stream.send(new Uint8Array([0, 0, 0, 1, 42]));
  await world.until(() => there.messages.length === 1);
  assert.deepEqual([there.links.length, there.closed.length], [1, 0]);
  await rogue.stop();
});

story('a member that opens no link is sent away', async (world) => {
  const clock = createVirtualClock();
  const there = await listener(world, { clock });
  const rogue = await createRogue();
  const connection = await rogue.connect(there.address);
  await world.until(() => clock.pending() === 1);
  await clock.advance(DIAL_TIMEOUT);
  await world.until(() => connection.status !== 'open');
  assert.equal(there.links.length, 0);
  await rogue.stop();
});

story('a message that a part fails on ends its link, not the process', async (world) => {
  const there = await world.create(OPEN);
  const closed: string[] = [];
  const [address] = await there.listen(['127.0.0.1:0'], (link) =>
    link.receive({
      message: () => {
        throw new Error('a bug');
      },
      closed: (reason) => closed.push(reason),
    }),
  );
  const link = await (await world.create(OPEN)).dial(address as string, DOOR);
  let gone = false;
  link.receive({
    message: () => {},
    closed: () => {
      gone = true;
    },
  });
  link.send(new Uint8Array([1]));
  link.send(new Uint8Array([2]));
  await world.until(() => gone && closed.length === 1);
  assert.match(closed[0] as string, /could not be handled/);
});

/** Passes bytes on between its callers and `target` until told to stop reading. */
async function createValve(world: Libp2pWorld, target: string) {
  const sockets: Socket[] = [];
  const address = await world.serve((near) => {
    const far = rawSocket(target).socket;
    sockets.push(near, far);
    near.pipe(far);
    far.pipe(near);
  });
  return {
    address,
    stop: () => {
      for (const socket of sockets) {
        socket.unpipe();
        socket.pause();
      }
    },
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

story('a reader that stops reading costs a bounded amount of memory, then its link', async (world) => {
  const there = await listener(world);
  const valve = await createValve(world, there.address);
  const link = await (await world.create(OPEN)).dial(valve.address, DOOR);
  let reason = '';
  link.receive({
    message: () => {},
    closed: (why) => {
      reason = why;
    },
  });
  valve.stop();
  let sent = 0;
  const message = new Uint8Array(100_000);
  // Turns of the event loop in between, so that the kernel's buffers fill as well.
  while (link.send(message)) {
    sent += message.length;
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(sent < 64 << 20, 'no bound in sight');
  }
  assert.ok(sent >= MAX_QUEUED_BYTES / 2);
  await world.until(() => reason !== '');
  assert.match(reason, /slow/);
});

story('a connection cut on the way closes the link on both sides', async (world) => {
  const there = await listener(world);
  const valve = await createValve(world, there.address);
  const link = await (await world.create(OPEN)).dial(valve.address, DOOR);
  let closed = 0;
  link.receive({ message: () => {}, closed: () => closed++ });
  link.send(new Uint8Array([1]));
  await world.until(() => there.messages.length === 1);
  valve.cut();
  await world.until(() => closed === 1 && there.closed.length === 1);
});

story('close does not wait longer than its bound for a frozen reader', async (world) => {
  const there = await listener(world);
  const valve = await createValve(world, there.address);
  const here = await world.create(OPEN);
  const link = await here.dial(valve.address, DOOR);
  let closed = false;
  link.receive({
    message: () => {},
    closed: () => {
      closed = true;
    },
  });
  valve.stop();
  for (let index = 0; index < 30; index++) link.send(new Uint8Array(100_000));
  const began = performance.now();
  link.close();
  await world.until(() => closed);
  assert.ok(performance.now() - began < 2_000);
});

story('a dial is answered by garbage: it fails by name and nothing is left open', async (world) => {
  const here = await world.create(OPEN);
  const answers: readonly (readonly [string, Uint8Array])[] = [
    ['random bytes', systemRandom.bytes(10_000)],
    ['zeros', new Uint8Array(10_000)],
    ['HTTP', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['an unknown code', Buffer.concat([NEGOTIATION, Buffer.from([99])])],
    ['another version', Buffer.concat([NEGOTIATION, Buffer.from([255])])],
  ];
  for (const [what, answer] of answers) {
    let left = 0;
    const address = await world.serve((socket) => {
      left++;
      socket.on('close', () => left--);
      socket.end(answer);
      socket.resume();
    });
    const error: DialError = await here.dial(address, DOOR).then(
      () => assert.fail(what),
      (reason) => reason,
    );
    assert.equal(error.reason, 'unreachable', what);
    assert.ok(error.message.startsWith(address));
    await world.until(() => left === 0);
  }
  const noise = await world.serve((socket) => {
    socket.write(Buffer.concat([NEGOTIATION, Buffer.from([0, 0, 200]), Buffer.alloc(200, 1)]));
  });
  await assert.rejects(here.dial(noise, DOOR), { reason: 'bad-secret' });
});

story('a source that knocks too often is told that we are busy, and let in again later', async (world) => {
  const clock = createVirtualClock();
  const limits = { perSource: { burst: 3, perSecond: 1 }, total: { burst: 100, perSecond: 100 } };
  const there = await listener(world, { clock, limits });
  const here = await world.create(OPEN);
  for (let index = 0; index < 3; index++) {
    (await here.dial(there.address, DOOR)).receive({ message: () => {}, closed: () => {} });
  }
  await assert.rejects(here.dial(there.address, DOOR), { reason: 'busy' });
  await clock.advance(1_000);
  (await here.dial(there.address, DOOR)).receive({ message: () => {}, closed: () => {} });
});

story('an address in use, foreign or malformed is refused in one line', async (world) => {
  const there = await listener(world);
  const other = await world.create(OPEN);
  const refused = (address: string) => other.listen(['127.0.0.1:0', address], () => {});
  await assert.rejects(refused(there.address), { reason: 'in-use', message: /choose another port/ });
  await assert.rejects(refused('203.0.113.7:0'), { reason: 'not-local' });
  await assert.rejects(refused('127.0.0.1'), { reason: 'bad-address' });
  const [bound] = await other.listen(['[::1]:0'], () => {});
  assert.match(bound as string, /^\[::1\]:\d+$/);
  const link = await there.transport.dial(bound as string, DOOR);
  assert.equal(link.remote, other.peer);
});
