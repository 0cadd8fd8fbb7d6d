import type { Pair, Site } from '../site.ts';

/** A way between two hosts, set up and ready for packets. */
export interface Connected {
  /** Of the second host and of its container, as the first ones reach them. */
  readonly hostAddress: string;
  readonly containerAddress: string;
  /** Process ids of what carries the packets on each host; none where the kernel does it. */
  readonly daemons: readonly number[];
}

/** Makes the way on an empty site; the site's end takes it away. */
export type Connect = (site: Site) => Promise<Connected>;

/** Addresses inside the tunnels that need a network of their own. */
export const TUNNEL: Pair<string> = ['10.97.0.1', '10.97.0.2'];
