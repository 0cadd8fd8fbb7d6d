import { join } from 'node:path';
import { processIo } from '../../../src/cli/io.ts';
import { runCli } from '../../../src/cli/program.ts';

/** The whole `weft`, starting the memory daemon instead of the real one. */
process.exitCode = await runCli({
  argv: process.argv.slice(2),
  io: processIo,
  daemonMain: join(import.meta.dirname, 'memory-weftd.ts'),
});
