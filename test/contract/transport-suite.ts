import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Admission,
  DialError,
  type DialFailure,
  type Door,
  type Doorkeeper,
  type Link,
  MAX_MESSAGE,
  MAX_QUEUED_BYTES,
  type Refusal,
  type Transport,
} from '../../src/ports/transport.ts';

/** What the suite needs of the world in which a transport lives. */
export interface TransportWorld {
  /** A transport with a fresh key. */
  create(doorkeeper: Doorkeeper): Promise<Transport>;
  /** A peer elsewhere that admits `door`, returns each message, and can die without a word. */
  echo(door: Door): Promise<{ readonly address: string; kill(): void }>;
  /** An address that takes connections and never says anything. */
  blackHole(): Promise<string>;
  /** An address at which nothing listens, on a machine that is up. */
  deadPort(): Promise<string>;
  /** Lets time pass until the condition holds. */
  until(condition: () => boolean): Promise<void>;
  end(): Promise<void>;
}

export const DOOR: Door = { name: 'epoch/0123456789abcdef/1', secret: new Uint8Array(32).fill(7) };
const REFUSALS: readonly Refusal[] = [
  'wrong-mesh',
  'unknown-token',
  'expired',
  'used-up',
  'removed',
  'old-epoch',
  'busy',
];

const admitOne =
  (door: Door): Doorkeeper =>
  (name) =>
    name === door.name ? { admit: true, secret: door.secret } : { admit: false, reason: 'wrong-mesh' };

/** A link with what happened to it. */
interface Watched {
  readonly link: Link;
  readonly messages: Uint8Array[];
  readonly closed: string[];
}

function watch(link: Link): Watched {
  const watched: Watched = { link, messages: [], closed: [] };
  link.receive({
    message: (message) => watched.messages.push(message),
    closed: (reason) => watched.closed.push(reason),
  });
  return watched;
}

export function transportSuite(name: string, createWorld: () => TransportWorld): void {
  const story = (title: string, run: (world: TransportWorld) => Promise<void>) =>
    test(`${name}: ${title}`, async () => {
      const world = createWorld();
      try {
        await run(world);
      } finally {
        await world.end();
      }
    });

  async function settled<T>(world: TransportWorld, promise: Promise<T>): Promise<T> {
    let done = false;
    const finish = () => {
      done = true;
    };
    promise.then(finish, finish);
    await world.until(() => done);
    return promise;
  }

  async function listener(world: TransportWorld, doorkeeper: Doorkeeper = admitOne(DOOR)) {
    const accepted: Watched[] = [];
    const transport = await world.create(doorkeeper);
    const bound = await transport.listen(['127.0.0.1:0'], (link) => accepted.push(watch(link)));
    return { transport, address: bound[0] as string, accepted };
  }

  async function dial(
    world: TransportWorld,
    from: Transport,
    address: string,
    door = DOOR,
  ): Promise<Watched> {
    return watch(await settled(world, from.dial(address, door)));
  }

  async function failure(world: TransportWorld, dialling: Promise<Link>): Promise<DialFailure> {
    const error = await settled(
      world,
      dialling.then(
        () => assert.fail('the dial succeeded'),
        (reason: unknown) => reason,
      ),
    );
    assert.ok(error instanceof DialError, String(error));
    assert.ok(error.message.length > 0);
    return error.reason;
  }

  async function pair(world: TransportWorld) {
    const there = await listener(world);
    const here = await world.create(admitOne(DOOR));
    const near = await dial(world, here, there.address);
    await world.until(() => there.accepted.length === 1);
    return { here, there: there.transport, near, far: there.accepted[0] as Watched };
  }

  story('a link shows each side the key, the address and the door of the other', async (world) => {
    const { here, there, near, far } = await pair(world);
    assert.equal(near.link.remote, there.peer);
    assert.equal(far.link.remote, here.peer);
    assert.notEqual(here.peer, there.peer);
    assert.equal(near.link.direction, 'dialled');
    assert.equal(far.link.direction, 'accepted');
    assert.equal(near.link.door, DOOR.name);
    assert.equal(far.link.door, DOOR.name);
    assert.match(near.link.remoteAddress, /^[\d.]+:\d+$/);
    assert.match(far.link.remoteAddress, /^[\d.]+:\d+$/);
  });

  story('each reason for a refusal reaches the dialler, and the next dial succeeds', async (world) => {
    let answer: Admission = { admit: false, reason: 'busy' };
    const asked: string[] = [];
    const there = await listener(world, (door, remote) => {
      asked.push(door);
      assert.match(remote, /^[\d.]+:\d+$/);
      return answer;
    });
    const here = await world.create(admitOne(DOOR));
    for (const reason of REFUSALS) {
      answer = { admit: false, reason };
      assert.equal(await failure(world, here.dial(there.address, DOOR)), reason);
    }
    answer = { admit: true, secret: DOOR.secret };
    await dial(world, here, there.address);
    assert.deepEqual(asked, Array(REFUSALS.length + 1).fill(DOOR.name));
    await world.until(() => there.accepted.length === 1);
  });

  story('a wrong secret is told apart from a refusal, and no link appears on either side', async (world) => {
    const there = await listener(world);
    const here = await world.create(admitOne(DOOR));
    const wrong = { name: DOOR.name, secret: new Uint8Array(32).fill(8) };
    assert.equal(await failure(world, here.dial(there.address, wrong)), 'bad-secret');
    await dial(world, here, there.address);
    await world.until(() => there.accepted.length === 1);
  });

  story('dials to one address through different doors at once do not mix their secrets', async (world) => {
    const doors = Array.from({ length: 8 }, (_, index) => ({
      name: `join/${index}`,
      secret: new Uint8Array(32).fill(index + 1),
    }));
    const there = await listener(world, (door) => {
      const found = doors.find((one) => one.name === door);
      return found ? { admit: true, secret: found.secret } : { admit: false, reason: 'unknown-token' };
    });
    const here = await world.create(admitOne(DOOR));
    const links = await settled(world, Promise.all(doors.map((door) => here.dial(there.address, door))));
    assert.deepEqual(
      links.map((link) => link.door),
      doors.map((door) => door.name),
    );
    await world.until(() => there.accepted.length === doors.length);
    assert.deepEqual(
      there.accepted.map((one) => one.link.door).sort(),
      doors.map((door) => door.name),
    );
  });

  story('a thousand messages of all sizes arrive whole and in order, both ways at once', async (world) => {
    const { near, far } = await pair(world);
    const size = (index: number) => (index * 37) % 3_000;
    for (let index = 0; index < 1_000; index++) {
      assert.equal(near.link.send(new Uint8Array(size(index)).fill(index)), true);
      assert.equal(far.link.send(new Uint8Array(size(index + 1)).fill(index + 1)), true);
    }
    await world.until(() => near.messages.length === 1_000 && far.messages.length === 1_000);
    for (let index = 0; index < 1_000; index++) {
      assert.deepEqual(
        new Uint8Array(far.messages[index] as Uint8Array),
        new Uint8Array(size(index)).fill(index),
      );
      assert.equal(near.messages[index]?.length, size(index + 1));
    }
    assert.deepEqual([near.closed, far.closed], [[], []]);
  });

  story('a message of the largest size arrives, a longer one is refused as a mistake', async (world) => {
    const { near, far } = await pair(world);
    const largest = new Uint8Array(MAX_MESSAGE).map((_, index) => index % 251);
    assert.equal(near.link.send(largest), true);
    assert.throws(() => near.link.send(new Uint8Array(MAX_MESSAGE + 1)), RangeError);
    assert.equal(near.link.send(new Uint8Array([1])), true);
    await world.until(() => far.messages.length === 2);
    assert.deepEqual(new Uint8Array(far.messages[0] as Uint8Array), largest);
  });

  story('messages that come before anybody listens are kept for the listener', async (world) => {
    const there = await world.create(admitOne(DOOR));
    const accepted: Watched[] = [];
    const [address] = await there.listen(['127.0.0.1:0'], (link) => {
      link.send(new Uint8Array([1]));
      link.send(new Uint8Array([2]));
      accepted.push(watch(link));
    });
    const here = await world.create(admitOne(DOOR));
    const near = await dial(world, here, address as string);
    await world.until(() => near.messages.length === 2);
    assert.deepEqual(
      near.messages.map((message) => message[0]),
      [1, 2],
    );
  });

  story('a sender that outruns its reader is cut off at the bound', async (world) => {
    const { near, far } = await pair(world);
    const message = new Uint8Array(MAX_MESSAGE);
    let sent = 0;
    while (near.link.send(message)) sent++;
    assert.ok(sent * MAX_MESSAGE <= MAX_QUEUED_BYTES);
    assert.ok(sent >= 1);
    assert.equal(near.link.send(new Uint8Array(1)), false);
    await world.until(() => near.closed.length === 1 && far.closed.length === 1);
    assert.match(near.closed[0] as string, /slow/);
  });

  story('close delivers what was queued, and both sides hear of it once', async (world) => {
    const { near, far } = await pair(world);
    for (let index = 0; index < 100; index++) near.link.send(new Uint8Array(10_000).fill(index));
    near.link.close();
    assert.equal(near.link.send(new Uint8Array(1)), false);
    near.link.close();
    await world.until(() => near.closed.length === 1 && far.closed.length === 1);
    assert.equal(far.messages.length, 100);
    far.link.close();
    assert.equal(far.link.send(new Uint8Array(1)), false);
    assert.deepEqual([near.closed.length, far.closed.length], [1, 1]);
  });

  story('closing a transport closes its links and its ears', async (world) => {
    const there = await listener(world);
    const here = await world.create(admitOne(DOOR));
    const near = await dial(world, here, there.address);
    await world.until(() => there.accepted.length === 1);
    await settled(world, there.transport.close());
    await world.until(() => near.closed.length === 1);
    await world.until(() => there.accepted[0]?.closed.length === 1);
    assert.equal(await failure(world, here.dial(there.address, DOOR)), 'unreachable');
    await settled(world, there.transport.close());
  });

  story('the death of the other side is noticed', async (world) => {
    const echo = await settled(world, world.echo(DOOR));
    const here = await world.create(admitOne(DOOR));
    const near = await dial(world, here, echo.address);
    near.link.send(new Uint8Array([42]));
    await world.until(() => near.messages.length === 1);
    echo.kill();
    await world.until(() => near.closed.length === 1);
    assert.equal(near.link.send(new Uint8Array(1)), false);
    assert.equal(await failure(world, here.dial(echo.address, DOOR)), 'unreachable');
  });

  story('an address that is none, is dead, is our own or never answers fails by that name', async (world) => {
    const self = await listener(world);
    const here = self.transport;
    for (const address of ['', 'nonsense', '127.0.0.1', '127.0.0.1:x', '127.0.0.1:70000', ':1', 'a b:1']) {
      assert.equal(await failure(world, here.dial(address, DOOR)), 'bad-address');
    }
    assert.equal(await failure(world, here.dial(await world.deadPort(), DOOR)), 'unreachable');
    assert.equal(await failure(world, here.dial(self.address, DOOR)), 'self');
    assert.equal(await failure(world, here.dial(await world.blackHole(), DOOR)), 'timeout');
    assert.deepEqual(
      self.accepted.filter((one) => one.closed.length === 0),
      [],
    );
  });

  story('a dial ends when its caller gives up', async (world) => {
    const here = await world.create(admitOne(DOOR));
    const address = await world.blackHole();
    const giveUp = new AbortController();
    const dialling = here.dial(address, DOOR, giveUp.signal);
    giveUp.abort();
    assert.equal(await failure(world, dialling), 'timeout');
    assert.equal(await failure(world, here.dial(address, DOOR, AbortSignal.abort())), 'timeout');
  });

  story('fifty dials at once from one place all succeed', async (world) => {
    const there = await listener(world);
    const here = await world.create(admitOne(DOOR));
    const links = await settled(
      world,
      Promise.all(Array.from({ length: 50 }, () => here.dial(there.address, DOOR))),
    );
    await world.until(() => there.accepted.length === 50);
    for (const [index, link] of links.entries()) {
      watch(link);
      assert.equal(link.send(new Uint8Array([index])), true);
    }
    await world.until(() => there.accepted.every((one) => one.messages.length === 1));
  });

  story('two peers that dial each other at once get both links', async (world) => {
    const [one, other] = [await listener(world), await listener(world)];
    const [a, b] = await settled(
      world,
      Promise.all([one.transport.dial(other.address, DOOR), other.transport.dial(one.address, DOOR)]),
    );
    const [fromOne, fromOther] = [watch(a), watch(b)];
    await world.until(() => one.accepted.length === 1 && other.accepted.length === 1);
    fromOne.link.send(new Uint8Array([1]));
    fromOther.link.send(new Uint8Array([2]));
    await world.until(
      () => other.accepted[0]?.messages.length === 1 && one.accepted[0]?.messages.length === 1,
    );
    assert.deepEqual([fromOne.closed, fromOther.closed], [[], []]);
  });
}
