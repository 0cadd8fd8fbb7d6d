import { existsSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const CGROUPS = '/sys/fs/cgroup';

/** The control group that all containers of a lab are in, as dockerd takes it. */
export function cgroupOf(id: string): string {
  return `/weft-lab-${id}`;
}

/** The first processes of a lab's Docker hosts: whoever ends one ends everything that runs on that host. */
export function firstProcesses(folder: string): number[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(folder, entry.name, 'first-process'))
    .filter((path) => existsSync(path))
    .map((path) => Number(readFileSync(path, 'utf8')));
}

/** A frozen process takes no signal. */
export function thawContainers(id: string): void {
  for (const group of groupsUnder(join(CGROUPS, 'freezer', cgroupOf(id)))) {
    writeFileSync(join(group, 'freezer.state'), 'THAWED');
  }
}

/** Removes the lab's control groups, which are empty once its processes are gone. */
export function removeCgroups(id: string): void {
  const hierarchies = [CGROUPS, ...children(CGROUPS)];
  for (const hierarchy of hierarchies) {
    for (const group of groupsUnder(join(hierarchy, cgroupOf(id)))) {
      try {
        rmdirSync(group);
      } catch {
        // Its last process is not buried yet; the group is empty and named after this lab.
      }
    }
  }
}

/** The group and all below it, deepest first; none when it is not there. */
function groupsUnder(group: string): string[] {
  if (!existsSync(group)) return [];
  return [...children(group).flatMap(groupsUnder), group];
}

function children(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(folder, entry.name));
}
