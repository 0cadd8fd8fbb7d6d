import { quote } from '../core/address.ts';
import type { EndpointId, NetworkId } from '../core/ids.ts';
import { createLocks } from '../core/locks.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Host, Sandbox } from '../ports/host.ts';
import type { Log } from '../ports/log.ts';
import type { Random } from '../ports/random.ts';
import { type AttachRequest, type Endpoint, EndpointError, type ExposeRequest } from './endpoint.ts';
import { createExposure } from './exposure.ts';
import type { Addresses, NetworkNames, Sections } from './parts.ts';
import { type Reconciled, reconcileEndpoints } from './reconcile.ts';
import { createRecords, type EndpointRecord } from './records.ts';
import { checkRequest, networkOf, randomId, resolve } from './requests.ts';
import { createSteps } from './steps.ts';

/** Sandboxes with an address and an interface in the mesh, and the host's own addresses there. */
export interface Endpoints {
  /**
   * Gives a sandbox an interface; all is on disk and works when it resolves. What is attached already in the same way is put right and
   * returned. Rejects with EndpointError, or with what the host or the addresses say; then nothing is left behind.
   */
  attach(request: AttachRequest): Promise<Endpoint>;
  /** By id or start of one, name, address or sandbox; resolves to what it was. */
  detach(reference: string): Promise<Endpoint>;
  /** An address for the host itself: the one that it has when no other is wanted. */
  expose(request?: ExposeRequest): Promise<Endpoint>;
  /** Takes the host's addresses away. */
  hide(): Promise<readonly Endpoint[]>;
  /** What is attached and exposed, in the order in which it came. */
  list(): readonly Endpoint[];
  /** Called after each change of `list`. Returns the way to stop. */
  watch(handler: () => void): () => void;
  /** Makes the machine and the stored endpoints agree: see reconcile.ts. */
  reconcile(): Promise<Reconciled>;
  /** Reconciles now and every RECONCILE_INTERVAL. The host is prepared before. */
  start(): Promise<Reconciled>;
  /** Ends that; resolves when the look under way is over, so that nothing is plugged any more. */
  stop(): Promise<void>;
}

export interface EndpointsParts {
  readonly space: Addresses;
  readonly networks: NetworkNames;
  readonly host: Host;
  readonly keeper: Sections;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Of the mesh's device, which the host's addresses are on. */
  readonly device: string;
  /** Bytes of an inner packet that fits everywhere in the mesh as it is now. */
  readonly mtu: () => number;
  /** Whether somebody else looks after the link of an endpoint that is not on record here. */
  readonly others: (endpoint: EndpointId) => boolean;
}

type PlacedRequest = AttachRequest & { readonly network: NetworkId };

/** Sandboxes that end without a word keep their address no longer than this, in milliseconds. */
export const RECONCILE_INTERVAL = 30_000;

export function createEndpoints(parts: EndpointsParts): Endpoints {
  const { host, keeper, clock, random, log } = parts;
  const handlers = new Set<() => void>();
  const records = createRecords(keeper, () => {
    for (const handler of [...handlers]) handler();
  });
  const locks = createLocks();
  const steps = createSteps(parts, records);
  const exposure = createExposure(parts, records, steps, locks);
  let timer: Timer | undefined;
  let running = false;
  let underWay: Promise<unknown> = Promise.resolve();

  async function attach(request: AttachRequest): Promise<Endpoint> {
    checkRequest(request);
    const network = networkOf(request.network, parts.networks);
    const sandbox = await host.locate(request.sandbox);
    await forgetDead(request.id, sandbox);
    return locks(sandbox.namespace, () => attachTo(sandbox, { ...request, network }));
  }

  /** A container that starts again may bring its id into a new sandbox before anybody noticed the end of the old one. */
  async function forgetDead(id: string | undefined, sandbox: Sandbox): Promise<void> {
    const old = records.all().find((record) => record.id === id);
    const namespace = old?.sandbox?.namespace;
    if (old === undefined || namespace === undefined || namespace === sandbox.namespace) return;
    await locks(namespace, async () => {
      const record = records.get(old.id);
      if (record !== undefined && !(await steps.isAlive(record))) await steps.undo(record);
    });
  }

  async function attachTo(sandbox: Sandbox, request: PlacedRequest): Promise<Endpoint> {
    const there = await present(sandbox);
    const old = match(there, request);
    const record =
      old === undefined ? newRecord(sandbox, request) : { ...old, name: request.name ?? old.name };
    checkUnique(record);
    // From here to the first write there is no await: names and ids stay unique.
    if (old !== undefined && old.phase === 'attached') {
      if (record.name !== old.name) await records.put(record);
      return steps.plug(record, request.interface);
    }
    try {
      await records.put(record);
      const allocated = await steps.allocate(record, request.ip);
      return await steps.plug(allocated, request.interface);
    } catch (error) {
      await steps.undoQuietly(record);
      throw error;
    }
  }

  /** The endpoints of this very sandbox; those of a dead one that had the same number are undone first. */
  async function present(sandbox: Sandbox): Promise<readonly EndpointRecord[]> {
    const found: EndpointRecord[] = [];
    for (const record of records.all()) {
      if (record.sandbox?.namespace !== sandbox.namespace) continue;
      if (record.phase !== 'detaching' && (await steps.isAlive(record))) found.push(record);
      else await steps.undo(record);
    }
    return found;
  }

  function newRecord(sandbox: Sandbox, request: PlacedRequest): EndpointRecord {
    return {
      id: (request.id as EndpointId | undefined) ?? randomId(random),
      kind: 'sandbox',
      phase: 'attaching',
      network: request.network,
      name: request.name ?? null,
      sandbox: { given: request.sandbox, ...sandbox },
      address: null,
      prefix: 0,
      link: null,
    };
  }

  function checkUnique(record: EndpointRecord): void {
    for (const other of records.all()) {
      if (other.id === record.id && other.sandbox?.namespace !== record.sandbox?.namespace) {
        throw new EndpointError(
          'bad-request',
          `the endpoint ${record.id} is in another sandbox: detach it first`,
        );
      }
      if (other.id !== record.id && record.name !== null && other.name === record.name) {
        throw new EndpointError('name-taken', `the endpoint ${other.id} is called ${record.name} already`);
      }
    }
  }

  async function detach(reference: string): Promise<Endpoint> {
    const found = resolve(
      records.all().filter(({ kind }) => kind === 'sandbox'),
      reference,
    );
    return locks(found.sandbox?.namespace ?? found.id, async () => {
      const record = records.get(found.id);
      if (record === undefined) {
        throw new EndpointError(
          'unknown-endpoint',
          `the endpoint ${quote(reference)} has just been detached`,
        );
      }
      const endpoint = steps.describe(record);
      await records.put({ ...record, phase: 'detaching' });
      await steps.undo(record);
      log.info('endpoint detached', { endpoint: record.id, address: record.address });
      return endpoint;
    });
  }

  const reconcile = () => reconcileEndpoints(parts, records, steps, exposure, locks);

  function schedule(): void {
    timer = clock.setTimer(RECONCILE_INTERVAL, () => {
      underWay = reconcile()
        .catch((error) => log.warn('endpoints were not reconciled', { error: String(error) }))
        .then(() => {
          if (running) schedule();
        });
    });
  }

  return {
    attach,
    detach,
    expose: exposure.expose,
    hide: exposure.hide,
    list: () =>
      records
        .all()
        .filter(({ phase }) => phase === 'attached')
        .map(steps.describe),
    watch(handler) {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
    reconcile,
    async start() {
      const result = await reconcile();
      running = true;
      schedule();
      return result;
    },
    async stop() {
      running = false;
      timer?.cancel();
      await underWay;
    },
  };
}

/** The endpoint of a sandbox that a request asks for again; an error where it asks for something that the sandbox has in another way. */
function match(there: readonly EndpointRecord[], request: PlacedRequest): EndpointRecord | undefined {
  const { network } = request;
  const byId = there.find(({ id }) => id === request.id);
  const byLink = there.find(({ link }) => link !== null && link.interface === request.interface);
  const alike = there.find((record) => record.network === network);
  const asked = request.interface === undefined ? alike : byLink;
  const found = byId ?? (request.id === undefined ? asked : undefined);
  const clash = found ?? byLink;
  if (clash === undefined) return undefined;
  const same =
    found !== undefined &&
    found.network === network &&
    (request.ip === undefined || found.address === null || request.ip === found.address) &&
    (request.interface === undefined || found.link === null || request.interface === found.link.interface);
  if (same) return found;
  const what = `${clash.address ?? 'no address yet'} in ${clash.network}, endpoint ${clash.id}`;
  throw new EndpointError(
    'interface-taken',
    `${request.sandbox} has ${clash.link?.interface ?? 'an interface'} with ${what}: detach it first, or choose another interface`,
  );
}
