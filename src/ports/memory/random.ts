import type { Random } from '../random.ts';

export interface SeededRandom extends Random {
  /** An independent stream: what is drawn from it does not change what is drawn here. */
  fork(label: string): SeededRandom;
}

/** The same seed gives the same draws on every machine. Not for secrets. */
export function createSeededRandom(seed: number | string): SeededRandom {
  const name = String(seed);
  const next = sfc32(name);

  function bytes(length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let at = 0; at < length; at += 4) {
      const word = next();
      for (let place = 0; place < 4 && at + place < length; place++) out[at + place] = word >>> (8 * place);
    }
    return out;
  }

  return {
    bytes,
    fraction: () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53,
    fork: (label) => createSeededRandom(`${name}/${label}`),
  };
}

/** Chris Doty-Humphrey's small fast counting generator (PractRand), seeded by four FNV-1a passes over the text. */
function sfc32(seed: string): () => number {
  let [a, b, c, counter] = [0, 1, 2, 3].map((salt) => fnv1a(`${salt}:${seed}`)) as [
    number,
    number,
    number,
    number,
  ];
  const next = () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  for (let round = 0; round < 15; round++) next();
  return next;
}

function fnv1a(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  return value;
}
