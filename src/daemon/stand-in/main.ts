import { rmSync, statSync } from 'node:fs';
import { createSystemClock } from '../../host/clock.ts';
import { createLogger } from '../logger.ts';
import { callPluginSocket } from './call.ts';
import { readStandInArguments, SOCKET_FD } from './keeper.ts';
import { createStandIn } from './stand-in.ts';

/** Started by weftd, which writes its signs of life on standard input, reads their echo, and passes its listening socket. */
const { socket, lent, scope } = readStandInArguments(process.argv.slice(2));
const clock = createSystemClock();
const log = createLogger({ clock, level: 'info', write: (line) => process.stderr.write(line) });

const inode = () => statSync(socket, { throwIfNoEntry: false })?.ino;
const ours = inode();
const standIn = createStandIn({
  listen: (server) => server.listen({ fd: SOCKET_FD }),
  call: (method, body) => callPluginSocket({ socket, method, body: JSON.stringify(body) }),
  socket: { lent, isOurs: () => inode() === ours, remove: () => rmSync(socket, { force: true }) },
  scope,
  clock,
  log,
});

process.stdin.on('data', (beats) => {
  standIn.beat();
  process.stdout.write(beats);
});
// However it ends, who wrote to it is gone.
for (const end of ['end', 'error'] as const) process.stdin.on(end, () => standIn.orphan());
// Nobody reads the echo any more; the end of standard input says the same.
process.stdout.on('error', () => {});
// As in weftd: a log that cannot be written is no reason to end.
process.stderr.on('error', () => {});
process.once('SIGTERM', () => standIn.stop());
// A terminal's are meant for weftd, which ends this process itself.
for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
await standIn.ended;
process.exit(0);
