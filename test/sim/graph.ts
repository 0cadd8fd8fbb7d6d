import type { Random } from '../../src/ports/random.ts';

/** Links that a peer of a large mesh has when it has found its place: see mesh/links/choice.ts. */
const DEGREE = 6;

/**
 * Links of a mesh as daemons come to have them: a ring in the order of ids and random ones, DEGREE for each peer, one more or less where
 * it does not come out even. Few peers are all linked. Pairs of places in the order of ids.
 */
export function drawGraph(count: number, random: Random): readonly (readonly [number, number])[] {
  const pairs = new Map<string, readonly [number, number]>();
  const degree = new Array<number>(count).fill(0);
  const link = (a: number, b: number) => {
    const [from, to] = a < b ? [a, b] : [b, a];
    if (from === to || pairs.has(`${from}-${to}`)) return false;
    pairs.set(`${from}-${to}`, [from, to]);
    degree[from] = (degree[from] as number) + 1;
    degree[to] = (degree[to] as number) + 1;
    return true;
  };
  if (count <= DEGREE + 2) {
    for (let a = 0; a < count; a++) for (let b = a + 1; b < count; b++) link(a, b);
    return [...pairs.values()];
  }
  for (let at = 0; at < count; at++) link(at, (at + 1) % count);
  let open = Array.from({ length: count }, (_, at) => at);
  for (let misses = 0; open.length > 1 && misses < 1_000; ) {
    const a = open[Math.floor(random.fraction() * open.length)] as number;
    const b = open[Math.floor(random.fraction() * open.length)] as number;
    if (!link(a, b)) {
      misses++;
      continue;
    }
    misses = 0;
    if (degree[a] === DEGREE || degree[b] === DEGREE) {
      open = open.filter((at) => (degree[at] as number) < DEGREE);
    }
  }
  // Who is left over takes anybody.
  for (const a of open) {
    while ((degree[a] as number) < DEGREE) link(a, Math.floor(random.fraction() * count));
  }
  return [...pairs.values()];
}
