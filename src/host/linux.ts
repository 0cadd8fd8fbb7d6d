import { isDeepStrictEqual } from 'node:util';
import type { Cidr } from '../core/address.ts';
import { formatCidr, formatIpv4 } from '../core/address.ts';
import type { EndpointId } from '../core/ids.ts';
import { overlapping } from '../core/subnets.ts';
import {
  type FastPathPlan,
  type Host,
  type HostAddress,
  HostError,
  isFastPathDevice,
  type MeshPlan,
  type OfferPlan,
  type PlugPlan,
} from '../ports/host.ts';
import type { Log } from '../ports/log.ts';
import { apply } from './changes.ts';
import { checkMachine, checkMesh, checkOverlap, isOurDevice, prepareDevice } from './device.ts';
import { fastPathSources, raiseFastPath, readFastPath, readSent, removeFastPath } from './fast-path.ts';
import { createFirewall } from './firewall.ts';
import { createNetworksTable, isolationOf } from './firewall-networks.ts';
import { createAdmission } from './firewall-vxlan.ts';
import { createFirewallWatch } from './firewall-watch.ts';
import { admitForwarding, removeForwarding } from './forwarding.ts';
import { readIdleLinks } from './holder.ts';
import { readAddress, readNetwork } from './ipv4.ts';
import { createLedger } from './ledger.ts';
import {
  checkOffer,
  checkPlug,
  guardedLinks,
  isEndpointLink,
  pluggedOf,
  plugInto,
  removeLink,
} from './links.ts';
import { createMovingLinks } from './moving-links.ts';
import { ANCHOR, checkEndpoint, endpointOf, hostLinkOf, LINK_GROUP } from './names.ts';
import { hostNamespace } from './namespace.ts';
import { offerLink } from './offer.ts';
import { endpointSources, meshRule, rangeRoutes, removeRoutes, sourceFor } from './routes.ts';
import { openSandbox } from './sandbox.ts';
import { createShortcut } from './shortcut.ts';
import { readView } from './shortcut-view.ts';
import { readLinks, readLinksAndRoutes, readRoutes, readRules } from './tables.ts';

export interface LinuxHostOptions {
  /** User id that may open the TUN device without being root. */
  readonly deviceOwner?: number;
  /** Holds the note of what was made on this machine. */
  readonly stateDirectory: string;
  /** Path of the network namespace that is the host; absent: that of this process. */
  readonly netns?: string;
  /** Absent: true. See shortcut.ts. */
  readonly shortcut?: boolean;
  readonly log: Log;
}

/**
 * Links, routes, sysctls and firewall of one network namespace, by netlink and nft. One call runs at a time. All state is in the kernel, but for the
 * ledger and for which networks the host's addresses belong to: those are told anew after each start.
 */
export function createLinuxHost(options: LinuxHostOptions): Host {
  const { deviceOwner, stateDirectory, netns, log } = options;
  const host = hostNamespace(netns);
  const ledger = createLedger(stateDirectory);
  const exclusively = createQueue();
  let mesh: { readonly device: string; readonly range: Cidr } | undefined;
  let exposed: readonly Cidr[] = [];
  const admission = createAdmission(host);
  const firewall = createFirewall(host);
  const networksTable = createNetworksTable(host);
  const shortcut = createShortcut(netns, options.shortcut ?? true, log);
  /** Undefined: not told yet in this life. */
  let fast: FastPathPlan | null | undefined;
  /** Subnets to keep apart that the kernel does not know yet. */
  let unapplied: readonly Cidr[] | undefined;
  /** Undefined: not told yet in this life. */
  let apart: readonly Cidr[] | undefined;
  const watch = createFirewallWatch({ path: netns, log, exclusively, putBack });
  let openUnderWay = false;
  const moving = createMovingLinks(openSoon);

  async function prepare(plan: MeshPlan): Promise<void> {
    const range = checkMesh(plan);
    await checkMachine();
    const [links, routes] = await Promise.all([readIdleLinks(host), readRoutes(host)]);
    checkOverlap(plan, range, links, routes);
    for (const link of links.filter(isEndpointLink)) {
      if (endpointOf(link.alias) !== undefined) continue;
      log.info('removing a link that was not finished', { link: link.name });
      await removeLink(host, link.name);
    }
    // Before anything can come by the device.
    await firewall.raise({ device: plan.device, range }, guardedLinks(links));
    await prepareDevice(host, plan, ledger, deviceOwner);
    mesh = { device: plan.device, range };
    await apply(host, [
      ...rangeRoutes(plan.device, range, exposed, routes),
      ...meshRule(range, await readRules(host)),
    ]);
    await admitForwarding(host, plan.range);
    const ours = (await readLinks(host)).filter(({ group }) => group === LINK_GROUP);
    await shortcut.begin(ours, plan.device);
    openSoon();
    log.info('host prepared', { device: plan.device, range: plan.range, mtu: plan.mtu });
  }

  function prepared() {
    if (mesh === undefined)
      throw new HostError('command-failed', 'the mesh is not prepared on this host yet');
    return mesh;
  }

  /** Without waiting: until then packets go the kernel's way. */
  function openSoon(): void {
    if (openUnderWay || shortcut.works === false) return;
    openUnderWay = true;
    exclusively(openShortcut).catch((error: unknown) =>
      log.error('the shortcut for packets stays closed', { error: String(error) }),
    );
  }

  /** Stays closed as long as this life does not know yet what an earlier one has left in the kernel. */
  async function openShortcut(): Promise<void> {
    openUnderWay = false;
    if (mesh === undefined || apart === undefined || unapplied !== undefined) return;
    const view = await readView(host, { ...mesh, exposed, apart, fast: fast ?? null });
    if (fast === undefined && view.links.some(({ name }) => isFastPathDevice(name))) return;
    shortcut.open(view);
    await shortcut.attach(
      view.links.filter(({ name }) => !moving.has(name)),
      mesh.device,
    );
  }

  /** Closed, the shortcut does not take a container that it has not heard of for one on another host. */
  function makeRoom({ endpoint }: OfferPlan): void {
    shortcut.close();
    shortcut.forget(hostLinkOf(endpoint));
    openSoon();
  }

  async function plug(plan: PlugPlan) {
    checkPlug(plan);
    prepared();
    await isolate();
    makeRoom(plan);
    const sandbox = await openSandbox(plan.sandbox, netns);
    try {
      const source = sourceFor(readAddress(plan.address).address, exposed);
      return await plugInto(sandbox, plan, source, netns, firewall);
    } finally {
      await sandbox.close();
    }
  }

  /** Nothing is plugged between being told of a network and keeping it apart. */
  async function isolate(): Promise<void> {
    if (unapplied === undefined) return;
    shortcut.close();
    await networksTable.raise(unapplied);
    apart = unapplied;
    unapplied = undefined;
    await watch.hold(isolationOf(apart));
    openSoon();
  }

  /** Puts back what somebody has taken out of our tables. Our own changes bring us here, too. */
  async function putBack(): Promise<void> {
    if (mesh === undefined) return;
    const lost = async (which: { isWhole(): Promise<boolean> }, tables: string) => {
      if (await which.isWhole()) return false;
      log.warn('somebody has removed rules of the firewall: putting them back', { tables });
      return true;
    };
    if (apart !== undefined && (await lost(networksTable, 'weft-networks'))) await networksTable.raise(apart);
    if (await lost(firewall, 'weft')) await firewall.raise(mesh, guardedLinks(await readLinks(host)));
    if (fast != null && (await lost(admission, 'weft_vxlan'))) await setFastPath(fast);
  }

  async function setHostAddresses(addresses: readonly HostAddress[]): Promise<void> {
    const { device, range } = prepared();
    shortcut.close();
    const wanted = addresses.map(({ address }) => readAddress(address));
    const texts = wanted.map(({ address }) => formatIpv4(address));
    const [links, routes] = await Promise.all([readLinks(host), readRoutes(host)]);
    const holder = links.find(
      (link) => link.name !== device && link.addresses.some(({ local }) => texts.includes(local)),
    );
    const routed = routes.find(({ destination }) => texts.includes(destination));
    if (holder !== undefined || routed !== undefined) {
      const whom = holder?.name ?? routed?.device ?? 'this host';
      throw new HostError('address-taken', `${whom} has one of ${texts.join(', ')} already`);
    }
    const present = links.find((link) => link.name === device)?.addresses.map(({ local }) => local) ?? [];
    const current = present.filter((local) => local !== ANCHOR);
    const gone = current.filter((text) => !texts.includes(text));
    // Routes let go of an address before it goes: the kernel drops a route with the address that it names as source.
    await apply(host, [
      ...texts
        .filter((text) => !current.includes(text))
        .map((text) => ({ do: 'add address', ...hostAddress(text, device) }) as const),
      ...rangeRoutes(device, range, wanted, routes),
      ...endpointSources(wanted, routes),
      ...(fast == null ? [] : await fastPathSources({ host, range, exposed: wanted }, fast)),
      ...gone.map((text) => ({ do: 'remove address', ...hostAddress(text, device) }) as const),
    ]);
    // With the last address of a link the kernel drops all routes by it.
    if (gone.length > 0) await apply(host, rangeRoutes(device, range, wanted, await readRoutes(host)));
    exposed = wanted;
    openSoon();
  }

  async function setFastPath(plan: FastPathPlan | null): Promise<void> {
    const { range } = prepared();
    if (!isDeepStrictEqual(plan, fast)) shortcut.close();
    if (plan === null) await removeFastPath(host, admission);
    else await raiseFastPath({ host, admission, range, exposed, apart: apart ?? [], gate: shortcut }, plan);
    fast = plan;
    openSoon();
  }

  async function restore(): Promise<boolean> {
    let found = false;
    shortcut.close();
    for (const link of await readIdleLinks(host)) {
      if (!isEndpointLink(link) && !(await isOurDevice(link, ledger))) continue;
      await removeLink(host, link.name);
      found = true;
    }
    if (await removeFastPath(host, admission)) found = true;
    await removeRoutes(host, await readRoutes(host));
    await firewall.remove();
    await removeForwarding(host);
    await networksTable.raise([]);
    unapplied = undefined;
    apart = undefined;
    await watch.hold('');
    await ledger.clear();
    mesh = undefined;
    exposed = [];
    fast = undefined;
    log.info('host restored');
    return found;
  }

  return {
    prepare: (plan) => exclusively(() => prepare(plan)),
    async locate(text) {
      const sandbox = await openSandbox(text, netns);
      await sandbox.close();
      return { path: sandbox.path, namespace: sandbox.namespace, birth: sandbox.birth };
    },
    plug: (plan) => exclusively(() => plug(plan)),
    offerLink: (plan: OfferPlan) =>
      exclusively(async () => {
        checkOffer(plan);
        prepared();
        await isolate();
        makeRoom(plan);
        moving.add(hostLinkOf(plan.endpoint));
        const source = sourceFor(readAddress(plan.address).address, exposed);
        return offerLink(host, plan, source, firewall);
      }),
    unplug: (endpoint: EndpointId) =>
      exclusively(async () => {
        checkEndpoint(endpoint);
        const link = hostLinkOf(endpoint);
        shortcut.forget(link);
        await Promise.all([removeLink(host, link), firewall.dismiss(link)]);
      }),
    plugged: () =>
      exclusively(async () => {
        const [links, routes] = await readLinksAndRoutes(host);
        return pluggedOf(links, routes);
      }),
    admitForwarding: () =>
      exclusively(async () => {
        const { range } = prepared();
        const changed = await admitForwarding(host, formatCidr(range.start, range.prefix));
        if (changed) log.info('let the mesh through the FORWARD chain, which somebody has closed');
        // Puts back, too, what somebody has taken off a link.
        openSoon();
      }),
    async setNetworks(subnets) {
      const wanted = readSubnets(subnets);
      await exclusively(() => {
        unapplied = wanted;
        return isolate();
      });
    },
    guard: () => exclusively(watch.begin),
    setHostAddresses: (addresses) => exclusively(() => setHostAddresses(addresses)),
    setFastPath: (plan) => exclusively(() => setFastPath(plan)),
    fastPath: () => exclusively(() => readFastPath(host, admission, shortcut)),
    // Told that there is none, there is none to ask the kernel of.
    fastPathSent: async () => (fast === null ? 0 : readSent(host)),
    restore: () => exclusively(restore),
  };
}

function hostAddress(text: string, link: string) {
  return { link, address: `${text}/32` };
}

function readSubnets(texts: readonly string[]): readonly Cidr[] {
  const subnets = texts.map(readNetwork);
  const clash = overlapping(subnets);
  if (clash === undefined) return subnets;
  throw new HostError('bad-request', `${formatCidr(clash.start, clash.prefix)} overlaps another subnet`);
}

/** Runs one task after the other, whatever becomes of each. */
function createQueue(): <T>(task: () => Promise<T>) => Promise<T> {
  let tail: Promise<unknown> = Promise.resolve();
  return (task) => {
    const result = tail.then(task);
    tail = result.catch(() => undefined);
    return result;
  };
}
