import assert from 'node:assert/strict';
import { createClient } from '../../src/cli/client.ts';
import type { DnsNames } from '../../src/doors/dns-control.ts';
import type { DockerHost } from '../lab/docker-host.ts';
import { converged } from '../lab/mesh.ts';
import { until } from '../lab/wait.ts';
import { story } from './story.ts';
import { addressIn, createNetwork, hasNetwork, meshed, sleeper } from './weft.ts';

/** From a container's start until it is known by name on another host, ms. */
const SOON = 300;
/** From a container's end until nobody knows it, ms. */
const FORGOTTEN = 5_000;

/** What a container is told: addresses or names, sorted, else the reason. Asks 127.0.0.11, which Docker wrote into its resolv.conf. */
async function told(host: DockerHost, container: string, name: string): Promise<string> {
  const words = ['exec', container, 'timeout', '8', 'nslookup', name];
  const { stdout, stderr } = await host.docker(words, { check: false, say: null });
  const [, answer = ''] = stdout.split(/\n\s*\n/);
  const found = [...answer.matchAll(/(?:Address(?: \d+)?:\s*|name = )(\S+)/g)].map(([, one]) => one);
  if (found.length > 0) return found.sort().join();
  return /NXDOMAIN|can't find/i.test(stdout + stderr) ? 'unknown' : (stdout + stderr).trim();
}

const knows = (host: DockerHost, container: string, name: string, answer: string, within: number) =>
  until(
    `${container} to be told that ${name} is ${answer}`,
    async () => {
      const found = await told(host, container, name);
      if (found !== answer) throw new Error(found);
      return true;
    },
    within,
    20,
  );

story('containers on two hosts know each other by name, alias and address, with no flag', {}, async (lab) => {
  await meshed(lab);
  const [one, two] = [lab.host(1), lab.host(2)];
  await createNetwork(one, 'app');
  await hasNetwork(two, 'app');
  await sleeper(one, 'app', 'web');
  const db = await sleeper(two, 'app', 'db', '--network-alias', 'store', '--hostname', 'db1');
  for (const name of ['db', 'store', 'db1', 'DB', 'db.app', 'db.app.weft.local', 'db.weft.local']) {
    await knows(one, 'web', name, db, 3_000);
  }
  await knows(one, 'web', db, 'db.app.weft.local', 5_000);
  await knows(one, 'web', 'web', await addressIn(one, 'app', 'web'), 5_000);
  assert.equal(await told(one, 'web', 'nobody.weft.local'), 'unknown');

  const second = await sleeper(one, 'app', 'db2', '--network-alias', 'store');
  await knows(two, 'db', 'store', [db, second].sort().join(), 3_000);

  await sleeper(one, 'weft', 'stranger');
  assert.equal(await told(one, 'stranger', 'db.weft.local'), 'unknown', 'nothing from other networks');

  await one.ask('rm', '-f', 'db2');
  await knows(two, 'db', 'store', db, FORGOTTEN);
  await two.ask('kill', 'db');
  await knows(one, 'web', 'db.weft.local', 'unknown', FORGOTTEN);
});

story('a container is known on the other host as soon as it runs', {}, async (lab) => {
  await meshed(lab);
  const [one, two] = [lab.host(1), lab.host(2)];
  const api = createClient(one.socket);
  const times: number[] = [];
  for (let round = 0; round < 5; round++) {
    await two.ask('run', '-d', '--name', `late${round}`, '--network', 'weft', 'busybox', 'sleep', '100000');
    const ran = performance.now();
    const known = async () => {
      const { names } = (await api.get('/v1/dns')) as DnsNames;
      return names.some(({ name }) => name === `late${round}`);
    };
    await until(`late${round} to be known`, known, 5_000, 1);
    times.push(performance.now() - ran);
  }
  const sorted = times.sort((a, b) => a - b);
  console.log(
    `known on the other host after docker run: ${sorted.map((time) => time.toFixed(0)).join(', ')} ms`,
  );
  assert.ok((sorted[2] ?? Number.NaN) < SOON, `${sorted}`);
});

story(
  'a container of internal networks asks nobody outside, unless Docker has it on another network, too',
  { hosts: 1 },
  async (lab) => {
    await meshed(lab);
    const one = lab.host(1);
    await createNetwork(one, 'shut', '--internal');
    const web = await sleeper(one, 'shut', 'web');
    await one.ask('network', 'create', 'plain');
    await sleeper(one, 'plain', 'near');
    await knows(one, 'web', 'web', web, 3_000);
    assert.equal(await told(one, 'web', 'near'), 'unknown');
    await one.ask('network', 'connect', 'plain', 'web');
    await knows(one, 'web', 'near', await addressIn(one, 'plain', 'near'), 5_000);
    await one.ask('network', 'disconnect', 'plain', 'web');
    await knows(one, 'web', 'near', 'unknown', 5_000);
    assert.equal(await told(one, 'web', 'web'), web);
  },
);

story(
  'containers keep the names that Docker knows, also while the daemon is away, and get the others back with it',
  {},
  async (lab) => {
    await meshed(lab);
    const [one, two] = [lab.host(1), lab.host(2)];
    const web = await sleeper(one, 'weft', 'web');
    const near = await sleeper(one, 'weft', 'near');
    const far = await sleeper(two, 'weft', 'far');
    await knows(one, 'web', 'far', far, 3_000);
    await knows(one, 'web', 'near', near, 5_000);
    await one.kill();
    await knows(one, 'web', 'near', near, 25_000);
    await one.weft(['up']);
    await converged(lab.hosts);
    await knows(one, 'web', 'far', far, 5_000);
    await knows(two, 'far', 'web', web, 5_000);
    await one.weft(['down']);
    await knows(one, 'web', 'near', near, 5_000);
  },
);

story(
  'a static name is told on both hosts, also to a container that came from the default bridge of Docker',
  {},
  async (lab) => {
    await meshed(lab);
    const [one, two] = [lab.host(1), lab.host(2)];
    const near = await sleeper(one, 'weft', 'near');
    await one.weft(['dns', 'add', 'db', '192.0.2.7']);
    await two.ask('run', '-d', '--name', 'plain', 'busybox', 'sleep', '100000');
    await two.ask('network', 'connect', 'weft', 'plain');
    const plain = await addressIn(two, 'weft', 'plain');
    for (const name of ['db', 'db.weft.local', 'DB.weft'])
      await knows(two, 'plain', name, '192.0.2.7', 5_000);
    await knows(one, 'near', 'db', '192.0.2.7', 5_000);
    await knows(two, 'plain', 'near', near, 5_000);
    await knows(one, 'near', 'plain', plain, 5_000);
    assert.equal((await two.weft(['dns', 'lookup', 'db'])).stdout, '192.0.2.7\n');

    await two.weft(['dns', 'remove', 'db']);
    await knows(two, 'plain', 'db.weft.local', 'unknown', 5_000);
    await knows(one, 'near', 'db.weft.local', 'unknown', 5_000);
    const { status, stderr } = await one.weft(['dns', 'lookup', 'db'], { check: false });
    assert.notEqual(status, 0, stderr);
  },
);
