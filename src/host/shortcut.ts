import type { Cidr } from '../core/address.ts';
import { FAST_PATH_DEVICES, type FastPathPlan, HostError, PROBE_PORT } from '../ports/host.ts';
import type { Log } from '../ports/log.ts';
import { createMap, type Links, loadProgram, openLinks, type Side, setEntry } from './bpf.ts';
import type { FastPathCounts } from './fast-path-counts.ts';
import { ADMITTED_MARK } from './firewall-vxlan.ts';
import { isEndpointLink } from './links.ts';
import { createShortcutCounts, type ShortcutCounts } from './shortcut-counts.ts';
import { createKnownMap, type KnownMap } from './shortcut-maps.ts';
import { ownersOf, placesOfEndpoints, placesOfWays, type ShortcutView } from './shortcut-places.ts';
import { containerProgram, leavingProgram, tunnelProgram, vxlanProgram } from './shortcut-programs.ts';
import { OWNER, PLACE } from './shortcut-steps.ts';
import type { LinkState } from './tables.ts';

/**
 * Packets between two addresses of the mesh need little of what the kernel does for a router's packets: no look-up of rules, no firewall,
 * no queue before the container. Programs at the entrance of our links (shortcut-programs.ts) hand them over directly, by tables
 * that say what routes, the table `inet weft` and the table `inet weft-networks` say. They hand over only what those would let
 * through; the rest goes the kernel's way. So the shortcut may be closed at any time, and is while something changes.
 *
 * Programs and tables live with the links: they outlive the daemon and go with `weft down`. The next life begins with its own, closed.
 */
export interface Shortcut {
  /** Undefined: nobody has asked the kernel yet; false: it has no such programs, or they are not wanted. */
  readonly works: boolean | undefined;
  /** Replaces the programs of an earlier life. `links`: those of our group. */
  begin(links: readonly LinkState[], device: string): Promise<void>;
  /** All packets go the kernel's way until the next `open`. */
  close(): void;
  /** The container behind a link is gone, or about to be. */
  forget(hostLink: string): void;
  /** From and to the links that have their programs. */
  open(view: ShortcutView): void;
  /** Gives links their programs: until then what comes by them goes the kernel's way. False where it has no such programs. */
  attach(links: readonly LinkState[], device: string): Promise<boolean>;
  /**
   * Has the VXLAN device drop what the plan does not admit, by the marks of the table `ip weft_vxlan`, and count what comes and goes; false where
   * that takes another program.
   */
  guard(link: number, plan: FastPathPlan, apart: readonly Cidr[]): Promise<boolean>;
  /** Takes our programs off a link. */
  release(link: number): Promise<void>;
  /** Of the peers that `guard` was told of last. */
  counts(): FastPathCounts;
}

const CONTAINER = 'weft_container';
const VXLAN = 'weft_vxlan';
const TUNNEL = 'weft_tunnel';
const LEAVING = 'weft_leaving';
const PLACES: readonly (readonly [Side, string])[] = [
  ['entrance', CONTAINER],
  ['entrance', TUNNEL],
  ['entrance', VXLAN],
  ['exit', LEAVING],
];
/** More than a host or a mesh has of either; with more the shortcut stays closed. */
const ENTRIES = 1 << 17;

interface Loaded {
  readonly gate: number;
  readonly endpoints: KnownMap;
  readonly ways: KnownMap;
  readonly owners: KnownMap;
  readonly counts: ShortcutCounts;
  readonly container: number;
  readonly vxlan: number;
  readonly tunnel: number;
  readonly leaving: number;
}

/** `path`: the host's network namespace; absent: this process's. `wanted`: whether to use it at all. */
export function createShortcut(path: string | undefined, wanted: boolean, log: Log): Shortcut {
  let loaded: Loaded | undefined;
  let works: boolean | undefined = wanted ? undefined : false;

  /** False where the kernel has not what it takes; a failure later on closes the shortcut. */
  async function use(task: (parts: Loaded, links: Links) => Promise<void>): Promise<boolean> {
    if (works === false) return false;
    const links = openLinks(path);
    try {
      loaded ??= load();
      await task(loaded, links);
      works = true;
      return true;
    } catch (error) {
      giveUp(error);
      return false;
    } finally {
      links.close();
    }
  }

  function giveUp(error: unknown): void {
    if (!(error instanceof HostError)) throw error;
    const why = error.message;
    if (loaded !== undefined) setGate(loaded, false);
    if (works === true) log.error('the shortcut for packets is closed, they go the usual way', { why });
    else log.info('this kernel has no shortcut for packets, they go the usual way', { why });
    works ??= false;
  }

  function attach(list: readonly LinkState[], device: string): Promise<boolean> {
    return use(async (parts, links) => {
      for (const link of list) {
        if (isEndpointLink(link)) await links.attach(link.index, 'entrance', parts.container);
        else if (link.name === device) await links.attach(link.index, 'entrance', parts.tunnel);
      }
    });
  }

  async function release(link: number): Promise<void> {
    const links = openLinks(path);
    try {
      for (const [side, name] of PLACES) await links.detach(link, side, name);
    } catch (error) {
      // A kernel without such programs has none to take off.
      if (!(error instanceof HostError)) throw error;
    } finally {
      links.close();
    }
  }

  return {
    get works() {
      return works;
    },
    async begin(list, device) {
      if (await attach(list, device)) return;
      // That of the VXLAN device lets nothing in before it knows the plan, so an earlier life's stays until `guard`, or until another stands there.
      for (const link of list) if (link.name !== FAST_PATH_DEVICES[4]) await release(link.index);
    },
    close() {
      if (loaded !== undefined) setGate(loaded, false);
    },
    forget: (hostLink) => loaded?.endpoints.forget(hostLink),
    open(view) {
      if (loaded === undefined) return;
      try {
        show(loaded, view);
      } catch (error) {
        giveUp(error);
      }
    },
    attach,
    guard(link, plan, apart) {
      return use(async ({ owners, counts, vxlan, leaving }, links) => {
        owners.fill(ownersOf(plan, apart));
        counts.follow(plan.peers);
        await links.attach(link, 'entrance', vxlan);
        await links.attach(link, 'exit', leaving);
      });
    },
    release,
    counts: () => loaded?.counts.read() ?? new Map(),
  };
}

function load(): Loaded {
  const value = { valueSize: PLACE.size, entries: ENTRIES };
  const gate = createMap({ kind: 'array', name: 'weft_gate', keySize: 4, valueSize: 4, entries: 1 });
  const endpoints = createMap({ kind: 'hash', name: 'weft_endpoints', keySize: 4, ...value });
  const ways = createMap({ kind: 'prefixes', name: 'weft_ways', keySize: 8, ...value });
  const owned = { valueSize: OWNER.size, entries: ENTRIES };
  const owners = createMap({ kind: 'prefixes', name: 'weft_owners', keySize: 8, ...owned });
  const counts = createShortcutCounts(ENTRIES);
  const { received, sent } = counts;
  const maps = { gate, endpoints, ways, owners, received, sent };
  return {
    gate,
    endpoints: createKnownMap(endpoints),
    ways: createKnownMap(ways),
    owners: createKnownMap(owners),
    counts,
    container: loadProgram(CONTAINER, containerProgram(maps)),
    vxlan: loadProgram(VXLAN, vxlanProgram(maps, Number(ADMITTED_MARK), PROBE_PORT)),
    tunnel: loadProgram(TUNNEL, tunnelProgram(maps)),
    leaving: loadProgram(LEAVING, leavingProgram(maps)),
  };
}

function show(parts: Loaded, view: ShortcutView): void {
  const endpoints = placesOfEndpoints(view);
  const ways = placesOfWays(view);
  const owners = view.fast === null ? [] : ownersOf(view.fast, view.apart);
  const same = parts.endpoints.holds(endpoints) && parts.ways.holds(ways) && parts.owners.holds(owners);
  if (!same) setGate(parts, false);
  parts.endpoints.fill(endpoints);
  parts.ways.fill(ways);
  parts.owners.fill(owners);
  setGate(parts, true);
}

function setGate({ gate }: Loaded, open: boolean): void {
  setEntry(gate, new Uint8Array(4), new Uint8Array([open ? 1 : 0, 0, 0, 0]));
}
