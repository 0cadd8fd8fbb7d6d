import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Log } from '../ports/log.ts';
import { searchPath } from './command.ts';

/**
 * Two programs that run as long as the daemon does. `nft monitor` tells when somebody takes our tables away, or what is in them, so that
 * it is put back. `nft -i` owns a second copy of what keeps networks apart: the kernel lets nobody else change or flush the table of a
 * living owner (NFT_TABLE_F_OWNER, Linux 5.12), so that nothing is open between a `nft flush ruleset` and the moment when the other tables are back.
 */
export interface FirewallGuard {
  /** Replaces what the owned table holds: the body of an inet table, or nothing. Where the kernel has no owned tables, only the log hears of it. */
  hold(body: string): Promise<void>;
  stop(): Promise<void>;
}

export interface FirewallGuardParts {
  readonly path: string | undefined;
  readonly log: Log;
  readonly onTaken: () => void;
  readonly onLost: () => void;
}

const HELD = 'weft-held';
/** No change of a table takes a tenth of this. */
const PATIENCE = 5_000;

/**
 * `path`: the network namespace; absent: that of this process. `onTaken` is called when one of our tables or something in one was deleted, by
 * whomever; `onLost` when one of the programs has ended that this guard did not end.
 */
export function createFirewallGuard({ path, log, onTaken, onLost }: FirewallGuardParts): FirewallGuard {
  const enter = path === undefined ? [] : ['nsenter', `--net=${path}`, '--'];
  let version = 0;
  const endedByUs = new Set<ChildProcess>();

  function end(child: ChildProcess): void {
    endedByUs.add(child);
    child.kill('SIGKILL');
  }

  function start(words: readonly string[], onLine: (line: string) => void) {
    const [program = '', ...args] = [...enter, 'nft', ...words];
    const child = spawn(program, args, { stdio: 'pipe', env: { PATH: searchPath(), LC_ALL: 'C' } });
    for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', onLine);
    child.stdin.on('error', () => undefined);
    const ended = new Promise<void>((resolve) => {
      child.on('error', () => resolve());
      child.on('close', () => resolve());
    });
    void ended.then(() => {
      if (endedByUs.has(child)) return;
      log.warn('nft has ended, which watched over the firewall', { words: words.join(' ') });
      onLost();
    });
    return { child, ended };
  }

  const monitor = start(['monitor', 'destroy'], (line) => {
    if (/^(delete|destroy) (table|chain|rule|set|element) (inet|arp|ip6?) weft/.test(line)) onTaken();
  });
  let hear: (line: string) => void = () => {};
  const owner = start(['-i'], (line) => hear(line));

  async function hold(body: string): Promise<void> {
    version += 1;
    const mark = `v${version}`;
    const clear = version === 1 ? [] : [`delete table inet ${HELD}`];
    // One line is one step. The empty chain is there to be asked for: its name tells that the step was taken.
    const table = `table inet ${HELD} { flags owner; chain ${mark} { }; ${body.replaceAll('\n', '; ')}; }`;
    const answer = new Promise<string>((resolve) => {
      const timer = AbortSignal.timeout(PATIENCE);
      timer.addEventListener('abort', () => resolve('no answer'));
      void owner.ended.then(() => resolve('nft has ended'));
      hear = (line) => {
        if (line.includes(`chain ${mark} {`)) resolve('');
        else if (line.includes('Error')) resolve(line);
      };
    });
    owner.child.stdin.write(`${[...clear, table].join('; ')}\nlist chain inet ${HELD} ${mark}\n`);
    const problem = await answer;
    if (problem === '') return;
    log.warn('what keeps networks apart is not held against a flush of the firewall', { problem });
    // With its owner an older copy goes, too: it must not forbid what is allowed now.
    end(owner.child);
  }

  return {
    hold,
    async stop() {
      end(monitor.child);
      end(owner.child);
      await Promise.all([monitor.ended, owner.ended]);
    },
  };
}
