import { type FastPathPeer, HostError, underlayFamily } from '../ports/host.ts';
import { batch } from './iproute.ts';
import type { Namespace } from './namespace.ts';

type Line = readonly string[];

export interface Entry {
  readonly mac: string;
  readonly underlay: string;
}

export async function readForwarding(host: Namespace, device: string): Promise<readonly Entry[]> {
  const rows = await readRows(host, ['bridge', '-json', 'fdb', 'show', 'dev', device]);
  return rows.flatMap(({ mac, dst }) =>
    typeof mac === 'string' && typeof dst === 'string' ? [{ mac, underlay: dst }] : [],
  );
}

/**
 * What stands for the peer in routes: its underlay address where that is IPv4. One of IPv6 that the kernel finds on another link is no gateway
 * to it, so there it is the peer's link-local address.
 */
export function gatewayOf({ underlay, linkLocal }: Pick<FastPathPeer, 'underlay' | 'linkLocal'>): string {
  return underlayFamily(underlay) === 4 ? underlay : linkLocal;
}

/** MACs by what stands for a peer on the device: its underlay address and its link-local one. */
export async function readNeighbours(host: Namespace, device: string): Promise<ReadonlyMap<string, string>> {
  const rows = await readRows(host, ['ip', '-json', 'neigh', 'show', 'dev', device, 'nud', 'permanent']);
  return new Map(rows.map(({ dst, lladdr }) => [String(dst), String(lladdr)]));
}

/** Permanent entries of both tables; others are taken away. */
export async function setEntries(
  host: Namespace,
  device: string,
  peers: readonly FastPathPeer[],
): Promise<void> {
  const [forwarding, known] = await Promise.all([readForwarding(host, device), readNeighbours(host, device)]);
  const names = new Map(
    peers.flatMap((peer) => [
      [gatewayOf(peer), peer.mac],
      [peer.linkLocal, peer.mac],
    ]),
  );
  const lines: Line[] = [];
  for (const name of known.keys()) {
    if (!names.has(name)) lines.push(['neigh', 'del', name, 'dev', device]);
  }
  for (const [name, mac] of names) {
    if (known.get(name) === mac) continue;
    lines.push(['neigh', 'replace', name, 'lladdr', mac, 'dev', device, 'nud', 'permanent']);
  }
  const places = new Map(peers.map(({ mac, underlay }) => [mac, underlay]));
  const placed = new Map(forwarding.map(({ mac, underlay }) => [mac, underlay]));
  const moves: Line[] = [];
  for (const mac of placed.keys()) {
    if (!places.has(mac)) moves.push(['fdb', 'del', mac, 'dev', device, 'self']);
  }
  for (const [mac, underlay] of places) {
    if (placed.get(mac) === underlay) continue;
    moves.push(['fdb', 'replace', mac, 'dev', device, 'dst', underlay, 'self', 'permanent']);
  }
  if (moves.length > 0) {
    await host.run(['bridge', '-batch', '-'], `${moves.map((words) => words.join(' ')).join('\n')}\n`);
  }
  await batch(host, lines);
}

export type Row = Readonly<Record<string, unknown>>;

/** Of a listing by `ip -json`; a device that is not there has none. */
export async function readRows(host: Namespace, command: readonly string[]): Promise<readonly Row[]> {
  let text: string;
  try {
    text = await host.run(command);
  } catch (error) {
    if (error instanceof HostError && /Cannot find device/.test(error.message)) return [];
    throw error;
  }
  if (text.trim() === '') return [];
  const rows: unknown = JSON.parse(text);
  return Array.isArray(rows) ? rows.filter((row) => typeof row === 'object' && row !== null) : [];
}
