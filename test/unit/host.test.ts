import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseCidr } from '../../src/core/address.ts';
import type { EndpointId } from '../../src/core/ids.ts';
import { run } from '../../src/host/command.ts';
import { readAddress } from '../../src/host/ipv4.ts';
import { createLedger } from '../../src/host/ledger.ts';
import { aliasOf, endpointOf, hostLinkOf, isHostLink, macOf } from '../../src/host/names.ts';
import { endpointSources, rangeRoutes, sourceFor } from '../../src/host/routes.ts';
import type { RouteState } from '../../src/host/tables.ts';

function range(text: string) {
  const parsed = parseCidr(text);
  assert.ok(parsed.ok);
  return parsed.value;
}

test('names of host links fit the kernel, tell endpoints apart and stay the same', () => {
  const ids = Array.from({ length: 2_000 }, (_, index) => `endpoint-${index}` as EndpointId);
  const names = ids.map(hostLinkOf);
  assert.equal(new Set(names).size, ids.length);
  for (const name of names) assert.ok(isHostLink(name) && name.length === 15, name);
  assert.equal(hostLinkOf('a' as EndpointId), 'wftkxbsk35k2crt');
  assert.equal(isHostLink('wftkxbsk35k2crt0'), false);
});

test('an alias gives its endpoint back, and no other text is one', () => {
  const id = `${'f'.repeat(64)}:eth0` as EndpointId;
  assert.equal(endpointOf(aliasOf(id)), id);
  for (const alias of [
    undefined,
    '',
    id,
    'weft:mesh',
    'weft:endpoint:',
    'weft:endpoint:a b',
    'weft:endpoint:../x',
  ]) {
    assert.equal(endpointOf(alias), undefined);
  }
});

test('hardware addresses hold the IP address, are locally administered and unicast', () => {
  assert.equal(macOf(0x0a200005, 'sandbox'), '0a:57:0a:20:00:05');
  assert.equal(macOf(0xfffefdfc, 'host'), '0e:57:ff:fe:fd:fc');
  for (const end of ['sandbox', 'host'] as const) {
    assert.equal(Number.parseInt(macOf(0, end).slice(0, 2), 16) & 3, 2);
  }
});

test('a program that is missing is named with its package, a failing one with what it said', async () => {
  await assert.rejects(run(['no-such-program-here']), {
    code: 'tool-missing',
    message: /no-such-program-here/,
  });
  await assert.rejects(run(['ls', '/nowhere-at-all']), {
    code: 'command-failed',
    message: /`ls \/nowhere-at-all`/,
  });
  assert.equal(await run(['cat'], { input: 'as it is; $(date) "quoted"\n' }), 'as it is; $(date) "quoted"\n');
});

test('the nearest network of the host gives the source of its packets', () => {
  const exposed = [readAddress('10.32.0.9/12'), readAddress('10.33.1.9/24')];
  assert.equal(sourceFor(range('10.33.1.7/32').start, exposed), '10.33.1.9');
  assert.equal(sourceFor(range('10.33.2.7/32').start, exposed), '10.32.0.9');
  assert.equal(sourceFor(range('10.64.0.1/32').start, exposed), undefined);
});

test('routes that are as wanted are not touched', () => {
  const mesh = range('10.32.0.0/12');
  const route = (more: Partial<RouteState>): RouteState => {
    const defaults = { type: 'unicast', device: 'weft0', protocol: 173, source: undefined, table: 173 };
    const way = { gateway: undefined, mtu: undefined };
    return { destination: '10.32.0.0/12', ...defaults, ...way, ...more };
  };
  const there = [route({}), route({ type: 'unreachable', device: undefined })];
  assert.deepEqual(rangeRoutes('weft0', mesh, [], there), []);
  assert.equal(rangeRoutes('weft0', mesh, [], []).length, 2);
  const exposed = [readAddress('10.32.0.9/12')];
  const source = '10.32.0.9';
  assert.deepEqual(rangeRoutes('weft0', mesh, exposed, there), [
    { do: 'put route', destination: '10.32.0.0/12', link: 'weft0', source },
  ]);
  const foreign = route({ destination: '10.99.0.0/16', protocol: 4 });
  assert.deepEqual(rangeRoutes('weft0', mesh, [], [...there, foreign]), []);
  const stale = route({ destination: '10.96.0.0/12' });
  assert.deepEqual(rangeRoutes('weft0', mesh, [], [...there, stale]), [
    { do: 'remove route', destination: '10.96.0.0/12', type: 'unicast', link: 'weft0' },
  ]);
  const endpoint = route({ destination: '10.32.0.5', device: hostLinkOf('a' as EndpointId) });
  assert.equal(endpointSources([], [endpoint]).length, 0);
  assert.deepEqual(endpointSources(exposed, [endpoint]), [
    { do: 'put route', destination: '10.32.0.5', link: hostLinkOf('a' as EndpointId), source },
  ]);
});

test('the ledger is there before the deed, survives restarts and bears damage', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'weft-ledger-'));
  const path = join(directory, 'state', 'made-on-this-machine');
  try {
    const ledger = createLedger(join(directory, 'state'));
    assert.deepEqual(await ledger.devices(), []);
    await ledger.note('weft0');
    await ledger.note('weft0');
    await ledger.note('weft1');
    assert.deepEqual(await createLedger(join(directory, 'state')).devices(), ['weft0', 'weft1']);
    assert.equal(await readFile(path, 'utf8'), 'weft0\nweft1\n');
    await writeFile(path, `weft0\n../../etc\n${'x'.repeat(100)}\n\0\n`);
    assert.deepEqual(await ledger.devices(), ['weft0']);
    await ledger.clear();
    await ledger.clear();
    assert.deepEqual(await ledger.devices(), []);
  } finally {
    await rm(directory, { recursive: true });
  }
});
