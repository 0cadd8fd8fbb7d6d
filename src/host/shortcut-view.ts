import { guardedLinks } from './links.ts';
import { LINK_GROUP } from './names.ts';
import type { Namespace } from './namespace.ts';
import type { ShortcutView } from './shortcut-places.ts';
import { type LinkState, readLinksAndNeighbours } from './tables.ts';

/** Adds what the kernel has to what was told. */
export async function readView(
  host: Namespace,
  told: Omit<ShortcutView, 'links' | 'endpoints'>,
): Promise<ShortcutView> {
  const [all, neighbours] = await readLinksAndNeighbours(host);
  const links = all.filter(({ group }) => group === LINK_GROUP);
  const named = new Map<string, LinkState>(links.map((link) => [link.name, link]));
  const endpoints = guardedLinks(links).flatMap(({ link: name, address }) => {
    const link = named.get(name);
    const mac = neighbours.find((one) => one.link === link?.index)?.mac;
    return link === undefined || mac === undefined ? [] : [{ link, address, mac }];
  });
  return { ...told, links, endpoints };
}
