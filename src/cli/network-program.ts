import type { Command } from 'commander';
import type { Answer, Context } from './answer.ts';
import { HELP } from './help.ts';
import type { CreateOptions } from './networks.ts';

type Action = (context: Context, args: readonly (string | undefined)[], values: object) => Promise<Answer>;

/** `weft network …`. */
export function addNetworks(
  program: Command,
  run: (command: Command, action: Action) => Promise<void>,
): void {
  const network = program
    .command('network')
    .description('make, show and remove networks: sets of containers that reach each other and nobody else')
    .addHelpText('after', HELP.network);
  const add = (usage: string, description: string, action: Action): Command => {
    const command = network.command(usage).description(description).addHelpText('after', HELP.network);
    return command.action(() => run(command, action));
  };
  add('create <name>', 'make a network, for all hosts', async (context, [name = ''], values) =>
    (await networks()).create(context, name, values as CreateOptions),
  )
    .option('--subnet <cidr>', 'its addresses, inside the range of the mesh (default: a free /24)')
    .option('--internal', 'without a way out, for containers of Docker')
    .option('--gateway <address>', 'an address that is given to nobody; needs --subnet')
    .option(
      '--reserve <address>',
      'an address that is given on request only; may be repeated; needs --subnet',
      collect,
    )
    .option('--ip-range <cidr>', 'where addresses come from that nobody asked for; needs --subnet');
  add('ls', 'list the networks', async (context) => (await networks()).list(context));
  add('inspect <network>', 'show everything about one', async (context, [name = '']) =>
    (await networks()).inspect(context, name),
  );
  add('rename <network> <name>', 'give it another name', async (context, [network = '', name = '']) =>
    (await networks()).rename(context, network, name),
  );
  add('rm <network>', 'remove one that has no endpoints', async (context, [name = '']) =>
    (await networks()).remove(context, name),
  );
}

const networks = () => import('./networks.ts');

function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}
