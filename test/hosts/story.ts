import { type TestContext, test } from 'node:test';
import { createLab, type Lab, type LabOptions } from '../lab/create.ts';
import { drawing } from '../lab/drawing.ts';
import { transcript } from '../lab/echo.ts';
import type { LabHost } from '../lab/host.ts';
import { converged, joinAll } from '../lab/mesh.ts';
import type { Namespace } from '../lab/namespace.ts';
import { addressOf } from '../lab/traffic.ts';

/** One test in a lab of its own. When it fails it leaves the commands that ran, and what each host looked like. */
export function story(
  sentence: string,
  options: Omit<LabOptions, 'echo'>,
  tell: (lab: Lab, t: TestContext) => Promise<void>,
): void {
  test(sentence, { timeout: 120_000 }, async (t) => {
    const echo = transcript();
    const lab = await createLab({ ...options, echo });
    try {
      await tell(lab, t);
    } catch (error) {
      console.error(`${echo.text()}\n${await drawing(lab.hosts)}`);
      throw error;
    } finally {
      lab.close();
    }
  });
}

export interface Place {
  readonly host: LabHost;
  readonly sandbox: Namespace;
  readonly address: string;
}

/** A mesh of all the lab's hosts with one container on each. */
export async function meshed(lab: Lab): Promise<Place[]> {
  await joinAll(lab.hosts);
  const places = [];
  for (const host of lab.hosts) places.push(await place(lab, host));
  await converged(lab.hosts);
  return places;
}

/** A new container on a host, `c2` on `h2`. */
export async function place(lab: Lab, host: LabHost, name = host.name.replace('h', 'c')): Promise<Place> {
  const sandbox = await lab.sandbox(name);
  await host.weft(['attach', sandbox.path]);
  return { host, sandbox, address: await addressOf(sandbox) };
}
