/**
 * Small numbers for things that many hold, so that thousands of simulated peers with a list of thousands each store two bytes an element
 * where a reference takes eight.
 */
export interface Interned<Thing extends object> {
  /** The number of a thing, from 1, which it keeps until as many have released it as have held it. */
  hold(thing: Thing): number;
  release(number: number): void;
  /** Undefined for 0, and for what nobody holds. */
  at(number: number): Thing | undefined;
}

export function createInterned<Thing extends object>(): Interned<Thing> {
  const things: (Thing | undefined)[] = [undefined];
  const numbers = new Map<Thing, number>();
  const holders: number[] = [0];
  const free: number[] = [];
  return {
    hold(thing) {
      let number = numbers.get(thing);
      if (number === undefined) {
        number = free.pop() ?? things.length;
        things[number] = thing;
        holders[number] = 0;
        numbers.set(thing, number);
      }
      holders[number] = (holders[number] as number) + 1;
      return number;
    },
    release(number) {
      const thing = things[number];
      if (thing === undefined) return;
      holders[number] = (holders[number] as number) - 1;
      if (holders[number] !== 0) return;
      numbers.delete(thing);
      things[number] = undefined;
      free.push(number);
    },
    at: (number) => things[number],
  };
}

/** Numbers by index; 0 where there is none. */
export type Packed = Uint16Array | Uint32Array;

export const NO_NUMBERS: Packed = new Uint16Array();

/** With `number` at `index`: the same array changed in place, or a longer or wider one when it does not fit. */
export function withNumber(packed: Packed, index: number, number: number): Packed {
  const isWide = packed instanceof Uint32Array;
  const widens = !isWide && number > 0xffff;
  let into = packed;
  if (index >= packed.length || widens) {
    // Little more than need be: most lists have their length from the start.
    const length = index < packed.length ? packed.length : index + 1 + (packed.length >> 4);
    into = isWide || widens ? new Uint32Array(length) : new Uint16Array(length);
    into.set(packed);
  }
  into[index] = number;
  return into;
}
