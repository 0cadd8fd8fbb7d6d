/**
 * An application to put into a sandbox.
 *
 *   node app.ts serve PORT          TCP echo server on all addresses
 *   node app.ts talk ADDRESS PORT   connects, sends a numbered line every 50 ms, prints what comes back, until it is ended
 *   node app.ts say ADDRESS PORT TEXT   sends TEXT once, prints what comes back
 *   node app.ts pour ADDRESS PORT BYTES   sends as many bytes, prints how many came back
 */
import { connect, createServer, type Socket } from 'node:net';

const [role, ...rest] = process.argv.slice(2);
if (role === 'serve') serve(Number(rest[0]));
else if (role === 'talk') talk(dial(rest));
else if (role === 'say') say(dial(rest), rest[2] ?? '');
else if (role === 'pour') pour(rest);
else throw new Error('serve, talk, say or pour');

function serve(port: number): void {
  const server = createServer((socket) => socket.on('error', () => {}).pipe(socket));
  server.listen(port, () => console.log('listening'));
}

function dial([host = '', port]: readonly string[]): Socket {
  const socket = connect({ host, port: Number(port), noDelay: true });
  socket.setEncoding('utf8').on('data', (text: string) => process.stdout.write(text));
  socket.on('error', (error) => {
    console.log(`failed: ${error.message}`);
    process.exit(1);
  });
  socket.on('close', () => console.log('closed'));
  return socket;
}

function talk(socket: Socket): void {
  let number = 0;
  const timer = setInterval(() => socket.write(`line ${++number}\n`), 50);
  socket.on('close', () => clearInterval(timer));
}

function say(socket: Socket, text: string): void {
  socket.write(text);
  let seen = '';
  socket.on('data', (part: string) => {
    seen += part;
    if (seen.length >= text.length) socket.end();
  });
}

function pour([host = '', port, bytes]: readonly string[]): void {
  const socket = connect({ host, port: Number(port) });
  let seen = 0;
  socket.on('data', (part) => {
    seen += part.length;
    if (seen >= Number(bytes)) socket.end();
  });
  socket.on('close', () => console.log(seen));
  socket.write(Buffer.alloc(Number(bytes)));
}
