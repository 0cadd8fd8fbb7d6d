import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { HandedOver, HostName, KeptReason, RemovedPeer, RootKey } from '../doors/removal.ts';
import { type Answer, answer, type Context } from './answer.ts';
import { createClient } from './client.ts';
import { CliError } from './errors.ts';
import { clean } from './format.ts';
import { HELP } from './help.ts';
import type { Io } from './io.ts';

type Values = Readonly<Record<string, string | readonly string[] | boolean | undefined>>;
type Action = (context: Context, args: readonly (string | undefined)[], values: Values) => Promise<Answer>;

/** `weft remove`, `weft handover`, `weft recover` and `weft root`. */
export function addRemoval(program: Command, run: (command: Command, action: Action) => Promise<void>): void {
  const add = (
    parent: Command,
    usage: string,
    description: string,
    help: string,
    action: Action,
  ): Command => {
    const command = parent.command(usage).description(description).addHelpText('after', help);
    return command.action(() => run(command, action));
  };
  add(program, 'remove <peer>', 'remove a host from the mesh for good', HELP.remove, remove).option(
    '--yes',
    'also when the host is up',
  );
  add(
    program,
    'handover <to>',
    'make another host the heir, before one leaves',
    HELP.handover,
    handOver,
  ).option('--from <peer>', 'the host that leaves (default: this one)');
  add(program, 'recover <peer>', 'remove a host whose heir is lost, with the root key', HELP.recover, recover)
    .option('--key-file <file>', 'the root key, or `-` for standard input (default: what this host has)')
    .option('--force', 'without waiting for hosts that are silent: unsafe, see help');
  const root = program
    .command('root')
    .description('the root key of the mesh')
    .addHelpText('after', HELP.root);
  add(root, 'export', 'print the root key, for safe keeping', HELP.root, exportRoot);
}

async function remove({ socket }: Context, [peer = '']: readonly (string | undefined)[], values: Values) {
  const data = await createClient(socket).post('/v1/peers/remove', { peer, yes: values.yes === true });
  return answer(data as RemovedPeer, render);
}

async function handOver({ socket }: Context, [to = '']: readonly (string | undefined)[], { from }: Values) {
  const body = { to, ...(typeof from === 'string' ? { from } : {}) };
  const data = await createClient(socket).post('/v1/peers/handover', body);
  return answer(data as HandedOver, renderHandover);
}

async function recover(
  { socket, io }: Context,
  [peer = '']: readonly (string | undefined)[],
  { keyFile, force }: Values,
) {
  const key = typeof keyFile === 'string' ? { key: await readKey(keyFile, io) } : {};
  const body = { peer, ...key, force: force === true };
  return answer((await createClient(socket).post('/v1/peers/recover', body)) as RemovedPeer, render);
}

async function exportRoot({ socket }: Context) {
  const data = (await createClient(socket).post('/v1/root/export', {})) as RootKey;
  return answer(data, ({ key }) => `${key}\n`);
}

async function readKey(file: string, io: Io): Promise<string> {
  try {
    return (file === '-' ? await io.stdin(1_024) : readFileSync(file, 'utf8').slice(0, 1_024)).trim();
  } catch (error) {
    throw new CliError(`the root key cannot be read: ${(error as Error).message}`, {
      remedy: 'give the file that holds what `weft root export` printed',
    });
  }
}

function render({ nickname, by, waiting }: RemovedPeer): string {
  const name = clean(nickname);
  if (waiting.length === 0) return `${name} is removed; ${clean(by.nickname)} has its addresses.\n`;
  return `${name} is removed. ${clean(by.nickname)} gets its addresses when these have agreed: ${listed(waiting)}\n\`weft status ipam\` shows who is missing; remove who does not come back.\n`;
}

function listed(hosts: readonly HostName[]): string {
  const some = hosts.slice(0, 5).map((host) => clean(host.nickname));
  return `${some.join(', ')}${hosts.length > 5 ? ', …' : ''}`;
}

const KEPT: Readonly<Record<KeptReason, string>> = {
  itself: 'nobody is its own heir',
  'had-it': 'was its heir before',
  'too-often': 'its heir has changed three times, which is the most',
  circle: 'with that one as its heir, removing that one would leave nobody: name another',
  removed: 'its removal is under way',
};

function renderHandover({ from, to, handed, kept }: HandedOver): string {
  const [old, heir] = [clean(from.nickname), clean(to.nickname)];
  const first =
    handed.length === 0
      ? `${old} has no role that could go to ${heir}: nothing has changed.\n`
      : `${heir} is now the heir of ${listed(handed)}; ${old} was.\n`;
  return (
    first +
    kept.map(({ nickname, why }) => `${old} stays the heir of ${clean(nickname)}: ${KEPT[why]}.\n`).join('')
  );
}
