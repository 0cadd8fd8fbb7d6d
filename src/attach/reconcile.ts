import type { EndpointId } from '../core/ids.ts';
import type { Locks } from '../core/locks.ts';
import type { EndpointsParts } from './endpoints.ts';
import type { Exposure } from './exposure.ts';
import type { EndpointRecord, EndpointRecords } from './records.ts';
import type { Steps } from './steps.ts';

/** What a look at machine and records changed. */
export interface Reconciled {
  /** Lost their link, or it was down, while their sandbox lives: connected again. */
  readonly replugged: readonly EndpointId[];
  /** Their sandbox is gone, or a crash came between: link and address taken back. */
  readonly released: readonly EndpointId[];
  /** Links of endpoints that no record knows: removed. */
  readonly removed: readonly EndpointId[];
  /** Could not be put right; the next look tries again. */
  readonly failed: readonly EndpointId[];
}

/** Each endpoint by itself: one that cannot be put right holds up no other. */
export async function reconcileEndpoints(
  { host, log, others }: Pick<EndpointsParts, 'host' | 'log' | 'others'>,
  records: EndpointRecords,
  steps: Steps,
  exposure: Exposure,
  locks: Locks,
): Promise<Reconciled> {
  const result = { replugged: [], released: [], removed: [], failed: [] } as Record<
    keyof Reconciled,
    EndpointId[]
  >;

  async function attempt(
    endpoint: EndpointId,
    task: () => Promise<keyof Reconciled | 'unchanged'>,
  ): Promise<void> {
    try {
      const outcome = await task();
      if (outcome === 'unchanged') return;
      result[outcome].push(endpoint);
      log.info(`endpoint ${outcome}`, { endpoint });
    } catch (error) {
      result.failed.push(endpoint);
      log.warn('an endpoint could not be put right', { endpoint, error: String(error) });
    }
  }

  async function putRight(record: EndpointRecord): Promise<keyof Reconciled | 'unchanged'> {
    if (record.phase !== 'attached') {
      await steps.undo(record);
      return 'released';
    }
    if (up.get(record.id) === true) {
      steps.noteUp(record, true);
      return 'unchanged';
    }
    if (!(await steps.isAlive(record))) {
      await steps.undo(record);
      return 'released';
    }
    steps.noteUp(record, false);
    await steps.plug(record, undefined);
    return 'replugged';
  }

  await exposure.reconcile().catch((error) => {
    log.warn("the host's own addresses could not be put right", { error: String(error) });
    for (const { id, kind } of records.all()) if (kind === 'host') result.failed.push(id);
  });
  const up = new Map((await host.plugged()).map((link) => [link.endpoint, link.up]));
  for (const endpoint of up.keys()) {
    if (records.get(endpoint) !== undefined || others(endpoint)) continue;
    await attempt(endpoint, async () => {
      await host.unplug(endpoint);
      return 'removed';
    });
  }
  for (const { id, kind, sandbox } of records.all()) {
    if (kind === 'host') continue;
    await locks(sandbox?.namespace ?? id, async () => {
      const record = records.get(id);
      if (record !== undefined) await attempt(id, () => putRight(record));
    });
  }
  return result;
}
