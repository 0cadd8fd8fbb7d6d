import assert from 'node:assert/strict';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decode, encode } from 'dns-packet';
import { parseIpv4 } from '../../src/core/address.ts';
import { reverseName } from '../../src/core/names.ts';
import { startDockerResolver } from '../contract/support/docker-resolver.ts';
import type { Lab } from '../lab/create.ts';
import type { LabHost } from '../lab/host.ts';
import { converged, joinAll } from '../lab/mesh.ts';
import { told } from '../lab/names.ts';
import type { Namespace } from '../lab/namespace.ts';
import { addressOf } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { story } from './story.ts';

/** From a container's start until it is known by name on another host, ms. */
const SOON = 300;
/** From a container's end until nobody knows it, ms. */
const FORGOTTEN = 5_000;

interface Named {
  readonly host: LabHost;
  readonly sandbox: Namespace;
  readonly address: string;
}

async function named(lab: Lab, host: LabHost, name: string): Promise<Named> {
  const sandbox = await lab.sandbox(`${name}-${host.name}`);
  await host.weft(['attach', sandbox.path, '--name', name]);
  return { host, sandbox, address: await addressOf(sandbox) };
}

/** `web` on the first host, `db` on the second, known to each other. */
async function begin(lab: Lab): Promise<[Named, Named]> {
  await joinAll(lab.hosts);
  await converged(lab.hosts);
  const [web, db] = [await named(lab, lab.host(1), 'web'), await named(lab, lab.host(2), 'db')];
  await knows(web, 'db.weft.local', db.address, 2_000);
  await knows(db, 'web.weft.local', web.address, 2_000);
  return [web, db];
}

function pointer(address: string): string {
  const parsed = parseIpv4(address);
  assert.ok(parsed.ok);
  return reverseName(parsed.value);
}

/** A name that is not known yet is asked for in full: else the question goes on to the host's nameservers, which the lab has not. */
const knows = (from: Named, name: string, answer: string, within: number) =>
  until(`${name} to be ${answer}`, async () => (await told(from.sandbox, name)) === answer, within, 5);

story('containers know each other by name, on every host', { hosts: 2 }, async (lab) => {
  const [web, db] = await begin(lab);
  for (const name of ['db', 'DB', 'db.weft', 'db.weft.local', 'db.weft.weft.local']) {
    await knows(web, name, db.address, 2_000);
    assert.equal(await told(web.sandbox, name, { over: 'tcp' }), db.address, `${name} over TCP`);
  }
  assert.equal(await told(db.sandbox, 'web'), web.address);
  assert.equal(await told(db.sandbox, 'db'), db.address);
  assert.equal(await told(web.sandbox, pointer(db.address), { type: 'PTR' }), 'db.weft.weft.local');
  assert.equal(await told(web.sandbox, 'db', { type: 'AAAA' }), 'no data');
  assert.equal(await told(web.sandbox, 'nobody.weft.local'), 'NXDOMAIN');

  const config = join(lab.folder, 'resolv.conf');
  await writeFile(config, 'nameserver 127.0.0.11\noptions ndots:0\n');
  const script = `mount --bind ${config} /etc/resolv.conf && exec getent -s dns ahostsv4 db`;
  const { stdout } = await web.sandbox.run(['unshare', '--mount', 'sh', '-c', script]);
  assert.match(stdout, new RegExp(`^${db.address.replaceAll('.', '\\.')} `));
});

story('a name is known on the other host as soon as its container is there', { hosts: 2 }, async (lab) => {
  const [web] = await begin(lab);
  const times: number[] = [];
  for (let round = 0; round < 10; round++) {
    const { address } = await named(lab, lab.host(2), `late${round}`);
    const attached = performance.now();
    await knows(web, `late${round}.weft.local`, address, 5_000);
    times.push(performance.now() - attached);
  }
  const [, , , , median = Number.NaN] = times.sort((a, b) => a - b);
  console.log(
    `known on the other host ${median.toFixed(0)} ms after attach, at most ${times.at(-1)?.toFixed(0)} ms`,
  );
  assert.ok(median < SOON, `${times}`);
});

story('a name ends with its container, however that ends', { hosts: 2 }, async (lab) => {
  const [web] = await begin(lab);
  const { sandbox, address } = await named(lab, lab.host(2), 'killed');
  await knows(web, 'killed.weft.local', address, 2_000);
  await lab.host(2).weft(['detach', 'db']);
  await knows(web, 'db.weft.local', 'NXDOMAIN', FORGOTTEN);
  await lab.host(2).run(['ip', 'netns', 'del', sandbox.path]);
  await knows(web, 'killed.weft.local', 'NXDOMAIN', FORGOTTEN);
  await until('the address to be free', async () => (await lab.host(2).status()).endpoints.length === 0);
});

story('after down nothing is left in a container', { hosts: 1 }, async (lab) => {
  const host = lab.host(1);
  await host.weft(['up']);
  const { sandbox } = await named(lab, host, 'one');
  assert.match(await told(sandbox, 'one'), /^10\./);
  await host.weft(['down']);
  assert.equal(await told(sandbox, 'one'), 'none');
  assert.equal((await sandbox.run(['nft', 'list', 'tables'])).stdout, '');
});

story(
  'with the daemon killed, containers ask the resolver that they had before, and Weft again when it is back',
  { hosts: 2 },
  async (lab) => {
    const [web, db] = await begin(lab);
    await knows(web, 'db', db.address, 2_000);
    const docker = await likeDocker(web.sandbox, '192.0.2.53');
    try {
      assert.equal(await told(web.sandbox, 'db'), db.address);
      assert.equal(
        await told(web.sandbox, 'example.com'),
        '192.0.2.53',
        'what Weft does not know is asked on',
      );
      await web.host.kill();
      await until('nobody to wait for a dead daemon', () => refusedAtOnce(web), 30_000);
      await knows(db, 'web', web.address, 100);
      await knows(web, 'db', '192.0.2.53', 20_000);
      await web.host.weft(['up']);
      await knows(web, 'db', db.address, 5_000);
      assert.equal(
        await told(web.sandbox, 'example.com'),
        '192.0.2.53',
        'what Weft does not know is asked on',
      );
    } finally {
      await docker.close();
    }
    await converged(lab.hosts);
    await web.host.weft(['detach', 'web']);
    await knows(db, 'web.weft.local', 'NXDOMAIN', FORGOTTEN);
  },
);

/** Refused, not waited for: the question ends long before its patience does, however busy the machine is. */
async function refusedAtOnce({ sandbox }: Named): Promise<boolean> {
  const patience = 10_000;
  const asked = performance.now();
  const answer = await told(sandbox, 'db', { timeout: patience });
  return answer === 'none' && performance.now() - asked < patience / 2;
}

/** Listens in a container as Docker's resolver does, and knows one address for every name. */
async function likeDocker(sandbox: Namespace, address: string): Promise<{ close(): Promise<void> }> {
  const handle = await open(join('/run/netns', sandbox.path));
  const resolver = await startDockerResolver(
    (...command) => sandbox.run(command, { say: null }),
    handle.fd,
    async (query) => {
      const { id, questions } = decode(Buffer.from(query));
      const answers = questions.map(
        ({ name }) => ({ type: 'A', class: 'IN', name, ttl: 1, data: address }) as const,
      );
      return encode({ type: 'response', id, flags: 0x180, questions, answers });
    },
  );
  return {
    async close() {
      await resolver.close();
      await handle.close();
    },
  };
}
