#!/usr/bin/env node
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// A token that was pasted as an argument can be read in `ps` from now on no more: Node writes the title over the arguments.
if (process.argv.some((argument) => argument.includes('wf1_'))) process.title = 'weft join';

// In a checkout, stripping types takes longer than everything else; the built package has no need of a cache.
if (import.meta.filename.endsWith('.ts')) {
  enableCompileCache(join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'weft'));
}

const { runCli } = await import('./program.ts');
const { processIo } = await import('./io.ts');
process.exitCode = await runCli({ argv: process.argv.slice(2), io: processIo });
