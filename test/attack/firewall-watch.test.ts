/*
 * SECURITY.md 14: while the daemon runs, whatever somebody takes out of its tables is back at once, be it a rule, a chain, an element or a
 * whole table, and its own changes are not taken for such a loss.
 *
 *   container 10.32.0.5 ── host, peers 192.0.2.7 and 2001:db8:2::8 by VXLAN
 */
import assert from 'node:assert/strict';
import { readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { EndpointId } from '../../src/core/ids.ts';
import { createLinuxHost } from '../../src/host/linux.ts';
import type { FastPathPlan, Host } from '../../src/ports/host.ts';
import type { Log } from '../../src/ports/log.ts';
import { silentLog } from '../hosts/log.ts';
import { createNamespaces, type Namespaces, needsRoot } from '../hosts/namespaces.ts';
import { until } from '../lab/wait.ts';

const peerAt = (underlay: string, number: number) => ({
  underlay,
  mac: `06:57:00:00:00:0${number}`,
  linkLocal: `fe80::${number}`,
  ranges: [{ start: 0x0a280000 + number * 0x100, last: 0x0a2800ff + number * 0x100 }],
  mtu: 1400,
});
const PLAN: FastPathPlan = {
  vni: 7_824_742,
  port: 4789,
  mac: '06:57:00:00:00:01',
  linkLocal: 'fe80::1',
  own: [{ start: 0x0a200000, last: 0x0a20ffff }],
  peers: [peerAt('192.0.2.7', 7), peerAt('2001:db8:2::8', 8)],
};
const TABLES = ['inet weft', 'arp weft', 'inet weft-networks', 'ip weft_vxlan', 'ip6 weft_vxlan'];
/** ms from a loss to the tables as they were, on a machine that does other things, too. */
const SOON = 2_000;

describe('the watch over the firewall', { skip: needsRoot }, () => {
  let net: Namespaces;
  let host: Host;
  let unguard: () => Promise<void>;
  let losses: string[];

  const nft = (...words: string[]) => net.run('host', 'nft', ...words);
  /** In the order of TABLES: a table that is made anew comes last in what nft lists. */
  const rules = async () =>
    (await Promise.all(TABLES.map((table) => nft('--stateless', 'list', 'table', ...table.split(' '))))).join(
      '',
    );
  const plug = (name: string, sandbox: string, address: string) =>
    host.plug({ endpoint: name as EndpointId, sandbox, address, mtu: 1400 });

  beforeEach(async () => {
    net = await createNamespaces();
    losses = [];
    await net.run('host', 'ip', 'link', 'set', 'lo', 'up');
    const log: Log = { ...silentLog, warn: (text) => void losses.push(text) };
    host = createLinuxHost({ stateDirectory: net.stateDirectory, netns: net.hostPath, log });
    await host.prepare({ device: 'weft0', range: '10.32.0.0/12', mtu: 1400 });
    await host.setNetworks(['10.33.1.0/24', '10.33.2.0/24']);
    await plug('one', await net.add('one'), '10.32.0.5/12');
    await host.setFastPath(PLAN);
    unguard = await host.guard();
  });
  afterEach(async () => {
    await unguard();
    await net.close();
  });

  async function handleOf(table: string, chain: string): Promise<string> {
    const text = await nft('--handle', 'list', 'chain', ...table.split(' '), chain);
    return /[^{] # handle (\d+)/.exec(text)?.[1] ?? assert.fail(`no rule in ${text}`);
  }

  /** Process ids of the nft that run in the host's network namespace for longer than a call. */
  async function nftPrograms(): Promise<readonly number[]> {
    const { ino } = await stat(net.hostPath);
    const found: number[] = [];
    for (const entry of await readdir('/proc')) {
      const [link, words] = await Promise.all([
        readlink(`/proc/${entry}/ns/net`).catch(() => ''),
        readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => ''),
      ]);
      if (link === `net:[${ino}]` && /^nft\0(monitor|-i)\0/.test(words)) found.push(Number(entry));
    }
    return found;
  }

  async function isHealed(what: string, take: () => Promise<unknown>): Promise<void> {
    const [before, count] = [await rules(), losses.length];
    await take();
    await until(`${what} to be back`, async () => (await rules()) === before, SOON);
    assert.equal(losses.length, count + 1, `${what}: ${losses.slice(count).join('; ')}`);
  }

  test('one rule of any table is back at once', async () => {
    for (const [table, chain] of [
      ['inet weft', 'ours'],
      ['arp weft', 'arriving'],
      ['inet weft-networks', 'forwarded'],
      ['ip weft_vxlan', 'arriving'],
      ['ip6 weft_vxlan', 'inner'],
    ] as const) {
      const handle = await handleOf(table, chain);
      await isHealed(`a rule of ${table}`, () =>
        nft('delete', 'rule', ...table.split(' '), chain, 'handle', handle),
      );
    }
  });

  test('one chain is back at once', async () => {
    await isHealed('inet weft leaving', () => nft('delete', 'chain', 'inet', 'weft', 'leaving'));
    await isHealed('inet weft-networks forwarded', () =>
      nft('delete', 'chain', 'inet', 'weft-networks', 'forwarded'),
    );
    await isHealed('ip weft_vxlan leaving', () => nft('delete', 'chain', 'ip', 'weft_vxlan', 'leaving'));
  });

  test('an emptied set is back at once, and so is one element', async () => {
    await isHealed('inet weft endpoints', () => nft('flush', 'set', 'inet', 'weft', 'endpoints'));
    await isHealed('inet weft-networks apart', () => nft('flush', 'set', 'inet', 'weft-networks', 'apart'));
    await isHealed('ip weft_vxlan peers', () => nft('flush', 'set', 'ip', 'weft_vxlan', 'peers'));
    await isHealed('one subnet', () => nft('delete element inet weft-networks apart { 10.33.2.0/24 }'));
    await plug('two', await net.add('two'), '10.32.0.6/12');
    await isHealed('both endpoints', () => nft('flush', 'set', 'arp', 'weft', 'endpoints'));
  });

  test('a table that was flushed or deleted is back at once, and so are all of them', async () => {
    for (const table of TABLES) {
      await isHealed(table, () => nft('flush', 'table', ...table.split(' ')));
      await isHealed(table, () => nft('delete', 'table', ...table.split(' ')));
    }
    const before = await rules();
    await nft('flush', 'ruleset');
    await until('all tables to be back', async () => (await rules()) === before, SOON);
  });

  test('what nft has saved of all tables can be loaded again', async () => {
    const saved = join(net.stateDirectory, 'saved');
    await writeFile(saved, `flush ruleset\n${await rules()}`);
    await nft('--check', '--file', saved);
  });

  test('with its programs killed, others watch soon', async () => {
    const before = await rules();
    const programs = await nftPrograms();
    assert.equal(programs.length, 2);
    for (const pid of programs) process.kill(pid, 'SIGKILL');
    await nft('flush', 'table', 'inet', 'weft');
    await until('what was taken meanwhile to be back', async () => (await rules()) === before, 3 * SOON);
    await until(
      'the copy to be held again',
      async () => (await nft('list', 'tables')).includes('weft-held'),
      SOON,
    );
    assert.ok(!(await nftPrograms()).some((pid) => programs.includes(pid)));
    await isHealed('inet weft', () => nft('flush', 'table', 'inet', 'weft'));
  });

  test('what we change ourselves, and what others have, is no loss', async () => {
    await nft('add', 'table', 'inet', 'other');
    const ping = ['ping', '-c', '1', '-W', '0.1', '10.33.1.1'];
    for (let round = 0; round < 3; round++) {
      await plug(`two${round}`, await net.add(`two${round}`), '10.32.0.6/12');
      await net.run('host', ...ping).catch(() => '');
      await host.setNetworks([`10.34.${round}.0/24`]);
      await host.setFastPath({ ...PLAN, peers: PLAN.peers.slice(round % 2) });
      await host.unplug(`two${round}` as EndpointId);
    }
    await host.setNetworks([]);
    await host.setFastPath(null);
    await nft('delete', 'table', 'inet', 'other');
    // One last loss comes after all that is still to be heard of them.
    const before = await nft('--stateless', 'list', 'table', 'inet', 'weft');
    await nft('flush', 'chain', 'inet', 'weft', 'ours');
    await until(
      'the rules',
      async () => (await nft('--stateless', 'list', 'table', 'inet', 'weft')) === before,
      SOON,
    );
    assert.deepEqual(losses.length, 1, losses.join('; '));
  });
});
