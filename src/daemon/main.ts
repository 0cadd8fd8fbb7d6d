#!/usr/bin/env node
import { fileURLToPath } from 'node:url';
import { runDaemon } from './run.ts';

// A start in the background only starts another process: what the mesh is made of is loaded by that one.
const exitCode = await runDaemon({
  main: fileURLToPath(import.meta.url),
  argv: process.argv.slice(2),
  open: async (parts) => (await import('./open.ts')).openDaemon(parts),
  clean: async (parts) => (await import('./clean.ts')).cleanMachine(parts),
});
process.exit(exitCode);
