/**
 * Lets several sources share the way to one neighbour: in turn, each with its own bounded queue, so that one that floods loses its own
 * messages and nobody else's.
 */
export interface FairQueue<Item> {
  /** False: the source's queue is full and the item was dropped. */
  add(source: string, bytes: number, item: Item): boolean;
  /** Sends what there is room for, one of each source in turn. */
  drain(): void;
}

export interface FairQueueParts<Item> {
  readonly hasRoom: () => boolean;
  readonly send: (item: Item) => void;
  /** Of one source. */
  readonly maxBytes: number;
}

interface Lane<Item> {
  readonly items: { readonly bytes: number; readonly item: Item }[];
  bytes: number;
}

export function createFairQueue<Item>({ hasRoom, send, maxBytes }: FairQueueParts<Item>): FairQueue<Item> {
  /** In the order of their turns; a source without items has no lane. */
  const lanes = new Map<string, Lane<Item>>();

  function drain(): void {
    while (hasRoom()) {
      const [turn] = lanes;
      if (turn === undefined) return;
      const [source, lane] = turn;
      const next = lane.items.shift();
      lanes.delete(source);
      if (next === undefined) continue;
      lane.bytes -= next.bytes;
      if (lane.items.length > 0) lanes.set(source, lane);
      send(next.item);
    }
  }

  return {
    add(source, bytes, item) {
      const lane = lanes.get(source) ?? { items: [], bytes: 0 };
      if (lane.bytes + bytes > maxBytes) return false;
      lane.items.push({ bytes, item });
      lane.bytes += bytes;
      lanes.set(source, lane);
      drain();
      return true;
    },
    drain,
  };
}
