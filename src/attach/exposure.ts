import type { Locks } from '../core/locks.ts';
import type { Endpoint, ExposeRequest } from './endpoint.ts';
import type { EndpointsParts } from './endpoints.ts';
import type { EndpointRecord, EndpointRecords } from './records.ts';
import { networkOf, randomId } from './requests.ts';
import type { Steps } from './steps.ts';

/** The host's own addresses in the mesh. */
export interface Exposure {
  expose(request?: ExposeRequest): Promise<Endpoint>;
  hide(): Promise<readonly Endpoint[]>;
  /** Undoes what was not finished and gives the host the addresses that it should have. */
  reconcile(): Promise<void>;
}

/** All changes of the host's addresses share one lock: they are set as one list. */
const HOST = 'host';

export function createExposure(
  { host, networks, random, log }: EndpointsParts,
  records: EndpointRecords,
  steps: Steps,
  locks: Locks,
): Exposure {
  const own = () => records.all().filter(({ kind }) => kind === 'host');

  async function applyAttached(): Promise<void> {
    const attached = own().filter(({ phase }) => phase === 'attached');
    await host.setHostAddresses(attached.map(({ address, prefix }) => ({ address: `${address}/${prefix}` })));
  }

  async function expose({ ip, network: name }: ExposeRequest): Promise<Endpoint> {
    const network = networkOf(name, networks);
    const old = own().find(
      (record) =>
        record.phase === 'attached' &&
        record.network === network &&
        (ip ?? record.address) === record.address,
    );
    if (old !== undefined) {
      await applyAttached();
      return steps.describe(old);
    }
    const record = newRecord(network);
    try {
      await records.put(record);
      const attached = { ...(await steps.allocate(record, ip)), phase: 'attached' } as const;
      await records.put(attached);
      await applyAttached();
      log.info('host exposed', { address: attached.address });
      return steps.describe(attached);
    } catch (error) {
      await takeBack(record).catch((problem) =>
        log.warn("the host's address could not be taken back and will be later", { error: String(problem) }),
      );
      throw error;
    }
  }

  function newRecord(network: EndpointRecord['network']): EndpointRecord {
    return {
      id: randomId(random),
      kind: 'host',
      phase: 'attaching',
      network,
      name: null,
      sandbox: null,
      address: null,
      prefix: 0,
      link: null,
    };
  }

  /** The address leaves the device before it can be given to another. */
  async function takeBack(record: EndpointRecord): Promise<void> {
    await records.put({ ...(records.get(record.id) ?? record), phase: 'detaching' });
    await applyAttached();
    await steps.undo(record);
  }

  return {
    expose: (request = {}) => locks(HOST, () => expose(request)),
    hide: () =>
      locks(HOST, async () => {
        const attached = own().filter(({ phase }) => phase === 'attached');
        const endpoints = attached.map(steps.describe);
        for (const record of attached) await takeBack(record);
        log.info('host hidden', { addresses: endpoints.length });
        return endpoints;
      }),
    reconcile: () =>
      locks(HOST, async () => {
        for (const record of own()) {
          if (record.phase !== 'attached') await takeBack(record);
        }
        await applyAttached();
      }),
  };
}
