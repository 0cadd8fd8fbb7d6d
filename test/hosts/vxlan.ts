import assert from 'node:assert/strict';
import type { PathRow } from '../../src/doors/control.ts';
import type { Lab } from '../lab/create.ts';
import type { LabHost } from '../lab/host.ts';
import { converged, join, tokenIn } from '../lab/mesh.ts';
import { until } from '../lab/wait.ts';
import { type Place, place } from './story.ts';

/** The lab's wire. */
export const WIRE = '198.18.0.0/24';
export const WIRE6 = '2001:db8:18::/64';
export const DEVICE = 'weft-vxlan';

export interface TrustingOptions {
  /** For `weft up` on the first host. */
  readonly up?: readonly string[];
  /** For `weft join` on host number n, from 2. */
  readonly joining?: (number: number) => readonly string[];
}

/** A mesh of all the lab's hosts with a container on each; by default they all trust the wire. */
export async function trusting(lab: Lab, options: TrustingOptions = {}): Promise<Place[]> {
  const trust = ['--trusted-subnets', WIRE];
  const { up = trust, joining = () => trust } = options;
  const [first, ...others] = lab.hosts as [LabHost, ...LabHost[]];
  let token = tokenIn((await first.weft(['up', ...up])).stdout);
  for (const [index, host] of others.entries()) {
    if (index > 0) token = tokenIn((await first.weft(['invite'])).stdout);
    await join(host, token, joining(index + 2));
  }
  const places = [];
  for (const host of lab.hosts) places.push(await place(lab, host));
  await converged(lab.hosts);
  return places;
}

/** What `weft status paths --json` says of the path to a host. */
export async function pathTo(from: LabHost, to: LabHost): Promise<PathRow> {
  const { stdout } = await from.weft(['status', 'paths', '--json'], { say: null });
  const { paths } = JSON.parse(stdout) as { paths: PathRow[] };
  const found = paths.find(({ nickname }) => nickname === to.name);
  assert.ok(found, `${from.name} knows ${to.name}`);
  return found;
}

/** Resolves when packets from one host to the other go this way, to what its status says of the path. */
export async function goes(
  from: LabHost,
  to: LabHost,
  kind: PathRow['kind'],
  timeout = 10_000,
): Promise<PathRow> {
  let last: PathRow | undefined;
  const arrived = async () => {
    const { peers } = await from.status();
    const peer = peers.find(({ nickname }) => nickname === to.name);
    if (peer === undefined) return false;
    last = { ...peer.path, nickname: peer.nickname, id: peer.id, sentBytes: 0, receivedBytes: 0 };
    return last.kind === kind;
  };
  await until(`${from.name} to reach ${to.name} by ${kind}`, arrived, timeout, 20);
  return last as PathRow;
}

/** Both directions. */
export async function bothGo(
  one: LabHost,
  two: LabHost,
  kind: PathRow['kind'],
  timeout?: number,
): Promise<void> {
  await Promise.all([goes(one, two, kind, timeout), goes(two, one, kind, timeout)]);
}

/** Packets that left by the host's VXLAN device. */
export async function sentFast(host: LabHost): Promise<number> {
  const { stdout } = await host.run(['cat', `/sys/class/net/${DEVICE}/statistics/tx_packets`], { say: null });
  return Number(stdout);
}
