import type { Received } from '../core/floods.ts';
import { isHostLink, LINK_GROUP } from './names.ts';
import type { Namespace } from './namespace.ts';
import { ask } from './netlink.ts';
import { malformed, readAttributes, viewOf } from './netlink-wire.ts';
import { LINK, RTM } from './rtnetlink.ts';
import { toLink } from './tables.ts';

/** In struct rtnl_link_stats64. */
const PACKETS = 0;
const BYTES = 16;

/** What containers have sent so far, by the host's end of their links. A walk over all links. */
export async function readReceived(namespace: Namespace): Promise<ReadonlyMap<string, Received>> {
  const [links = []] = await ask(namespace, [
    { type: RTM.getLink, body: new Uint8Array(16), what: 'list links with their counters' },
  ]);
  const counts = new Map<string, Received>();
  for (const message of links) {
    const { name, group } = toLink(message);
    if (group !== LINK_GROUP || !isHostLink(name)) continue;
    const counters = readAttributes(message.body, 16).get(LINK.counters);
    if (counters === undefined || counters.length < BYTES + 8) throw malformed('a link without counters');
    const number = (at: number) => Number(viewOf(counters).getBigUint64(at, true));
    counts.set(name, { packets: number(PACKETS), bytes: number(BYTES) });
  }
  return counts;
}
