import { readFile, writeFile } from 'node:fs/promises';
import { createFloods, FLOODED_FROM, type Received } from '../core/floods.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import { setFeatures } from './link-features.ts';
import { hostNamespace } from './namespace.ts';
import { readReceived } from './received.ts';

/**
 * A container that floods a peer with datagrams hands them over one by one, and most of what each costs is the way of one packet through both
 * kernels, or reading it alone from the mesh's device. So while a container does that, the host's end of its link collects what comes within WAIT and
 * joins datagrams of one flow (GRO): they go as one packet, which the data path or the other host's kernel cuts again. Each datagram of that container then waits up to WAIT; nobody else's does,
 * and TCP goes past it. native/README.md has the figures.
 *
 * Links keep the setting when the daemon dies, so the first look of the next life puts them back.
 */
export interface DatagramBatches {
  /** To be called several times a second. While little leaves for other hosts this reads one counter. */
  look(): Promise<void>;
  /** Has all links pass datagrams singly again. */
  end(): Promise<void>;
}

/** How links are looked at and set; the kernel's way is `kernelLinks`. */
export interface BatchLinks {
  /** What has come by each container's link so far. */
  counts(): Promise<ReadonlyMap<string, Received>>;
  collects(link: string): Promise<boolean>;
  /** Rejects where the kernel or the link cannot. */
  collect(link: string, on: boolean): Promise<void>;
}

export interface DatagramBatchesParts {
  readonly links: BatchLinks;
  readonly clock: Clock;
  readonly log: Log;
  /** Packets that have left for other hosts so far. Cheap. */
  readonly sent: () => Promise<number>;
}

/** Between the first look at links and the next, in milliseconds: a flood is not to wait for the next call. */
export const SECOND_LOOK_AFTER = 50;

export function createDatagramBatches({ links, clock, log, sent }: DatagramBatchesParts): DatagramBatches {
  const floods = createFloods();
  let last: { readonly at: number; readonly packets: number } | undefined;
  /** Whether much was sent before the last look. */
  let much = false;
  let refused = false;

  async function collect(link: string, on: boolean): Promise<void> {
    try {
      await links.collect(link, on);
      log.debug(on ? 'datagrams of a flood are joined' : 'datagrams pass singly again', { link });
    } catch (error) {
      // Of a container that has gone meanwhile, or of a kernel that cannot, whose packets pass singly.
      if (!refused) log.info('datagrams of a flood cannot be joined', { link, why: String(error) });
      refused = true;
    }
  }

  async function end(): Promise<void> {
    for (const link of (await links.counts()).keys())
      if (await links.collects(link)) await collect(link, false);
  }

  async function sendsMuch(): Promise<boolean> {
    const packets = await sent();
    const at = clock.now();
    const before = last;
    last = { at, packets };
    if (before === undefined) return false;
    return (packets - before.packets) * 1_000 >= FLOODED_FROM * (at - before.at);
  }

  async function lookAtLinks(): Promise<void> {
    for (const { link, flooded } of floods.look(clock.now(), await links.counts()))
      await collect(link, flooded);
  }

  return {
    async look() {
      if (last === undefined) await end();
      const begun = much;
      much = await sendsMuch();
      if (!much && !floods.any) return;
      await lookAtLinks();
      if (begun || floods.any) return;
      await new Promise<void>((resolve) => clock.setTimer(SECOND_LOOK_AFTER, resolve));
      await lookAtLinks();
    },
    end,
  };
}

/** Long enough for a batch at a rate that one core reaches, and far below what a flood waits elsewhere; in nanoseconds. */
const WAIT = 100_000;
/** Once, until the next batch is due, the kernel does not look at the link by itself. */
const LOOKS_LEFT_OUT = 1;

/** Of this process's namespace: nothing else is shown below /sys. */
export function kernelLinks(): BatchLinks {
  const host = hostNamespace();
  const waiting = (link: string) => `/sys/class/net/${link}/gro_flush_timeout`;
  return {
    counts: () => readReceived(host),
    collects: async (link) => (await readFile(waiting(link), 'utf8').catch(() => '0')).trim() !== '0',
    async collect(link, on) {
      // GRO stays on: without the other feature no packet takes that way, and to end it drops what is on it.
      if (!on) await setFeatures(host, link, { 'rx-udp-gro-forwarding': false });
      await writeFile(waiting(link), `${on ? WAIT : 0}`);
      await writeFile(`/sys/class/net/${link}/napi_defer_hard_irqs`, `${on ? LOOKS_LEFT_OUT : 0}`);
      if (on) await setFeatures(host, link, { 'rx-gro': true, 'rx-udp-gro-forwarding': true });
    },
  };
}
