import { formatIpv4 } from '../../src/core/address.ts';
import type { MeshWorld, SimHost } from './mesh-world.ts';
import type { Change, LifeState } from './recorder.ts';

/**
 * What happened in a simulated mesh, for who has to find out why it went wrong: the lives of the hosts and the wires between them over
 * time, who knows what now, how each sees the ring, and the last messages.
 */
export function draw(world: MeshWorld): string {
  const parts = [
    timeline(world),
    knowledge(world),
    roster(world),
    rings(world),
    lastMessages(world),
    lastNotes(world),
  ];
  return parts.join('\n\n');
}

const COLUMNS = 72;
const LAST_NOTES = 50;
const LAST_ENTRIES = 24;
const WIDEST = 24;

interface Moment {
  readonly lives: Map<number, LifeState>;
  /** `from>to`. */
  readonly blocked: Set<string>;
}

/** A row for each host: its group, as wires that are open both ways make them, while it is up; `·` down, `?` joining, `>` one way only. */
function timeline({ clock, hosts, recorder }: MeshWorld): string {
  const end = Math.max(clock.now(), 1);
  const moment: Moment = { lives: new Map(), blocked: new Set() };
  const rows = hosts.map(() => '');
  let next = 0;
  for (let column = 0; column < COLUMNS; column++) {
    const until = ((column + 1) * end) / COLUMNS;
    // A life shorter than a column leaves its mark all the same.
    const restarted = new Set<number>();
    for (; next < recorder.changes.length && (recorder.changes[next] as Change).at <= until; next++) {
      const change = recorder.changes[next] as Change;
      if ('host' in change && change.state === 'down') restarted.add(change.host);
      apply(moment, change);
    }
    const groups = groupsOf(moment, hosts.length);
    for (const host of hosts)
      rows[host.number] += restarted.has(host.number) ? 'x' : mark(moment, groups, host);
  }
  const scale = `0 s${`${Math.round(end / 1_000)} s`.padStart(COLUMNS - 3)}`;
  const legend =
    'a letter: up, with the hosts that it can talk to · down x restarted ? joining > hears one way only';
  return [
    `time  ${scale}`,
    ...rows.map((row, number) => `${hosts[number]?.name.padEnd(5)} ${row}`),
    `      ${legend}`,
  ].join('\n');
}

function apply({ lives, blocked }: Moment, change: Change): void {
  if ('host' in change) lives.set(change.host, change.state);
  else if (change.isOpen) blocked.delete(`${change.from}>${change.to}`);
  else blocked.add(`${change.from}>${change.to}`);
}

function groupsOf({ blocked }: Moment, size: number): number[] {
  const groups = Array.from({ length: size }, (_, number) => number);
  for (let from = 0; from < size; from++) {
    for (let to = from + 1; to < size; to++) {
      if (blocked.has(`${from}>${to}`) || blocked.has(`${to}>${from}`)) continue;
      const [keep, drop] = [groups[from] as number, groups[to] as number];
      for (let number = 0; number < size; number++) if (groups[number] === drop) groups[number] = keep;
    }
  }
  const letters = [...new Set(groups)];
  return groups.map((group) => letters.indexOf(group));
}

function mark({ lives, blocked }: Moment, groups: readonly number[], { number }: SimHost): string {
  const state = lives.get(number);
  if (state === undefined || state === 'down') return '·';
  if (state === 'joining') return '?';
  const hearsOnly = [...blocked].some((way) => {
    const [from, to] = way.split('>').map(Number);
    return (from === number || to === number) && !blocked.has(`${to}>${from}`);
  });
  return hearsOnly ? '>' : String.fromCharCode(65 + ((groups[number] as number) % 26));
}

/** The newest record of each author (rows) that each host (columns) holds; `-` none. */
function knowledge({ hosts }: MeshWorld): string {
  const shown = hosts.slice(0, WIDEST);
  const cell = (text: string) => text.padStart(5);
  const head = `knows ${shown.map(({ name }) => cell(name)).join('')}   records up to, of each host by row`;
  const rows = shown.map(({ name, peer }) => {
    const seqs = shown.map(({ mesh }) => {
      if (mesh === undefined) return cell('·');
      const seq = mesh.records.replica.seq(peer);
      return cell(seq === 0 ? '-' : String(seq));
    });
    return `${name.padEnd(5)} ${seqs.join('')}`;
  });
  return [head, ...rows].join('\n');
}

/** Whom each host counts among the members, whom not any more, and who takes over from those. */
function roster({ hosts, running }: MeshWorld): string {
  const nameOf = (peer: string | undefined) => hosts.find((host) => host.peer === peer)?.name ?? 'nobody';
  const rows = running().flatMap(({ name, mesh }) => {
    if (mesh === undefined) return [];
    const { membership } = mesh;
    const removed = membership
      .removed()
      .map((peer) => `${nameOf(peer)} → ${nameOf(membership.takerOf(peer)?.peer)}`);
    const outside = membership.outsiders().map(nameOf);
    return `  ${name}: ${membership.members().map(nameOf).join(' ')}; removed: ${removed.join(', ')}; let in for nothing: ${outside.join(' ')}`;
  });
  return ['members, as seen by', ...rows].join('\n');
}

function rings(world: MeshWorld): string {
  const nameOf = (peer: string | undefined) =>
    world.hosts.find((host) => host.peer === peer)?.name ?? 'nobody';
  const views = new Map<string, string[]>();
  for (const { name, mesh } of world.running()) {
    const ring = mesh?.space.ring() ?? [];
    const text = ring
      .slice(0, LAST_ENTRIES)
      .map(({ start, last, owner }) => `${formatIpv4(start)}-${formatIpv4(last)} ${nameOf(owner)}`)
      .join(', ');
    const more = ring.length > LAST_ENTRIES ? `, and ${ring.length - LAST_ENTRIES} more` : '';
    views.set(text + more, [...(views.get(text + more) ?? []), name]);
  }
  return ['ring, as seen by', ...[...views].map(([view, names]) => `  ${names.join(' ')}: ${view}`)].join(
    '\n',
  );
}

function lastMessages({ hosts, recorder }: MeshWorld): string {
  const name = (number: number) => hosts[number]?.name ?? '?';
  const lines = recorder
    .messages()
    .map(
      ({ at, from, to, type, bytes }) =>
        `  ${at.toFixed(1).padStart(10)} ${name(from)} → ${name(to)} ${type}, ${bytes} bytes`,
    );
  return ['last messages but beats', ...lines].join('\n');
}

function lastNotes({ recorder }: MeshWorld): string {
  const notes = recorder.notes.slice(-LAST_NOTES).map((note) => `  ${note}`);
  return [`what happened, the last ${notes.length} of ${recorder.notes.length}`, ...notes].join('\n');
}
