/** What a command sees of its terminal. Tests hand in their own. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>;
  out(text: string): void;
  err(text: string): void;
  /** All of standard input, at most `limit` bytes of it. */
  stdin(limit: number): Promise<string>;
  /** Whether stderr is a terminal, so that progress may be drawn on it. */
  readonly terminal: boolean;
}

export const processIo: Io = {
  env: process.env,
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  async stdin(limit) {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > limit) break;
    }
    return Buffer.concat(chunks).toString('utf8').slice(0, limit);
  },
  terminal: process.stderr.isTTY === true,
};
