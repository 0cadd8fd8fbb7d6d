import type { Mesh } from '../../src/mesh/mesh.ts';
import { createMeshWorld, type MeshWorld, type SimHost } from './mesh-world.ts';

/** What the stories of removals and handovers share. */

export const mesh = (host: SimHost): Mesh => host.mesh as Mesh;
export const ownedBy = (viewer: SimHost, owner: SimHost) =>
  mesh(viewer)
    .space.ring()
    .filter(({ owner: peer }) => peer === owner.peer)
    .reduce((sum, { start, last }) => sum + last - start + 1, 0);
export const ownerOf = (viewer: SimHost, address: number) =>
  mesh(viewer)
    .space.ring()
    .find(({ start, last }) => start <= address && address <= last)?.owner;
export const names = (hosts: readonly SimHost[]) => hosts.map(({ peer }) => peer).sort();

/** h0 makes the mesh, h1 joins it, everybody else through the host that is told. */
export async function createMesh(seed: string, ...through: readonly number[]) {
  const world = createMeshWorld({ seed });
  const hosts = [world.addHost()];
  await world.settled((hosts[0] as SimHost).found());
  for (const by of through) await admit(world, hosts, by);
  await world.until(
    () => hosts.every((host) => mesh(host).links.neighbours().length === hosts.length - 1),
    20_000,
  );
  return { world, hosts };
}

export async function admit(world: MeshWorld, hosts: SimHost[], by: number): Promise<SimHost> {
  const host = world.addHost();
  const token = await world.settled((hosts[by] as SimHost).invite());
  await world.settled(host.join(token));
  hosts.push(host);
  return host;
}

export const agreed = (hosts: readonly SimHost[], removed: SimHost) =>
  hosts.every((host) => mesh(host).membership.isRemoved(removed.peer) && ownedBy(host, removed) === 0);

/** Four hosts of which each is the heir of the one before. */
export function lineOfHeirs(hosts: readonly SimHost[]): readonly [SimHost, SimHost, SimHost, SimHost] {
  const [first] = hosts as [SimHost];
  const heirOf = (host: SimHost | undefined) =>
    hosts.find(({ peer }) => host !== undefined && peer === mesh(first).membership.heirOf(host.peer));
  for (const host of [...hosts].reverse()) {
    const line = [host, heirOf(host), heirOf(heirOf(host)), heirOf(heirOf(heirOf(host)))];
    if (new Set(line).size === 4 && !line.includes(undefined)) return line as never;
  }
  throw new Error('no line of heirs is that long here');
}
