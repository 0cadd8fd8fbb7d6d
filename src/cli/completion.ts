import type { Command } from 'commander';

export type Shell = 'bash' | 'zsh' | 'fish';

/** What a shell can offer at one place. */
interface Spec {
  readonly name: string;
  readonly description: string;
  /** Long flags with what they take: nothing, a file or folder, or some other value. */
  readonly options: readonly {
    readonly flag: string;
    readonly takes: 'nothing' | 'path' | 'value';
    readonly description: string;
  }[];
  /** Words that the command's first argument may be. */
  readonly choices: readonly string[];
  /** Whether the argument names a network namespace. */
  readonly namespaces: boolean;
}

/** A script made from the commands as they are, so that it cannot fall behind them. */
export function completionFor(shell: Shell, program: Command): string {
  const global = optionsOf(program);
  const specs = program.commands.map((command) => specOf(command));
  const writers = { bash, zsh, fish };
  return writers[shell](specs, global);
}

function specOf(command: Command): Spec {
  const [argument] = command.registeredArguments;
  return {
    name: command.name(),
    description: command.description(),
    options: [command, ...command.commands].flatMap(optionsOf).filter(isFirst),
    choices: argument?.argChoices ?? command.commands.map((inner) => inner.name()),
    namespaces: argument?.name() === 'sandbox',
  };
}

/** Commands of one command share options. */
function isFirst(option: Spec['options'][number], at: number, all: Spec['options']): boolean {
  return all.findIndex(({ flag }) => flag === option.flag) === at;
}

function optionsOf(command: Command): Spec['options'] {
  const options = command.options.map((option) => ({
    flag: option.long ?? '',
    takes: !option.required
      ? ('nothing' as const)
      : /<(path|dir|file)>/.test(option.flags)
        ? ('path' as const)
        : ('value' as const),
    description: option.description,
  }));
  return [...options, { flag: '--help', takes: 'nothing', description: 'show help' }];
}

const flagsThat = (takes: 'path' | 'value', all: readonly Spec['options'][number][]) => [
  ...new Set(all.filter((option) => option.takes === takes).map((option) => option.flag)),
];

function bash(specs: readonly Spec[], global: Spec['options']): string {
  const all = [...global, ...specs.flatMap((spec) => spec.options)];
  const flags = (options: Spec['options']) =>
    [...new Set([...options, ...global].map((option) => option.flag))].join(' ');
  const cases = specs.map((spec) => {
    const words = spec.choices.join(' ');
    const names = spec.namespaces ? ' $(ls /run/netns 2>/dev/null)' : '';
    return `    ${spec.name}) words="${words}${names}" flags="${flags(spec.options)}" ;;`;
  });
  return `# bash completion for weft
_weft() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} command= words flags word value= given=
  case $previous in
    ${flagsThat('path', all).join('|')}) COMPREPLY=($(compgen -f -- "$current")); return ;;
    ${flagsThat('value', all).join('|')}) COMPREPLY=(); return ;;
  esac
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if [ -n "$value" ]; then value=; continue; fi
    case $word in
      ${[...flagsThat('path', all), ...flagsThat('value', all)].join('|')}) value=yes ;;
      -*) ;;
      *) if [ -z "$command" ]; then command=$word; else given=yes; fi ;;
    esac
  done
  case $command in
${cases.join('\n')}
    *) words="${specs.map((spec) => spec.name).join(' ')} help" flags="${flags([])}" ;;
  esac
  [ -z "$given" ] || words=
  case $current in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$current")) ;;
    *) COMPREPLY=($(compgen -W "$words" -- "$current" || :)) ;;
  esac
}
complete -F _weft weft
`;
}

function zsh(specs: readonly Spec[], global: Spec['options']): string {
  const quote = (text: string) => text.replace(/'/g, '’').replace(/([[\]:\\])/g, '\\$1');
  const action = { nothing: '', path: ':path:_files', value: ':value: ' };
  const flags = (options: Spec['options']) =>
    options
      .map((option) => `'${option.flag}[${quote(option.description)}]${action[option.takes]}'`)
      .join(' ');
  const cases = specs.map((spec) => {
    const names = spec.namespaces ? `'1:namespace:_files -W /run/netns'` : '';
    const words = spec.choices.length > 0 ? `'1:${spec.name}:(${spec.choices.join(' ')})'` : names;
    return `    ${spec.name}) _arguments ${flags(spec.options)} ${words} ;;`;
  });
  return `#compdef weft
_weft() {
  local line state
  _arguments -C ${flags(global)} '1:command:->command' '*::argument:->argument'
  case $state in
    command) _values command ${specs.map((spec) => `'${spec.name}[${quote(spec.description)}]'`).join(' ')} ;;
    argument) case $line[1] in
${cases.join('\n')}
    esac ;;
  esac
}
if [ "$funcstack[1]" = _weft ]; then _weft "$@"; else compdef _weft weft; fi
`;
}

function fish(specs: readonly Spec[], global: Spec['options']): string {
  const quote = (text: string) => `'${text.replace(/[\\']/g, '\\$&')}'`;
  const needs = { nothing: '', path: ' -r -F', value: ' -x' };
  const flag = (condition: string, option: Spec['options'][number]) =>
    `complete -c weft${condition} -l ${option.flag.slice(2)}${needs[option.takes]} -d ${quote(option.description)}`;
  /** Where none of the command's words stands yet. */
  const first = ({ name, choices }: Spec) =>
    ` -n '__fish_seen_subcommand_from ${name}; and not __fish_seen_subcommand_from ${choices.join(' ')}'`;
  const lines = specs.flatMap((spec) => {
    const inside = ` -n '__fish_seen_subcommand_from ${spec.name}'`;
    return [
      `complete -c weft -n __fish_use_subcommand -a ${spec.name} -d ${quote(spec.description)}`,
      ...(spec.choices.length > 0
        ? [`complete -c weft${first(spec)} -a ${quote(spec.choices.join(' '))}`]
        : []),
      ...(spec.namespaces ? [`complete -c weft${inside} -a '(ls /run/netns 2>/dev/null)'`] : []),
      ...spec.options.map((option) => flag(inside, option)),
    ];
  });
  return `# fish completion for weft\ncomplete -c weft -f\n${[...global.map((option) => flag('', option)), ...lines].join('\n')}\n`;
}
