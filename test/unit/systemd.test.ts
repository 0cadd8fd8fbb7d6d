import assert from 'node:assert/strict';
import { test } from 'node:test';
import { feedWatchdog } from '../../src/daemon/systemd.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';

const log = { debug() {}, info() {}, warn() {}, error() {} };

test('systemd hears three times in each of its intervals that the daemon lives, until it ends', async () => {
  const clock = createVirtualClock();
  const said: string[] = [];
  const env = {
    NOTIFY_SOCKET: '/run/systemd/notify',
    WATCHDOG_USEC: '15000000',
    WATCHDOG_PID: `${process.pid}`,
  };
  const stop = feedWatchdog({ clock, log, env, say: (words) => said.push(words.join(' ')) });
  await clock.advance(15_000);
  assert.deepEqual(said, ['WATCHDOG=1', 'WATCHDOG=1', 'WATCHDOG=1']);
  stop();
  await clock.advance(60_000);
  assert.equal(said.length, 3);
});

test('nobody is told anything where no watchdog waits for this process', async () => {
  const clock = createVirtualClock();
  const say = () => assert.fail('nobody waits');
  const socket = { NOTIFY_SOCKET: '/run/systemd/notify' };
  for (const env of [
    {},
    socket,
    { ...socket, WATCHDOG_USEC: '1000', WATCHDOG_PID: '1' },
    { WATCHDOG_USEC: '1000' },
  ]) {
    feedWatchdog({ clock, log, env, say });
  }
  await clock.advance(60_000);
  assert.equal(clock.pending(), 0);
});
