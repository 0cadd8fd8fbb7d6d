/** Says which command runs on which host. A person watches it (demo, lab), or it is kept for the case that a test fails. */
export interface Echo {
  command(host: string, command: string): void;
  note(text: string): void;
}

export function printedEcho(print: (line: string) => void = console.log): Echo {
  return {
    command: (host, command) => print(`${host}# ${command}`),
    note: print,
  };
}

export interface Transcript extends Echo {
  text(): string;
}

/** Remembers the lines with the milliseconds since it was made. */
export function transcript(): Transcript {
  const start = performance.now();
  const lines: string[] = [];
  const add = (line: string) =>
    lines.push(`${String(Math.round(performance.now() - start)).padStart(6)} ${line}`);
  return { ...printedEcho(add), text: () => lines.join('\n') };
}

/** An argument as one would type it. */
export function shown(argv: readonly string[]): string {
  return argv
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(' ');
}
