import type { CommandResult } from './command.ts';

/** Anything that can run a command: a namespace of the lab, or this machine itself. */
export type Runner = (argv: readonly string[]) => Promise<CommandResult>;

/** What a network stack is set to, line by line. Two snapshots of an unchanged host are equal. */
export async function snapshot(run: Runner): Promise<string[]> {
  const parts = await Promise.all(
    LISTINGS.map(async ({ argv, tidy }) => lines((await run(argv)).stdout, tidy)),
  );
  return parts.flatMap((part, index) => part.map((line) => `${LISTINGS[index]?.name}: ${line}`));
}

/** Lines that are there in one of the two only, marked + and -. */
export function difference(before: readonly string[], after: readonly string[]): string[] {
  const gone = before.filter((line) => !after.includes(line)).map((line) => `- ${line}`);
  return [...gone, ...after.filter((line) => !before.includes(line)).map((line) => `+ ${line}`)];
}

interface Listing {
  readonly name: string;
  readonly argv: readonly string[];
  /** The line without what moves by itself; undefined leaves it out. */
  readonly tidy: (line: string) => string | undefined;
}

const asItIs = (line: string) => line.trimEnd();
/** Whether a link has a carrier is no setting, and the kernel tells it to links and routes some time later. Lifetimes pass by themselves. */
const withoutState = (line: string) =>
  line.replace(/ (expires|valid_lft|preferred_lft|age|error|hoplimit) \S+| linkdown\b/g, '').trimEnd();
/** Gauges and the scratch state of protocols, which are no settings. */
const MOVING =
  /nf_conntrack_count|\.fs\.|random\.|inode|dentry|stable_secret|nf_conntrack_max|tcp_mem|udp_mem/;

const LISTINGS: readonly Listing[] = [
  {
    name: 'link',
    argv: ['ip', '-o', 'link'],
    tidy: (line) =>
      line
        .replace(/^\d+: /, '')
        .replace(/ qlen \d+|NO-CARRIER,|,LOWER_UP| state \S+/g, '')
        .trimEnd(),
  },
  {
    name: 'address',
    argv: ['ip', '-br', 'address'],
    tidy: (line) => line.replace(/^(\S+) +\S+ */, '$1 ').trimEnd(),
  },
  { name: 'route', argv: ['ip', 'route', 'show', 'table', 'all'], tidy: withoutState },
  { name: 'route6', argv: ['ip', '-6', 'route', 'show', 'table', 'all'], tidy: withoutState },
  { name: 'rule', argv: ['ip', 'rule'], tidy: asItIs },
  { name: 'rule6', argv: ['ip', '-6', 'rule'], tidy: asItIs },
  { name: 'nft', argv: ['nft', '-s', 'list', 'ruleset'], tidy: asItIs },
  {
    name: 'sysctl',
    argv: ['sysctl', '-a', '--pattern', '^net\\.'],
    tidy: (line) => (MOVING.test(line) ? undefined : line.trimEnd()),
  },
];

function lines(text: string, tidy: Listing['tidy']): string[] {
  return text
    .split('\n')
    .map(tidy)
    .filter((line) => line !== undefined && line !== '')
    .map(String)
    .sort();
}
