import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { fileURLToPath } from 'node:url';
import { isMainThread, Worker, workerData } from 'node:worker_threads';

/**
 * Ends a simulation whose virtual time stands still, and says where: a second thread looks at the time; when that has not moved for a while
 * it stops the first one as a debugger does, prints its stack and what `describe` has to say, and kills the process.
 */
export interface Watchdog {
  /** Whatever moves when there is progress. */
  beat(progress: number): void;
  stop(): Promise<void>;
}

interface Setup {
  readonly progress: SharedArrayBuffer;
  readonly patience: number;
}

type Describing = typeof globalThis & { describeSimulation?: () => string };

/** `patience`: real milliseconds without a beat of another value. */
export async function startWatchdog({
  patience = 60_000,
  describe,
}: {
  patience?: number;
  describe: () => string;
}): Promise<Watchdog> {
  const progress = new SharedArrayBuffer(8);
  const view = new Float64Array(progress);
  (globalThis as Describing).describeSimulation = describe;
  const workerData: Setup = { progress, patience };
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData });
  await once(worker, 'online');
  worker.unref();
  return {
    beat(value) {
      view[0] = value;
    },
    async stop() {
      await worker.terminate();
    },
  };
}

async function watch({ progress, patience }: Setup): Promise<void> {
  const view = new Float64Array(progress);
  let last = Number.NaN;
  let since = performance.now();
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(1_000, patience / 4)));
    const now = view[0] as number;
    if (now !== last) {
      last = now;
      since = performance.now();
    } else if (performance.now() - since >= patience) {
      writeSync(2, `${await report(now)}\n`);
      process.kill(process.pid, 'SIGKILL');
    }
  }
}

async function report(time: number): Promise<string> {
  // An open session alone does not keep a thread alive.
  const awake = setInterval(() => {}, 1_000);
  const session = new Session();
  session.connectToMainThread();
  const paused = new Promise<Paused>((resolve) => {
    session.on('Debugger.paused', ({ params }) => resolve(params as unknown as Paused));
  });
  await session.post('Debugger.enable');
  await session.post('Debugger.pause');
  const { callFrames } = await paused;
  const [top] = callFrames;
  const stack = callFrames.map(
    ({ functionName, url, location }) => `    ${functionName || '-'} ${url}:${location.lineNumber + 1}`,
  );
  const evaluated =
    top === undefined
      ? undefined
      : await session.post('Debugger.evaluateOnCallFrame', {
          callFrameId: top.callFrameId,
          expression: 'globalThis.describeSimulation()',
        });
  clearInterval(awake);
  const drawing = String(evaluated?.result.value ?? 'nothing can be said of it');
  return [`no progress beyond ${time}: it is in`, ...stack, '', drawing].join('\n');
}

interface Paused {
  readonly callFrames: readonly {
    readonly callFrameId: string;
    readonly functionName: string;
    readonly url: string;
    readonly location: { readonly lineNumber: number };
  }[];
}

if (!isMainThread && (workerData as Partial<Setup> | null)?.progress !== undefined) {
  await watch(workerData as Setup);
}
