import { runDaemon } from '../../../src/daemon/run.ts';
import { createMemoryControl, type MemoryToken } from '../../../src/doors/memory-control.ts';

/** A `weftd` with nothing behind it: everything of the real one but the network. */
export const MEMORY_MESH = 'a'.repeat(64);
export const GOOD_TOKEN = `wf1_${'g'.repeat(60)}`;
export const EXPIRED_TOKEN = `wf1_${'e'.repeat(60)}`;
export const FOREIGN_TOKEN = `wf1_${'f'.repeat(60)}`;

export const TOKENS: ReadonlyMap<string, MemoryToken> = new Map<string, MemoryToken>([
  [GOOD_TOKEN, { mesh: MEMORY_MESH }],
  [EXPIRED_TOKEN, { refusal: 'expired' }],
  [FOREIGN_TOKEN, { mesh: 'b'.repeat(64) }],
]);

if (import.meta.main) {
  process.exitCode = await runDaemon({
    main: import.meta.filename,
    argv: process.argv.slice(2),
    open: async ({ config }) => ({
      control: createMemoryControl({ nickname: config.nickname, tokens: TOKENS }),
      serve: async () => {},
      resume: async () => {},
      stop: async () => {},
    }),
    clean: async () => ({ detached: 0, found: false }),
  });
}
