import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSticky, KEPT_FOR } from '../../docker-plugin/engine/sticky.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';

/** Containers with the addresses that they have or had in the network `app`. */
function createWorld() {
  const clock = createVirtualClock();
  const sticky = createSticky({ clock });
  const tell = (action: string, name: string, id = name) =>
    sticky.onEvent({ type: 'container', action, id, container: null, name });
  return {
    clock,
    sticky,
    tell,
    runs(name: string, address: string, id = name) {
      tell('start', name, id);
      const attachments = [{ network: 'd', endpoint: 'e', address, aliases: [] }];
      const detail = {
        id,
        name,
        running: true,
        error: '',
        restarts: false,
        hostname: id,
        labels: new Map(),
        attachments,
      };
      sticky.onContainer(detail, new Map([['d', 'app']]));
    },
  };
}

test('a container that is restarted keeps its address', () => {
  const { sticky, tell, runs } = createWorld();
  runs('web', '10.32.1.2');
  tell('die', 'web');
  assert.equal(sticky.suggest('app'), '10.32.1.2');
});

test('a new container gets none of the addresses of those that ended', () => {
  const { sticky, tell, runs } = createWorld();
  runs('web', '10.32.1.2');
  tell('die', 'web');
  tell('create', 'other');
  assert.equal(sticky.suggest('app'), undefined);
});

test('an address is remembered for five minutes', async () => {
  const { clock, sticky, tell, runs } = createWorld();
  runs('web', '10.32.1.2');
  tell('die', 'web');
  await clock.advance(KEPT_FOR);
  assert.equal(sticky.suggest('app', 'web'), '10.32.1.2');
  await clock.advance(1);
  assert.equal(sticky.suggest('app', 'web'), undefined);
});

test('a container that is made anew under its name has its address again', () => {
  const { sticky, tell, runs } = createWorld();
  runs('web', '10.32.1.2', 'id1');
  tell('die', 'web', 'id1');
  tell('destroy', 'web', 'id1');
  tell('create', 'web', 'id2');
  assert.equal(sticky.suggest('app'), '10.32.1.2');
});

test('two that are restarted together get one address each, in their order', () => {
  const { sticky, tell, runs } = createWorld();
  runs('web', '10.32.1.2');
  runs('api', '10.32.1.3');
  tell('die', 'web');
  tell('die', 'api');
  assert.equal(sticky.suggest('app'), '10.32.1.2');
  assert.equal(sticky.suggest('app'), '10.32.1.3');
  assert.equal(sticky.suggest('app'), undefined);
});

test('an engine that says for whom it asks is answered for that one', () => {
  const { sticky, tell, runs } = createWorld();
  runs('web', '10.32.1.2');
  runs('api', '10.32.1.3');
  tell('die', 'web');
  tell('die', 'api');
  assert.equal(sticky.suggest('app', 'api'), '10.32.1.3');
  assert.equal(sticky.suggest('app', 'unheard-of'), undefined);
});

test('a container that runs again has nothing to keep', () => {
  const { sticky, tell, runs } = createWorld();
  runs('web', '10.32.1.2');
  tell('die', 'web');
  runs('web', '10.32.1.9');
  assert.equal(sticky.suggest('app'), undefined);
});
