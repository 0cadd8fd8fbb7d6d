import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { encodePreface } from '../../src/mesh/libp2p/preface.ts';
import type { Doorkeeper } from '../../src/ports/transport.ts';
import { createLibp2pWorld } from '../contract/libp2p-world.ts';
import { DOOR } from '../contract/transport-suite.ts';

const FLOOD = fileURLToPath(new URL('./fixtures/flood.ts', import.meta.url));
const OPEN: Doorkeeper = () => ({ admit: true, secret: DOOR.secret });
/** Handshakes that strangers begin before the test looks at what they have done. */
const ENOUGH = 5_000;

test('under a flood of handshakes from a thousand addresses an open link goes on without loss, and the door opens again after it', async (context) => {
  const world = createLibp2pWorld();
  try {
    const there = await world.create(OPEN);
    const [address] = (await there.listen(['127.0.0.1:0'], (link) =>
      link.receive({ message: (message) => void link.send(message), closed: () => {} }),
    )) as [string];
    const here = await world.create(OPEN);
    const link = await here.dial(address, DOOR);
    let received = 0;
    const closed: string[] = [];
    link.receive({ message: () => received++, closed: (reason) => closed.push(reason) });

    const line = (text: string) => Buffer.concat([Buffer.from([text.length + 1]), Buffer.from(`${text}\n`)]);
    const opening = Buffer.concat([line('/multistream/1.0.0'), line('/weft/1'), encodePreface(DOOR.name)]);
    const child = spawn(process.execPath, [FLOOD, ...address.split(':'), opening.toString('hex')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let begun = 0;
    createInterface({ input: child.stdout }).on('line', (text) => {
      begun = Number(text);
    });
    const memory = process.memoryUsage().rss;
    let sent = 0;
    let slowest = 0;
    try {
      while (begun < ENOUGH) {
        const at = performance.now();
        assert.equal(child.exitCode, null, 'the flood has ended by itself');
        assert.equal(link.send(new Uint8Array(64)), true);
        sent++;
        await world.until(() => received === sent);
        slowest = Math.max(slowest, performance.now() - at);
      }
    } finally {
      child.kill('SIGKILL');
    }
    assert.deepEqual(closed, []);
    assert.ok(sent > 20, `only ${sent} messages while ${begun} handshakes were begun`);
    // What the mesh takes for a dead neighbour.
    assert.ok(slowest < 3_000, `the slowest answer took ${slowest} ms`);
    assert.ok(process.memoryUsage().rss - memory < 300 << 20);

    const again = await world.dialPatiently(here, address, DOOR);
    again.close();
    context.diagnostic(
      `${begun} handshakes begun, ${sent} messages answered, the slowest in ${slowest.toFixed(0)} ms`,
    );
  } finally {
    await world.end();
  }
});
