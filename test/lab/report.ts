/** What a demonstration says while it runs: steps, what held, what did not, and how long it took. */
export interface Report {
  /** A new step of the story. */
  step(title: string): void;
  say(text: string): void;
  /** One thing that must hold; `detail` is shown with it. */
  check(what: string, held: boolean, detail?: string): void;
  readonly failures: readonly string[];
  /** Seconds since the report was made, with one decimal. */
  elapsed(): string;
}

export function createReport(print: (line: string) => void = console.log): Report {
  const start = performance.now();
  const failures: string[] = [];
  const elapsed = () => ((performance.now() - start) / 1000).toFixed(1);
  return {
    failures,
    elapsed,
    step: (title) => print(`\n── ${title} ${'─'.repeat(Math.max(3, 84 - title.length))} ${elapsed()} s`),
    say: print,
    check(what, held, detail = '') {
      print(`   ${held ? '✔' : '✘'} ${what}${detail && `  ${detail}`}`);
      if (!held) failures.push(what);
    },
  };
}
