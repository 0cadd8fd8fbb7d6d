import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { type Answer, answer, type Context } from './answer.ts';
import type { Shell } from './completion.ts';
import { CliError, describeError, EXIT } from './errors.ts';
import { clean } from './format.ts';
import { HELP } from './help.ts';
import type { Io } from './io.ts';
import { addNetworks } from './network-program.ts';
import { addRemoval } from './removal.ts';

export interface CliParts {
  /** Without the program's name. */
  readonly argv: readonly string[];
  readonly io: Io;
  /** File that Node runs as `weftd`; absent: ours. */
  readonly daemonMain?: string;
}

/** Options of up and join that are the daemon's own: it checks them, and explains them in examples/weft.conf. */
const DAEMON_OPTIONS: readonly (readonly [string, string])[] = [
  ['--port <port>', 'TCP and UDP port for the other hosts (default: 6783)'],
  ['--nickname <name>', 'what this host is called in status (default: its host name)'],
  ['--listen <ip>', 'address to listen on (default: ::, which takes IPv4 and IPv6)'],
  ['--advertise <host[:port]>', 'address that other hosts are told to dial; may be repeated'],
  ['--device <name>', 'name of the network device (default: weft0)'],
  ['--trusted-subnets <cidr>', 'hosts there get packets without encryption, if they agree; may be repeated'],
  ['--vxlan-port <port>', 'UDP port for those packets (default: 4789)'],
  ['--vxlan-vni <number>', 'number of their VXLAN network (default: 7824742)'],
  ['--mtu <bytes>', 'largest packet of containers (default: what fits)'],
  ['--relay <on|off>', 'carry sealed packets between hosts that do not reach each other (default: on)'],
  ['--shortcut <on|off>', "eBPF past this host's own firewall for packets inside the mesh (default: on)"],
  ['--docker <auto|on|off>', 'be a network driver of Docker (default: auto, where Docker is installed)'],
  ['--docker-socket <path>', 'socket of that driver (default: /run/docker/plugins/weft.sock)'],
  ['--docker-engine <path>', 'socket that the Docker engine listens on (default: /run/docker.sock)'],
  ['--docker-driver <name>', 'what the driver is called in Docker (default: weft)'],
  [
    '--docker-scope <local|global>',
    'who makes networks: every host, or the managers of a swarm (default: local)',
  ],
  ['--log-level <level>', 'debug, info, warn or error (default: info)'],
  ['--config <file>', "the daemon's configuration (default: /etc/weft/weft.conf)"],
];

export const SECTIONS = ['peers', 'connections', 'paths', 'ipam', 'endpoints'] as const;
export const TRUST_ACTIONS = ['add', 'remove', 'ls'] as const;
export type TrustAction = (typeof TRUST_ACTIONS)[number];
export type Section = (typeof SECTIONS)[number];
const SHELLS: readonly Shell[] = ['bash', 'zsh', 'fish'];

type Values = Readonly<Record<string, string | readonly string[] | boolean | undefined>>;
type Action = (context: Context, args: readonly (string | undefined)[], values: Values) => Promise<Answer>;

/** Runs one command; resolves to the exit code and never rejects. */
export async function runCli(parts: CliParts): Promise<number> {
  const { io } = parts;
  let code: number = EXIT.ok;
  const program = createProgram(io, async (command, action) => {
    const answer = await action(contextOf(command, parts), command.processedArgs, command.opts());
    io.out(
      command.optsWithGlobals().json === true ? `${JSON.stringify(answer.data, null, 2)}\n` : answer.text(),
    );
    code = (await answer.untilEnd) ?? answer.exit ?? EXIT.ok;
  });
  try {
    await program.parseAsync([...wordsOf(parts.argv, program)], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT.ok;
      if (error.code === 'commander.help') return EXIT.usage;
    }
    const { text, exit } = describeError(
      error instanceof CommanderError ? toUsageError(error) : error,
      clean,
    );
    io.err(text);
    return exit;
  }
}

/** Commander answers `help typo` with the whole help, and `help network create` with that of network. */
function wordsOf(argv: readonly string[], program: Command): readonly string[] {
  const [first, ...asked] = argv;
  if (first !== 'help' || asked[0] === undefined || asked[0] === 'help' || asked[0].startsWith('-'))
    return argv;
  let command: Command | undefined = program;
  for (const word of asked) {
    if (command.commands.length === 0) break;
    command = command.commands.find((inner) => inner.name() === word);
    // The typo alone gets a hint.
    if (command === undefined) return asked;
  }
  return [...asked, '--help'];
}

/** Commander says `error: …` and hints on further lines; ours is one line and a remedy. */
function toUsageError(error: CommanderError): CliError {
  const message = error.message
    .replace(/^error: /, '')
    .replace(/^command-argument value '(.*)' is invalid for argument '(.*)'\. /, "there is no $2 '$1'. ")
    .replace(/argument '(.*)' is invalid\. /, "cannot be '$1'. ")
    .replace(/\n\(Did you mean (.+)\?\)/, ' (did you mean $1?)');
  return new CliError(message, { remedy: 'see `weft help`, or `weft COMMAND --help`' });
}

type Run = (command: Command, action: Action) => Promise<void>;

/** The whole command line. Building it does nothing else, so completion and tests can walk it. */
export function createProgram(io: Io, run: Run): Command {
  const program = new Command('weft')
    .description('Joins container hosts into one encrypted network.')
    .option('--json', 'print the data instead of text')
    .option('--socket <path>', "the daemon's socket (default: $WEFT_SOCKET, or /run/weft/weft.sock)")
    .option('--state <dir>', "the daemon's folder, for up and join (default: $WEFT_STATE, or /var/lib/weft)")
    .addHelpText('after', HELP.weft)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeOut: io.out, writeErr: io.out, outputError: () => {} })
    .exitOverride();

  const add = (usage: string, description: string, help: string, action: Action): Command => {
    const command = program.command(usage).description(description).addHelpText('after', help);
    return command.action(() => run(command, action));
  };

  addStarting(add);
  addEndpoints(add);
  addTrust(add);
  addDns(program, run);
  addNetworks(program, run);
  addRemoval(program, run);
  addShowing(add, program);
  return program;
}

type Add = (usage: string, description: string, help: string, action: Action) => Command;

function addStarting(add: Add): void {
  withDaemonOptions(
    add(
      'up',
      'start the daemon here, and make a mesh unless this host is in one',
      HELP.up,
      async (context, _, { range, encryption }) =>
        (await starting()).up(context, {
          ...(typeof range === 'string' ? { range } : {}),
          ...(encryption === false ? { encryption } : {}),
        }),
    )
      .option('--range <cidr>', 'addresses of a mesh that is made here (default: 10.32.0.0/12)')
      .option('--no-encryption', 'make a mesh whose hosts trust every link between them'),
  );
  withDaemonOptions(
    add(
      'join [token]',
      'start the daemon here and join the mesh of a token',
      HELP.join,
      async (context, [token], { tokenFile }) =>
        (await starting()).join(context, token, typeof tokenFile === 'string' ? { tokenFile } : {}),
    ).option('--token-file <file>', 'read the token from a file'),
  );
  add('invite', 'print the line that lets another host in', HELP.invite, async (context, _, values) =>
    (await commands()).invite(context, values as { ttl?: number; uses?: number }),
  )
    .addOption(
      new Option('--ttl <time>', 'how long it lasts, e.g. 30m, 12h, 7d (default: 24h)').argParser(parseTtl),
    )
    .addOption(
      new Option('--uses <number>', 'how many hosts may join with it (default: 1)').argParser(parseWhole),
    );
  add('down', 'take the network of this host down and end the daemon', HELP.down, async (context) =>
    (await commands()).down(context),
  );
}

function withDaemonOptions(command: Command): void {
  for (const [flags, description] of DAEMON_OPTIONS) {
    const option = new Option(flags, description);
    if (flags.startsWith('--advertise') || flags.startsWith('--trusted-subnets')) {
      option.argParser((value: string, before: readonly string[] | undefined) => [...(before ?? []), value]);
    }
    command.addOption(option);
  }
  command.option('--foreground', 'stay, and run the daemon in this terminal');
}

function addEndpoints(add: Add): void {
  add(
    'attach <sandbox>',
    'give a network namespace or process an address',
    HELP.attach,
    async (context, [sandbox = ''], values) =>
      (await commands()).attach(
        context,
        sandbox,
        values as { ip?: string; interface?: string; name?: string; network?: string },
      ),
  )
    .option('--ip <address>', 'wanted address (default: any free one)')
    .option(
      '--interface <name>',
      'name of the interface inside (default: eth0, or weft0 where that is taken)',
    )
    .option('--name <name>', 'what to call the endpoint')
    .option('--network <name>', 'network that it is in (default: weft)');
  add('detach <endpoint>', 'take the address away again', HELP.detach, async (context, [endpoint = '']) =>
    (await commands()).detach(context, endpoint),
  );
  add('expose [ip]', 'give this host itself an address', HELP.expose, async (context, [ip], values) =>
    (await commands()).expose(context, { ...(ip === undefined ? {} : { ip }), ...values }),
  ).option('--network <name>', 'network that it is in (default: weft)');
  add('hide', 'take this host’s own addresses away again', HELP.hide, async (context) =>
    (await commands()).hide(context),
  );
}

function addTrust(add: Add): void {
  add(
    'trust',
    'say which links between hosts may go without encryption',
    HELP.trust,
    async (context, [action, subnet]) => (await commands()).trust(context, action as TrustAction, subnet),
  )
    .addArgument(new Argument('<action>', 'what to do').choices(TRUST_ACTIONS))
    .argument('[cidr]', 'addresses of the other hosts, for add and remove');
}

function addDns(program: Command, run: Run): void {
  const dns = program
    .command('dns')
    .description('names by which containers reach each other')
    .addHelpText('after', HELP.dns);
  const add = (usage: string, description: string, action: Action) => {
    const command = dns.command(usage).description(description).addHelpText('after', HELP.dns);
    return command.action(() => run(command, action));
  };
  const network = 'network that the name is in (default: weft)';
  add('ls', 'list all names', async (context) => (await names()).list(context));
  add('lookup <name>', 'show what a container is told', async (context, [name = ''], values) =>
    (await names()).lookup(context, name, values as { network?: string }),
  ).option('--network <name>', network);
  add('add <name> <address>', 'give an address a name', async (context, [name = '', address = ''], values) =>
    (await names()).add(context, name, address, values as { network?: string }),
  ).option('--network <name>', network);
  add('remove <name> [address]', 'take an added name away', async (context, [name = '', address], values) =>
    (await names()).remove(context, name, address, values as { network?: string }),
  ).option('--network <name>', network);
}

function addShowing(add: Add, program: Command): void {
  add('status', 'show how this host and its mesh are', HELP.status, async (context, [section]) =>
    (await commands()).status(context, section as Section | undefined),
  ).addArgument(new Argument('[section]', 'one part of it').choices(SECTIONS));
  add('peers', 'list the other hosts', HELP.peers, async (context) => (await commands()).peers(context));
  add('ps', 'list what is attached here', HELP.ps, async (context) => (await commands()).ps(context));
  add('version', 'show the versions of weft and of the daemon', HELP.version, async (context) =>
    (await commands()).version(context),
  );
  add('completion', 'print a completion script for a shell', HELP.completion, async (_, [shell]) => {
    const { completionFor } = await import('./completion.ts');
    return answer({ script: completionFor(shell as Shell, program) }, ({ script }) => script);
  }).addArgument(new Argument('<shell>', 'your shell').choices(SHELLS));
}

/** Loaded when a command needs them: most of the time that weft takes is the loading of itself. */
const commands = () => import('./commands.ts');
const starting = () => import('./begin.ts');
const names = () => import('./dns.ts');

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

function parseTtl(text: string): number {
  const [, amount, unit = 's'] = /^([1-9][0-9]{0,6})([smhd])$/.exec(text) ?? [];
  const seconds = Number(amount ?? 0) * (UNITS[unit] ?? 1);
  if (seconds < 60 || seconds > 30 * 86_400)
    throw new InvalidArgumentError('Write a number and s, m, h or d, from 1m to 30d, e.g. 12h.');
  return seconds;
}

function parseWhole(text: string): number {
  if (!/^[1-9][0-9]{0,4}$/.test(text) || Number(text) > 10_000)
    throw new InvalidArgumentError('Write a whole number from 1 to 10000.');
  return Number(text);
}

const DEFAULT_SOCKET = '/run/weft/weft.sock';

/** Environment and options of the command and of weft. The daemon gets the socket in any case, so that both mean the same one. */
function contextOf(command: Command, { io, daemonMain }: CliParts): Context {
  const global = command.optsWithGlobals() as Values;
  const given = (name: string) => (typeof global[name] === 'string' ? (global[name] as string) : undefined);
  const socket = given('socket') ?? (io.env.WEFT_SOCKET || DEFAULT_SOCKET);
  const names = ['state', 'range', ...DAEMON_OPTIONS.map(([flags]) => flags.slice(2, flags.indexOf(' ')))];
  const flags = [`--socket=${socket}`];
  const configured: string[] = [];
  for (const name of names) {
    const value = global[name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())];
    if (value === undefined || typeof value === 'boolean') continue;
    for (const one of [value].flat()) flags.push(`--${name}=${one}`);
    if (name !== 'range') configured.push(`--${name}`);
  }
  const own = ['WEFT_STATE', 'WEFT_SOCKET', 'WEFT_CONFIG'].some((name) => io.env[name]);
  const system =
    !own && [given('state'), given('socket'), given('config')].every((value) => value === undefined);
  return {
    io,
    socket,
    foreground: global.foreground === true,
    daemon: { main: daemonMain, flags, configured, system },
  };
}
