import assert from 'node:assert/strict';
import { connect, Socket } from 'node:net';
import { test } from 'node:test';
import { createLibp2pWorld } from './libp2p-world.ts';
import { transportSuite } from './transport-suite.ts';

transportSuite('libp2p', createLibp2pWorld);

test('small messages are not answered one by one: the window is told when half of it is used', async () => {
  const world = createLibp2pWorld();
  try {
    const secret = new Uint8Array(32);
    const doorkeeper = () => ({ admit: true as const, secret });
    const [reader, writer] = [await world.create(doorkeeper), await world.create(doorkeeper)];
    let read = 0;
    const [address = ''] = await reader.listen(['127.0.0.1:0'], (link) =>
      link.receive({ message: () => void read++, closed() {} }),
    );
    // Whatever the reader answers comes through here.
    let answers = 0;
    const [host, port] = address.split(':');
    const between = await world.serve((socket) => {
      const onward = connect(Number(port), host);
      socket.pipe(onward).pipe(socket);
      onward.on('data', () => void answers++).on('error', () => socket.destroy());
    });
    const link = await world.dialPatiently(writer, between, { name: 'epoch/0000000000000000/1', secret });
    link.receive({ message() {}, closed() {} });
    const sendOne = async (bytes: number) => {
      const wanted = read + 1;
      link.send(new Uint8Array(bytes));
      await world.until(() => read >= wanted);
    };
    await sendOne(100);
    const before = answers;
    for (let message = 0; message < 50; message++) await sendOne(100);
    assert.equal(answers, before, 'nothing came back');
    for (let message = 0; message < 8; message++) await sendOne(100_000);
    assert.ok(answers > before, 'but a window that is used up is opened again');
  } finally {
    await world.end();
  }
});

test('a small message is one write to the socket', async (context) => {
  const world = createLibp2pWorld();
  try {
    const secret = new Uint8Array(32);
    const doorkeeper = () => ({ admit: true as const, secret });
    const [reader, writer] = [await world.create(doorkeeper), await world.create(doorkeeper)];
    let read = 0;
    const [address = ''] = await reader.listen(['127.0.0.1:0'], (link) => {
      link.receive({ message: () => void read++, closed() {} });
      link.send(new Uint8Array(100));
    });
    const port = Number(address.split(':')[1]);
    const link = await world.dialPatiently(writer, address, { name: 'epoch/0000000000000000/1', secret });
    let answered = 0;
    link.receive({ message: () => void answered++, closed() {} });
    await world.until(() => answered === 1);
    const { mock } = context.mock.method(Socket.prototype, 'write');
    for (let wanted = 1; wanted <= 20; wanted++) {
      link.send(new Uint8Array(100));
      await world.until(() => read >= wanted);
    }
    const writes = mock.calls.filter((call) => (call.this as Socket).remotePort === port);
    assert.equal(writes.length, 20);
  } finally {
    await world.end();
  }
});
