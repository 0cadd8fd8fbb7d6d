import type { Namespaces } from './namespaces.ts';

/** Everything of a namespace that Weft might leave changed, as text that can be compared. */
export async function snapshot(
  net: Namespaces,
  namespace: string,
): Promise<Readonly<Record<string, string>>> {
  const show = async (...command: string[]) => {
    return (await net.run(namespace, ...command)).replaceAll(/("?(valid|preferred)_life_time"?):\d+/g, '$1');
  };
  const [links, addresses, routes4, routes6, rules4, rules6, neighbours, nft, sysctls] = await Promise.all([
    show('ip', '-j', '-d', 'link'),
    show('ip', '-j', 'address'),
    show('ip', '-j', '-4', 'route', 'show', 'table', 'all'),
    show('ip', '-j', '-6', 'route', 'show', 'table', 'all'),
    show('ip', '-j', '-4', 'rule'),
    show('ip', '-j', '-6', 'rule'),
    show('ip', '-j', 'neigh', 'show', 'nud', 'permanent'),
    show('nft', '--stateless', 'list', 'ruleset'),
    show('sysctl', '-e', '-a', '--pattern', '^net\\.'),
  ]);
  const steady = (sysctls ?? '').split('\n').filter((line) => !UNSTEADY.test(line));
  return {
    links: links ?? '',
    addresses: addresses ?? '',
    routes4: routes4 ?? '',
    routes6: routes6 ?? '',
    rules: `${rules4}${rules6}`,
    neighbours: neighbours ?? '',
    nft: nft ?? '',
    sysctls: steady.join('\n'),
  };
}

/** What the kernel changes by itself. */
const UNSTEADY = /nf_conntrack_(count|buckets|max)|stable_secret|tcp_fastopen_key/;
