/**
 * `npm run demo:compose`: examples/compose on two hosts of a lab, from images to an answer that crossed the mesh, the database killed
 * and back with its data, and everything taken down again. Takes the root file system from /var/tmp when an earlier run made it.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createDockerLab, dockerIsMissing } from './docker.ts';
import type { DockerHost } from './docker-host.ts';
import { printedEcho } from './echo.ts';
import { converged, joinAll } from './mesh.ts';
import { createReport } from './report.ts';
import { until } from './wait.ts';

const EXAMPLE = join(import.meta.dirname, '..', '..', 'examples', 'compose');

const tools = ['/usr/bin/docker-compose', '/usr/bin/mmdebstrap'].filter((path) => !existsSync(path));
const missing =
  dockerIsMissing() ?? (tools.length > 0 ? `apt-get install docker-compose mmdebstrap` : undefined);
if (missing !== undefined) throw new Error(`this demonstration needs more of Debian: ${missing}`);
const report = createReport();
const lab = await createDockerLab({ echo: printedEcho() });
try {
  await tell(lab.host(1), lab.host(2));
} finally {
  lab.close();
}
report.say(
  `\n${report.failures.length === 0 ? 'all held' : `failed: ${report.failures.join('; ')}`}, ${report.elapsed()} s`,
);
process.exitCode = report.failures.length === 0 ? 0 : 1;

async function tell(one: DockerHost, two: DockerHost): Promise<void> {
  report.step('Two hosts, each with its own Docker and weftd');
  await lab.startEngines();
  await joinAll(lab.hosts);
  await converged(lab.hosts);

  report.step('Images from Debian packages');
  for (const host of lab.hosts) {
    await host.run(['sh', join(EXAMPLE, 'build.sh')], {
      say: 'sh examples/compose/build.sh',
      timeout: 600_000,
    });
  }

  report.step('One network, made once');
  await one.ask('network', 'create', '-d', 'weft', '--ipam-driver', 'weft', 'shop');
  const listed = async () =>
    (await two.ask('network', 'ls', '--format', '{{.Name}}')).split('\n').includes('shop');
  report.check('it is in the other Docker, too', await until('the network', listed));

  report.step('Web and API here, the database there');
  await compose(one, 'host1.yml', 'up', '-d');
  await compose(two, 'host2.yml', 'up', '-d');
  const first = await until('an answer', () => visit(two, one.address), 60_000, 500);
  report.check('the page counts a visit', first.visits >= 1, JSON.stringify(first));
  const second = await until('another answer', () => visit(two, one.address));
  report.check('and the next one', second.visits > first.visits, JSON.stringify(second));

  report.step('The database is killed and comes back with its data');
  const database = await two.ask('ps', '-q', '--filter', 'name=db');
  await two.ask('kill', database);
  await two.ask('start', database);
  const third = await until('an answer again', () => visit(two, one.address), 60_000, 500);
  report.check('nothing is lost', third.visits > second.visits, JSON.stringify(third));
}

async function compose(host: DockerHost, file: string, ...words: string[]): Promise<void> {
  await host.run(['docker-compose', '-p', 'shop', '-f', join(EXAMPLE, file), ...words], {
    say: ['docker-compose', '-p', 'shop', '-f', `examples/compose/${file}`, ...words].join(' '),
    timeout: 120_000,
  });
}

/** Asks the page of the first host from the wire. */
async function visit(
  from: DockerHost,
  address: string,
): Promise<{ visits: number; from: string } | undefined> {
  const { status, stdout } = await from.run(
    ['busybox', 'timeout', '5', 'busybox', 'wget', '-qO-', `http://${address}:8080/visits`],
    {
      say: null,
      check: false,
    },
  );
  return status === 0 ? (JSON.parse(stdout) as { visits: number; from: string }) : undefined;
}
