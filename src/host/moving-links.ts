/**
 * Links that were offered to Docker a moment ago. While the kernel takes in a program for a link, ten to twenty-five milliseconds, it lets nobody change
 * any link, and Docker changes some until the container has started: so theirs come afterwards.
 */
export interface MovingLinks {
  /** For STARTED_MS from now; the host's end. */
  add(hostLink: string): void;
  has(hostLink: string): boolean;
}

/** Docker has started a container by then. */
const STARTED_MS = 1_000;

/** `onSettled` is called when one has been there long enough. */
export function createMovingLinks(onSettled: () => void): MovingLinks {
  const moving = new Set<string>();
  return {
    add(hostLink) {
      moving.add(hostLink);
      const settled = () => {
        moving.delete(hostLink);
        onSettled();
      };
      setTimeout(settled, STARTED_MS).unref();
    },
    has: (hostLink) => moving.has(hostLink),
  };
}
