import { closeSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import { HostError } from '../ports/host.ts';
import type { Log } from '../ports/log.ts';
import {
  type Answer,
  type NameSockets,
  type Over,
  RESOLVER,
  type SandboxNames,
  UPSTREAM_TIMEOUT,
} from '../ports/name-sockets.ts';
import { askOverTcp, askOverUdp, type Upstream } from './name-client.ts';
import {
  ALIVE_SECONDS,
  type Elsewhere,
  findResolver,
  raiseRedirect,
  removeRedirect,
} from './name-redirect.ts';
import { type ServedSockets, serveNames } from './name-server.ts';
import { openedNamespace } from './namespace.ts';
import { openNamespaceSocket } from './namespace-socket.ts';
import { type OpenSandbox, openSandbox } from './sandbox.ts';

export interface LinuxNameSocketsOptions {
  /** Path of the network namespace that is the host; absent: that of this process. */
  readonly netns?: string;
  /** The file that names the host's nameservers. */
  readonly resolvConf?: string;
  readonly log: Log;
}

/** Three beats may be lost. */
const BEAT_MS = (ALIVE_SECONDS * 1_000) / 4;
/** Docker's resolver is looked for again when it is missing, but not for each question: often while it may be starting, then seldom. */
const LOOK_MS = 200;
const LATER_LOOK_MS = 5_000;
const YOUNG_MS = 10_000;
/** Some program may have just the port that the kernel gave us for the other protocol. */
const TRIES = 8;

export function createLinuxNameSockets(options: LinuxNameSocketsOptions): NameSockets {
  return {
    async open(text, answer) {
      const sandbox = await openSandbox(text, options.netns);
      try {
        return await openIn(sandbox, answer, options);
      } catch (error) {
        await sandbox.close();
        throw error;
      }
    },
  };
}

async function openIn(
  sandbox: OpenSandbox,
  answer: Answer,
  { log, resolvConf = '/etc/resolv.conf' }: LinuxNameSocketsOptions,
): Promise<SandboxNames> {
  const inside = openedNamespace(sandbox.descriptor);
  const sockets = openPair(sandbox.descriptor);
  const server = await serveNames(sockets, answer);
  let elsewhere: Elsewhere = { udp: undefined, tcp: undefined };
  const opened = performance.now();
  let lookedAt = Number.NEGATIVE_INFINITY;
  let looking: Promise<void> = Promise.resolve();
  let closed = false;

  // After `close` the descriptor's number may mean another sandbox: each use of it looks whether this one is still open.
  async function restore(): Promise<void> {
    if (closed) return;
    await raiseRedirect(inside, sockets.port);
    server.beat();
  }

  /** Docker starts its resolver after the sandbox is there, so not before there is a question for it; on another port when it starts again. */
  function look(): Promise<void> {
    const now = performance.now();
    const pause = now - opened < YOUNG_MS ? LOOK_MS : LATER_LOOK_MS;
    if (closed || now - lookedAt < pause) return looking;
    lookedAt = now;
    looking = findResolver(inside).then(
      (found) => {
        elsewhere = found;
      },
      (error: unknown) =>
        log.debug('cannot look for a resolver in a sandbox', { sandbox: sandbox.path, error: String(error) }),
    );
    return looking;
  }

  async function ask(query: Uint8Array, over: Over, isAnswer: (message: Uint8Array) => boolean) {
    const deadline = performance.now() + UPSTREAM_TIMEOUT;
    const put = over === 'udp' ? askOverUdp : askOverTcp;
    for (let attempt = 0; attempt < 2; attempt++) {
      if (elsewhere[over] === undefined || attempt > 0) await look();
      const port = elsewhere[over];
      if (port === undefined) break;
      const upstream = { address: RESOLVER.address, port, network: sandbox.descriptor };
      const left = deadline - performance.now();
      if (closed) return undefined;
      const reply = left > 0 ? await put(upstream, query, isAnswer, left) : undefined;
      if (reply !== undefined || performance.now() >= deadline) return reply;
    }
    if (closed || elsewhere.udp !== undefined) return undefined;
    const servers = await nameservers(resolvConf);
    for (const [at, upstream] of servers.entries()) {
      const left = (deadline - performance.now()) / (servers.length - at);
      const reply = left > 0 ? await put(upstream, query, isAnswer, left) : undefined;
      if (reply !== undefined) return reply;
    }
    return undefined;
  }

  try {
    await restore();
  } catch (error) {
    await server.close();
    throw error;
  }
  const beating = setInterval(() => server.beat(), BEAT_MS);
  beating.unref();

  return {
    namespace: sandbox.namespace,
    async isAlive() {
      // The descriptor keeps the number of this namespace from being used again.
      const now = await stat(sandbox.path, { bigint: true }).catch(() => undefined);
      return now !== undefined && `${now.dev}:${now.ino}` === sandbox.namespace;
    },
    restore,
    ask,
    async close() {
      if (closed) return;
      closed = true;
      clearInterval(beating);
      try {
        await removeRedirect(inside);
      } finally {
        await server.close();
        await sandbox.close();
      }
    },
  };
}

/** A UDP and a listening TCP socket on one port of the sandbox's loopback. */
function openPair(network: number): ServedSockets {
  const open = (kind: 'udp' | 'tcp', port: number) =>
    openNamespaceSocket({ network, kind, role: 'serve', address: '127.0.0.1', port });
  for (let left = TRIES; ; left--) {
    const { descriptor: udp, port } = open('udp', 0);
    try {
      return { udp, tcp: open('tcp', port).descriptor, port };
    } catch (error) {
      closeSync(udp);
      if (left === 0 || !(error instanceof HostError && error.message.includes('EADDRINUSE'))) throw error;
    }
  }
}

/** At most three, as resolv.conf(5) says. */
async function nameservers(file: string): Promise<readonly Upstream[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)]
    .map(([, address = '']) => address)
    .filter((address) => isIP(address) !== 0)
    .slice(0, 3)
    .map((address) => ({ address, port: 53 }));
}
