import { createRequire } from 'node:module';
import { getSystemErrorName } from 'node:util';
import { HostError } from '../ports/host.ts';
import type { Namespace } from './namespace.ts';
import {
  FLAGS,
  joinMessages,
  type Message,
  readMessages,
  readRefusal,
  TYPES,
  writeMessage,
} from './netlink-wire.ts';

/**
 * Questions and changes for the kernel by rtnetlink(7), without a program in between: `ask` for lists, `change` for the rest. What they say is in
 * tables.ts, which reads links, addresses, routes, rules and neighbours, and in changes.ts. `batch` is for nftables: set-elements.ts.
 */
export interface Request {
  /** RTM_…, linux/rtnetlink.h; those of nftables are in linux/netfilter/nfnetlink.h. */
  readonly type: number;
  readonly flags?: number;
  readonly body: Uint8Array;
  /** For people, should the kernel refuse. */
  readonly what: string;
}

/** What the kernel said no to. */
export class NetlinkError extends HostError {
  /** The system's name, e.g. `ENODEV`. */
  readonly errno: string;
  constructor(what: string, errno: string, text: string) {
    super('command-failed', `the kernel does not ${what}: ${errno}${text === '' ? '' : `, ${text}`}`);
    this.name = 'NetlinkError';
    this.errno = errno;
  }
}

interface Addon {
  /** One after the other. */
  netlink(network: number, requests: Uint8Array): Promise<Uint8Array>;
  /** The same for families that are known by name (Documentation/userspace-api/netlink/intro.rst). */
  netlinkGeneric(network: number, requests: Uint8Array): Promise<Uint8Array>;
  /** As one step, of nftables. */
  netlinkBatch(network: number, requests: Uint8Array): Promise<Uint8Array>;
}

/** A list that changes while the kernel writes it is asked for again, so often at most. */
const ATTEMPTS = 10;

/** The entries of the lists that are asked for, one after the other. */
export async function ask(
  namespace: Namespace,
  requests: readonly Request[],
): Promise<readonly (readonly Message[])[]> {
  const questions = requests.map((request) => ({ ...request, flags: FLAGS.dump }));
  for (let attempt = 1; ; attempt++) {
    const answers = await exchange(namespace, questions);
    const whole = !answers.flat().some(({ flags }) => (flags & FLAGS.interrupted) !== 0);
    // The last is taken as it is: who looks again and again sees in the end what is there.
    if (whole || attempt === ATTEMPTS) {
      return answers.map((list) => list.filter(({ type }) => type !== TYPES.done));
    }
  }
}

/** One after the other, up to the first that is refused; rejects with NetlinkError. Resolves to what each was answered. */
export async function change(
  namespace: Namespace,
  requests: readonly Request[],
): Promise<readonly (readonly Message[])[]> {
  return exchange(namespace, requests.map(acknowledged));
}

/** The same for families of generic netlink: link-features.ts. */
export async function changeByName(
  namespace: Namespace,
  requests: readonly Request[],
): Promise<readonly (readonly Message[])[]> {
  return exchange(namespace, requests.map(acknowledged), 'netlinkGeneric');
}

function acknowledged(request: Request): Required<Request> {
  return { ...request, flags: (request.flags ?? 0) | FLAGS.acknowledge };
}

/** All of them as one step, or none; with their flags as they are. Rejects with NetlinkError. */
export async function batch(namespace: Namespace, requests: readonly Required<Request>[]): Promise<void> {
  await exchange(namespace, requests, 'netlinkBatch');
}

async function exchange(
  namespace: Namespace,
  requests: readonly Required<Request>[],
  by: keyof Addon = 'netlink',
): Promise<readonly (readonly Message[])[]> {
  if (requests.length === 0) return [];
  const messages = requests.map(({ type, flags, body }) => writeMessage(type, flags, body));
  const bytes = await namespace.visit((network) => send(by, network, joinMessages(messages)));
  const answers: Message[][] = requests.map(() => []);
  for (const message of readMessages(bytes)) {
    const request = requests[message.sequence];
    if (request === undefined) continue;
    if (message.type !== TYPES.error && message.type !== TYPES.done) {
      answers[message.sequence]?.push(message);
      continue;
    }
    const refusal = readRefusal(message);
    if (refusal !== undefined) {
      throw new NetlinkError(request.what, getSystemErrorName(-refusal.errno), refusal.text);
    }
    // The end of a list may tell that it was interrupted.
    if (message.type === TYPES.done) answers[message.sequence]?.push(message);
  }
  return answers;
}

let addon: Addon | undefined;

async function send(by: keyof Addon, network: number, requests: Uint8Array): Promise<Uint8Array> {
  addon ??= createRequire(import.meta.url)('../../native/index.cjs') as Addon;
  try {
    return await addon[by](network, requests);
  } catch (error) {
    const { step, errno, message } = error as { step?: string; errno?: number; message: string };
    const name = errno === undefined ? '' : getSystemErrorName(-errno);
    throw new NetlinkError('answer', name, step ?? message);
  }
}
