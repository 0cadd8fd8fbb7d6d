import { type LinkState, readLinksAndNeighbours } from './iproute.ts';
import { guardedLinks } from './links.ts';
import { LINK_GROUP } from './names.ts';
import type { Namespace } from './namespace.ts';
import type { ShortcutView } from './shortcut-places.ts';

/** Adds what the kernel has to what was told. */
export async function readView(
  host: Namespace,
  told: Omit<ShortcutView, 'links' | 'endpoints'>,
): Promise<ShortcutView> {
  const [links, neighbours] = await readLinksAndNeighbours(host, LINK_GROUP);
  const named = new Map<string, LinkState>(links.map((link) => [link.name, link]));
  const endpoints = guardedLinks(links).flatMap(({ link: name, address }) => {
    const link = named.get(name);
    const mac = neighbours.find(({ device }) => device === name)?.mac;
    return link === undefined || mac === undefined ? [] : [{ link, address, mac }];
  });
  return { ...told, links, endpoints };
}
