/* SECURITY.md 22: names used as paths, interface names or words of a command (CVE-2021-20206). */
import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import type { EndpointId } from '../../src/core/ids.ts';
import { createLinuxHost } from '../../src/host/linux.ts';
import { type Host, HostError, type PlugPlan } from '../../src/ports/host.ts';
import { silentLog } from '../hosts/log.ts';
import { createNamespaces, type Namespaces, needsRoot } from '../hosts/namespaces.ts';
import { createWorld } from '../unit/support/attach-world.ts';

const CANARY = '/tmp/weft-canary';
const HOSTILE = [
  '',
  ' ',
  '.',
  '..',
  '../../etc/passwd',
  '/etc/passwd',
  '-h',
  '--help',
  '-batch',
  'all',
  'default',
  'lo',
  'eth%d',
  'eth0 up',
  'eth0\nlink del dev weft0',
  'eth0\0x',
  'eth0;id',
  `$(touch ${CANARY})`,
  `\`touch ${CANARY}\``,
  `|touch ${CANARY}`,
  `x>${CANARY}`,
  'a/b',
  'a:b/c',
  '"eth0"',
  "'",
  '\\',
  '#',
  'é',
  '\u202eeth0',
  'x'.repeat(16),
  'x'.repeat(100_000),
  '__proto__ ',
];

/** Texts made of what breaks command lines, paths and patterns. */
const nasty = fc.string({
  unit: fc.constantFrom(...' \t\n\r\0\'"\\$`;|&<>(){}[]*?!#%~/.,:-=+@ab0é\u202e'),
  maxLength: 40,
});

describe('hostile names at the host', { skip: needsRoot }, () => {
  let net: Namespaces;
  let host: Host;
  let sandbox: string;

  before(async () => {
    net = await createNamespaces();
    sandbox = await net.add('one');
    host = createLinuxHost({ stateDirectory: net.stateDirectory, netns: net.hostPath, log: silentLog });
    await host.prepare({ device: 'weft0', range: '10.32.0.0/12', mtu: 1400 });
  });
  after(() => net.close());

  const state = async () => [
    await net.run('host', 'ip', '-o', 'link'),
    await net.run(sandbox, 'ip', '-o', 'link'),
  ];

  /** Plugs with one field replaced: it must be refused with a reason of ours, and nothing may be there afterwards. */
  async function tryPlug(change: Partial<PlugPlan>): Promise<void> {
    const plan = {
      endpoint: 'a' as EndpointId,
      sandbox,
      interface: 'eth0',
      address: '10.32.0.5/12',
      mtu: 1400,
    };
    await assert.rejects(host.plug({ ...plan, ...change }), refusal, JSON.stringify(change).slice(0, 200));
  }
  function refusal(error: unknown): boolean {
    return error instanceof HostError && ['bad-request', 'sandbox-missing'].includes(error.code);
  }

  for (const field of ['interface', 'endpoint', 'sandbox', 'address'] as const) {
    test(`as ${field} they are refused and change nothing`, async () => {
      const was = await state();
      for (const text of HOSTILE.filter((text) => field !== 'endpoint' || !/^[\w.:-]*$/.test(text))) {
        await tryPlug({ [field]: text } as Partial<PlugPlan>);
      }
      assert.deepEqual(await state(), was);
      await assert.rejects(stat(CANARY));
    });
  }

  test('random ones are refused or plugged, and nothing else happens', async () => {
    const was = await state();
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('interface', 'endpoint', 'sandbox', 'address'),
        nasty,
        async (field, text) => {
          const plan = {
            endpoint: 'a' as EndpointId,
            sandbox,
            interface: 'eth0',
            address: '10.32.0.5/12',
            mtu: 1400,
          };
          const result = await host.plug({ ...plan, [field]: text }).catch((error: unknown) => error);
          if (result instanceof Error) assert.ok(refusal(result), String(result));
          else await host.unplug((field === 'endpoint' ? text : 'a') as EndpointId);
        },
      ),
      { numRuns: 150 },
    );
    // Indexes of links that came and went make no difference.
    assert.deepEqual((await state()).map(namesOnly), was.map(namesOnly));
    await assert.rejects(stat(CANARY));
  });

  test('as device, range or MTU they are refused', async () => {
    const mesh = { device: 'weft0', range: '10.32.0.0/12', mtu: 1400 };
    for (const text of HOSTILE) {
      await assert.rejects(host.prepare({ ...mesh, device: text }), refusal);
      await assert.rejects(host.prepare({ ...mesh, range: text }), refusal);
    }
    for (const mtu of [0, -1, 1.5, Number.NaN, 1e9])
      await assert.rejects(host.prepare({ ...mesh, mtu }), refusal);
  });
});

function namesOnly(links: string): readonly string[] {
  return links.split('\n').map((line) => line.split(':')[1] ?? '');
}

test('hostile names at attach are refused before anything is stored', async () => {
  const world = createWorld();
  world.machine.addSandbox('web');
  const endpoints = await world.live();
  for (const text of HOSTILE) {
    for (const field of ['interface', 'sandbox'] as const) {
      await assert.rejects(endpoints.attach({ sandbox: 'web', [field]: text }), refusedBy(text));
    }
    if (/^[\w.:-]*$/.test(text) && text !== '' && text !== '.' && text !== '..') continue;
    for (const field of ['name', 'network', 'id'] as const) {
      await assert.rejects(endpoints.attach({ sandbox: 'web', [field]: text }), refusedBy(text));
    }
  }
  assert.deepEqual(endpoints.list(), []);
  assert.equal(world.allocated.size, 0);
});

/** The message may show the text, but not so that it does something to a terminal, nor at length. */
function refusedBy(text: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof Error && 'code' in error, text);
    assert.match(error.message, /^[\x20-\x7e…]{1,400}$/);
    return true;
  };
}
