import { type TestContext, test } from 'node:test';
import type { LabOptions } from '../lab/create.ts';
import { createDockerLab, type DockerLab, dockerIsMissing } from '../lab/docker.ts';
import { drawing } from '../lab/drawing.ts';
import { transcript } from '../lab/echo.ts';

export interface StoryOptions extends Omit<LabOptions, 'echo'> {
  /** Milliseconds for the whole story; default 120,000. */
  readonly patience?: number;
}

/**
 * One test on Docker hosts of its own, two unless said otherwise; engines and daemons are not started yet. When it fails it
 * leaves the commands that ran, what each host looked like, and the end of each engine's log.
 */
export function story(
  sentence: string,
  { patience = 120_000, ...options }: StoryOptions,
  tell: (lab: DockerLab, t: TestContext) => Promise<void>,
): void {
  test(sentence, { timeout: patience, skip: dockerIsMissing() ?? false }, async (t) => {
    const echo = transcript();
    const lab = await createDockerLab({ ...options, echo });
    try {
      await tell(lab, t);
    } catch (error) {
      console.error(`${echo.text()}\n${await drawing(lab.hosts)}\n${await engineLogs(lab)}`);
      throw error;
    } finally {
      lab.close();
    }
  });
}

async function engineLogs(lab: DockerLab): Promise<string> {
  const ends = lab.hosts.map(async ({ name, engine }) => {
    const lines = (await engine.log()).split('\n').filter((line) => !/module=grpc|^$/.test(line));
    return `${name}: dockerd.log (end)\n${lines.slice(-15).join('\n')}`.replaceAll('\n', '\n  │ ');
  });
  return (await Promise.all(ends)).join('\n');
}
