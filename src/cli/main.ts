#!/usr/bin/env node
import { processIo } from './io.ts';
import { runCli } from './program.ts';
import { DAEMON_MAIN } from './start.ts';

// A token that was pasted as an argument can be read in `ps` from now on no more: Node writes the title over the arguments.
if (process.argv.some((argument) => argument.includes('wf1_'))) process.title = 'weft join';

process.exitCode = await runCli({ argv: process.argv.slice(2), io: processIo, daemonMain: DAEMON_MAIN });
