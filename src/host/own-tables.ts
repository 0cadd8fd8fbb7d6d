import { HostError } from '../ports/host.ts';
import type { Namespace } from './namespace.ts';

/**
 * Tables of nftables that nobody but us writes. What they should hold is known by how nft lists them after our own last change: whatever somebody
 * has done since to a rule, a chain, a set or a whole table shows as a difference. Counters are no part of it.
 */
export interface OwnTables {
  /** Replaces what the tables hold, in one step: at no moment is there less of them than before. Empty: there are to be none. */
  load(definition: string): Promise<void>;
  /** The same for a definition that differs from the last one in a set of each table only, which then holds these elements, spelled as nft does. */
  refill(definition: string, set: string, elements: readonly string[]): Promise<void>;
  /** Elements, spelled as nft does, have been put into the set of this name in each table. */
  added(set: string, elements: readonly string[]): void;
  /** Whether all is as it was put there; true, too, when nothing was in this life. */
  areWhole(): Promise<boolean>;
  /** What `nft` with this option says of each table, one after the other; undefined when one of them is missing. */
  list(option: string): Promise<string | undefined>;
}

/** `names`: family and name of each. */
export function createOwnTables(host: Namespace, names: readonly string[]): OwnTables {
  /** `none`: we have seen to it that there are none. */
  let expected: Listing | 'unknown' | 'none' = 'unknown';
  const forEach = (line: (name: string) => string) => names.map((name) => `${line(name)}\n`).join('');

  /** One by one: nft 1.0 finds only the last of several that it is asked for at once. */
  async function list(option: string): Promise<string | undefined> {
    const texts = await Promise.all(
      names.map((name) => unlessMissing(host.run(['nft', option, 'list', 'table', ...name.split(' ')]))),
    );
    return texts.includes(undefined) ? undefined : texts.join('');
  }

  async function replace(definition: string): Promise<void> {
    // Adding what is there already changes nothing, so that there is something to delete in any case.
    const clear = forEach((name) => `add table ${name}\ndelete table ${name}`);
    await host.run(['nft', '-f', '-'], `${clear}${definition}`);
  }

  function added(set: string, elements: readonly string[]): void {
    if (typeof expected === 'string') return;
    for (const name of names) for (const one of elements) expected.elements.add(inSet(name, set, one));
  }

  return {
    list,
    async load(definition) {
      if (definition === '' && expected === 'none') return;
      await replace(definition);
      if (definition === '') {
        expected = 'none';
        return;
      }
      // Until it has been listed anything is a loss.
      expected = readListing('');
      expected = readListing((await list('--stateless')) ?? '');
    },
    async refill(definition, set, elements) {
      await replace(definition);
      if (typeof expected === 'string') return;
      const isOf = (one: string) => names.some((name) => one.startsWith(inSet(name, set, ' ')));
      for (const one of expected.elements) if (isOf(one)) expected.elements.delete(one);
      added(set, elements);
    },
    added,
    async areWhole() {
      if (typeof expected === 'string') return true;
      const text = await list('--stateless');
      return text !== undefined && isSame(readListing(text), expected);
    },
  };
}

async function unlessMissing(output: Promise<string>): Promise<string | undefined> {
  try {
    return await output;
  } catch (error) {
    if (error instanceof HostError && /No such file or directory/.test(error.message)) return undefined;
    throw error;
  }
}

/** Elements come in an order of the kernel's own, and change one by one. */
interface Listing {
  readonly frame: string;
  readonly elements: Set<string>;
}

function readListing(text: string): Listing {
  const elements = new Set<string>();
  let [table, set] = ['', ''];
  const parts = /^table (?<table>.*) \{|^\t(?:set|map) (?<set>.*) \{|^\t\telements = \{(?<list>[^}]*)\}\n/gm;
  let frame = text;
  for (const { 0: all, groups = {} } of text.matchAll(parts)) {
    table = groups.table ?? table;
    set = groups.set ?? set;
    if (groups.list === undefined) continue;
    frame = frame.replace(all, '');
    for (const one of groups.list.split(',')) elements.add(inSet(table, set, one));
  }
  return { frame, elements };
}

/** nft puts the names of links between quotes. */
function inSet(table: string, set: string, element: string): string {
  return `${table} ${set} ${element.replaceAll('"', '').trim()}`;
}

function isSame(one: Listing, other: Listing): boolean {
  if (one.frame !== other.frame || one.elements.size !== other.elements.size) return false;
  return [...one.elements].every((element) => other.elements.has(element));
}
