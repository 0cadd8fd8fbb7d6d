/*
 * SECURITY.md 31: who opens connections and says nothing holds the places of those who want to come in. Cheaper than a flood: a few
 * hundred sockets, opened again as they are closed.
 */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import type { Doorkeeper } from '../../src/ports/transport.ts';
import { createLibp2pWorld } from '../contract/libp2p-world.ts';
import { DOOR } from '../contract/transport-suite.ts';

const OPEN: Doorkeeper = () => ({ admit: true, secret: DOOR.secret });
const SOURCES = 10;
const EACH = 60;

test('six hundred silent connections from ten addresses do not keep anybody out', async () => {
  const world = createLibp2pWorld();
  const silent = new Set<Socket>();
  let opened = 0;
  let attacking = true;
  try {
    const there = await world.create(OPEN);
    const [address] = (await there.listen(['127.0.0.1:0'], (link) =>
      link.receive({ message: () => {}, closed: () => {} }),
    )) as [string];
    const before = await (await world.create(OPEN)).dial(address, DOOR);
    const broken: string[] = [];
    before.receive({ message: () => {}, closed: (reason) => broken.push(reason) });
    const port = Number(address.split(':')[1]);
    const hold = (source: number): void => {
      const socket = connect({ host: '127.0.0.1', port, localAddress: `127.0.0.${source}` });
      silent.add(socket);
      socket.on('connect', () => opened++);
      socket.on('error', () => {});
      socket.on('close', () => {
        silent.delete(socket);
        if (attacking) setTimeout(hold, 500, source);
      });
    };
    for (let at = 0; at < SOURCES * EACH; at++) hold(2 + (at % SOURCES));
    await world.until(() => opened >= SOURCES * EACH);
    const here = await world.create(OPEN);
    for (let dial = 0; dial < 5; dial++) {
      const link = await here.dial(address, DOOR);
      assert.equal(link.direction, 'dialled');
      link.close();
    }
    assert.deepEqual(broken, []);
  } finally {
    attacking = false;
    for (const socket of silent) socket.destroy();
    await world.end();
  }
});
