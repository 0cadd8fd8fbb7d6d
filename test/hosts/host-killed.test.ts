import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { EndpointId } from '../../src/core/ids.ts';
import { createLinuxHost } from '../../src/host/linux.ts';
import { AS_NOBODY } from '../lab/nobody.ts';
import { silentLog } from './log.ts';
import { createNamespaces, type Namespaces, needsRoot } from './namespaces.ts';
import { snapshot } from './snapshot.ts';

const LIFE = join(import.meta.dirname, 'host-life.ts');
const MESH = { device: 'weft0', range: '10.32.0.0/12', mtu: 1400 };
const A = 'a' as EndpointId;

describe('a daemon that is killed', { skip: needsRoot }, () => {
  let net: Namespaces;
  let sandbox: string;
  let tools: string;

  before(async () => {
    net = await createNamespaces();
    sandbox = await net.add('one');
    await net.run('host', 'ip', 'link', 'set', 'lo', 'up');
    await net.run(sandbox, 'ip', 'link', 'set', 'lo', 'up');
    tools = await mkdtemp(join(tmpdir(), 'weft-tools-'));
  });
  after(async () => {
    await net.close();
    await rm(tools, { recursive: true });
  });

  const next = () =>
    createLinuxHost({ stateDirectory: net.stateDirectory, netns: net.hostPath, log: silentLog });

  /** Runs a life that is killed with SIGKILL when its `at`-th command or change has ended; how it ended, and how many of them there were. */
  async function live(at: number): Promise<{ killed: boolean; steps: number }> {
    const folder = await mkdtemp(join(tools, 'life-'));
    const wrapper = `#!/bin/sh
n=1
until mkdir ${folder}/$n 2>/dev/null; do n=$((n + 1)); done
PATH=/usr/sbin:/usr/bin:/sbin:/bin
nsenter "$@"
status=$?
[ $n = ${at} ] && kill -9 $PPID
exit $status
`;
    await writeFile(join(folder, 'nsenter'), wrapper, { mode: 0o755 });
    const child = spawn(
      process.execPath,
      [LIFE, net.hostPath, net.stateDirectory, sandbox, folder, String(at)],
      {
        env: { ...process.env, PATH: `${folder}${delimiter}${process.env.PATH}` },
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    );
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
    assert.ok(code === 0 || signal === 'SIGKILL', `ended with ${code ?? signal}`);
    return { killed: signal === 'SIGKILL', steps: (await readdir(folder)).length - 1 };
  }

  /** The quick part of a snapshot, for the many looks in between. */
  async function linksAndRoutes(): Promise<string> {
    const looks = ['host', sandbox].flatMap((namespace) => [
      net.run(namespace, 'ip', '-o', 'address'),
      net.run(namespace, 'ip', 'route', 'show', 'table', 'all'),
    ]);
    const links = await net.run('host', 'ip', '-o', 'link');
    return [links, ...(await Promise.all(looks))].join('');
  }

  test('after whichever command or change: the next life puts all right, or removes all', async () => {
    const clean = [await snapshot(net, 'host'), await snapshot(net, sandbox)];
    const before = await linksAndRoutes();
    for (let at = 1; (await live(at)).killed; at++) {
      const host = next();
      if (at % 2 === 0) {
        await host.prepare(MESH);
        for (const { endpoint } of await host.plugged()) assert.equal(endpoint, A);
        await host.plug({ endpoint: A, sandbox, address: '10.32.0.5/12', mtu: 1400 });
        await host.setHostAddresses([{ address: '10.32.0.9/12' }]);
        await net.run(sandbox, 'ping', '-n', '-q', '-c', '1', '-W', '1', '10.32.0.9');
      }
      await host.restore();
      assert.equal(await linksAndRoutes(), before, `killed after step ${at}`);
    }
    await next().restore();
    const { killed, steps } = await live(0);
    assert.ok(!killed && steps > 25, `only ${steps} steps`);
    await next().restore();
    assert.deepEqual([await snapshot(net, 'host'), await snapshot(net, sandbox)], clean);
  });

  test('and started by somebody who is not root: it says so', async () => {
    const script = `
      import { createLinuxHost } from '${new URL('../../src/host/linux.ts', import.meta.url).pathname}';
      const log = { info() {} };
      const host = createLinuxHost({ stateDirectory: '/tmp', log });
      await host.prepare(${JSON.stringify(MESH)}).catch((error) => console.log(error.code, error.message));
    `;
    const [command = '', ...args] = [...AS_NOBODY, process.execPath, '--input-type=module', '-e', script];
    const child = spawn(command, args);
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk;
    });
    await once(child, 'close');
    assert.match(output, /^not-root .*run weftd as root/);
  });
});
