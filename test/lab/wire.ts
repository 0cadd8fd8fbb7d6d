import type { Namespace } from './namespace.ts';

/** The switch between the hosts, and what can go wrong on it. Faults add up until `mend`. */
export interface Wire {
  readonly namespace: Namespace;
  /** Nothing passes between the two, in either direction. */
  cut(a: string, b: string): Promise<void>;
  /** Drops what the two send each other to this UDP port, in either direction; with `family`, only by that version of IP. */
  wall(a: string, b: string, port: number, family?: Family): Promise<void>;
  /** Drops what `host` sends and gets of this protocol and port; both stay usable for the rest. */
  block(host: string, protocol: 'udp' | 'tcp', port: number): Promise<void>;
  /** Drops what `host` sends to this UDP port, and nothing that comes back; with `above`, only datagrams of more bytes than that. */
  swallow(host: string, port: number, above?: number): Promise<void>;
  /** Overwrites two bytes inside what `host` sends to this UDP port, `at` bytes behind the start of the UDP header. */
  corrupt(host: string, port: number, at: number): Promise<void>;
  /** Drops everything of one version of IP, between all hosts. */
  filter(family: Family): Promise<void>;
  /** Drops this share of what `host` sends, 0 … 99.9 percent, at random. */
  lose(host: string, percent: number): Promise<void>;
  /** Pulls the host's plug, or puts it in again. */
  unplug(host: string): Promise<void>;
  plug(host: string): Promise<void>;
  /** Limits what the host gets, in Mbit/s. */
  limit(host: string, rate: number): Promise<void>;
  /** No cuts, blocks, losses or limits any more. */
  mend(): Promise<void>;
}

export type Family = 'ipv4' | 'ipv6';

function matching(family: Family): string {
  return `ether type ${family === 'ipv4' ? 'ip' : 'ip6'}`;
}

/** Port of the switch that leads to a host. */
export function portOf(host: string): string {
  return `to-${host}`;
}

export function createWire(namespace: Namespace): Wire {
  const rules: string[] = [];
  const limited = new Set<string>();

  const apply = async () => {
    const lines = [
      'table bridge faults',
      'delete table bridge faults',
      'table bridge faults {',
      'chain wire {',
      'type filter hook forward priority 0; policy accept;',
      ...rules,
      '}',
      '}',
      '',
    ];
    await namespace.run(['nft', '-f', '-'], {
      input: lines.join('\n'),
      say: `nft: ${rules.join('; ') || 'no faults'}`,
    });
  };
  const add = async (...more: string[]) => {
    rules.push(...more);
    await apply();
  };
  const link = async (host: string, state: string) => {
    await namespace.run(['ip', 'link', 'set', portOf(host), state]);
  };

  return {
    namespace,
    cut: (a, b) =>
      add(
        `iifname "${portOf(a)}" oifname "${portOf(b)}" drop`,
        `iifname "${portOf(b)}" oifname "${portOf(a)}" drop`,
      ),
    wall(a, b, port, family) {
      const what = `${family === undefined ? '' : `${matching(family)} `}udp dport ${port} drop`;
      return add(
        `iifname "${portOf(a)}" oifname "${portOf(b)}" ${what}`,
        `iifname "${portOf(b)}" oifname "${portOf(a)}" ${what}`,
      );
    },
    block: (host, protocol, port) =>
      add(
        `iifname "${portOf(host)}" ${protocol} dport ${port} drop`,
        `iifname "${portOf(host)}" ${protocol} sport ${port} drop`,
        `oifname "${portOf(host)}" ${protocol} dport ${port} drop`,
        `oifname "${portOf(host)}" ${protocol} sport ${port} drop`,
      ),
    swallow: (host, port, above = 0) =>
      add(`iifname "${portOf(host)}" udp dport ${port} udp length > ${above + 8} drop`),
    corrupt: (host, port, at) =>
      add(`iifname "${portOf(host)}" udp dport ${port} @th,${at * 8},16 set 0xdead`),
    filter: (family) => add(`${matching(family)} drop`),
    lose: (host, percent) => add(`iifname "${portOf(host)}" numgen random mod 1000 < ${percent * 10} drop`),
    unplug: (host) => link(host, 'down'),
    plug: (host) => link(host, 'up'),
    async limit(host, rate) {
      limited.add(host);
      const shape = ['rate', `${rate}mbit`, 'burst', '64kb', 'latency', '50ms'];
      await namespace.run(['tc', 'qdisc', 'replace', 'dev', portOf(host), 'root', 'tbf', ...shape]);
    },
    async mend() {
      rules.length = 0;
      await apply();
      for (const host of limited) await namespace.run(['tc', 'qdisc', 'delete', 'dev', portOf(host), 'root']);
      limited.clear();
    },
  };
}
