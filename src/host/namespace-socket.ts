import { createRequire } from 'node:module';
import { getSystemErrorName } from 'node:util';
import { HostError } from '../ports/host.ts';

export interface SocketPlan {
  /** Open descriptor of the network namespace. */
  readonly network: number;
  readonly kind: 'udp' | 'tcp';
  /** `serve` binds to the address (port 0: any) and listens; `call` connects to it, TCP perhaps only later. */
  readonly role: 'serve' | 'call';
  /** IPv4 text. */
  readonly address: string;
  readonly port: number;
}

export interface OpenedSocket {
  /** Belongs to the caller. */
  readonly descriptor: number;
  readonly port: number;
}

interface Addon {
  openNamespaceSocket(plan: SocketPlan): OpenedSocket;
}

/**
 * Opens a socket inside another network namespace, where threads of Node cannot go: native/src/namespace_socket.h. Throws HostError
 * `command-failed` with the step and the system's name of the error.
 */
export function openNamespaceSocket(plan: SocketPlan): OpenedSocket {
  try {
    return load().openNamespaceSocket(plan);
  } catch (error) {
    const { step, errno, message } = error as { step?: string; errno?: number; message: string };
    const why = step === undefined || errno === undefined ? message : `${step} ${getSystemErrorName(-errno)}`;
    const what = `${plan.kind} socket for ${plan.address}:${plan.port}`;
    throw new HostError('command-failed', `cannot open a ${what} inside a sandbox: ${why}`);
  }
}

let addon: Addon | undefined;

function load(): Addon {
  addon ??= createRequire(import.meta.url)('../../native/index.cjs') as Addon;
  return addon;
}
