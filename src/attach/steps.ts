import { HostError } from '../ports/host.ts';
import type { Endpoint } from './endpoint.ts';
import type { EndpointsParts } from './endpoints.ts';
import type { EndpointRecord, EndpointRecords } from './records.ts';

/** The single steps of attaching and detaching. Each leaves its result on disk, and each may be repeated. */
export interface Steps {
  /** Whether the very sandbox that the record was made for is there. */
  isAlive(record: EndpointRecord): Promise<boolean>;
  allocate(record: EndpointRecord, wanted: string | undefined): Promise<EndpointRecord>;
  /** Connects the sandbox and stores the endpoint as attached. The record has an address. */
  plug(record: EndpointRecord, link: string | undefined): Promise<Endpoint>;
  /** Takes away the link and the address, then the record. */
  undo(record: EndpointRecord): Promise<void>;
  /** `undo` after an error that is more to the point than what undoing may say; what remains is for reconcile. */
  undoQuietly(record: EndpointRecord): Promise<void>;
  describe(record: EndpointRecord): Endpoint;
  /** What the last look at the machine said of the endpoint's link. */
  noteUp(record: EndpointRecord, up: boolean): void;
}

export function createSteps(parts: EndpointsParts, records: EndpointRecords): Steps {
  const { space, host, log, mtu, device } = parts;
  const down = new Set<string>();

  function noteUp({ id }: EndpointRecord, up: boolean): void {
    if (up) down.delete(id);
    else down.add(id);
  }

  function describe(record: EndpointRecord): Endpoint {
    const { id, name, kind, network, address, prefix, sandbox, link } = record;
    return {
      id,
      name,
      kind,
      network,
      address: address ?? '',
      prefix,
      sandbox: sandbox?.given ?? null,
      interface: link?.interface ?? (kind === 'host' ? device : ''),
      hostLink: link?.hostLink ?? null,
      mac: link?.mac ?? null,
      up: record.phase === 'attached' && !down.has(id),
    };
  }

  async function undo(record: EndpointRecord): Promise<void> {
    await host.unplug(record.id);
    await space.release(record.id);
    await records.remove(record.id);
    down.delete(record.id);
  }

  return {
    noteUp,
    describe,
    undo,
    async undoQuietly(record) {
      try {
        await undo(record);
      } catch (error) {
        log.warn('an endpoint could not be undone and will be later', {
          endpoint: record.id,
          error: String(error),
        });
      }
    },
    async isAlive({ sandbox }) {
      if (sandbox === null) return true;
      try {
        const now = await host.locate(sandbox.path);
        return now.namespace === sandbox.namespace && now.birth === sandbox.birth;
      } catch (error) {
        // Any other error says nothing about the sandbox, and what lives must not be taken apart.
        if (error instanceof HostError && error.code === 'sandbox-missing') return false;
        throw error;
      }
    },
    async allocate(record, wanted) {
      const { id: endpoint, network } = record;
      const allocation = await space.allocate({
        endpoint,
        network,
        ...(wanted === undefined ? {} : { wanted }),
      });
      const allocated = { ...record, address: allocation.address, prefix: allocation.prefix };
      await records.put(allocated);
      return allocated;
    },
    async plug(record, link) {
      const wanted = link ?? record.link?.interface;
      const result = await host.plug({
        endpoint: record.id,
        sandbox: record.sandbox?.path ?? '',
        address: `${record.address}/${record.prefix}`,
        mtu: mtu(),
        ...(wanted === undefined ? {} : { interface: wanted }),
      });
      const { interface: name, hostLink, mac } = result;
      const attached = { ...record, phase: 'attached', link: { interface: name, hostLink, mac } } as const;
      await records.put(attached);
      noteUp(attached, true);
      log.info('endpoint attached', { endpoint: record.id, address: record.address, interface: name });
      return describe(attached);
    },
  };
}
