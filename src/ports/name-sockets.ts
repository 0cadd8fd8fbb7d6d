/**
 * The machine's part of answering names inside a sandbox. The real one is host/name-sockets.ts, the twin ports/memory/name-sockets.ts.
 * Errors are HostError.
 */
export interface NameSockets {
  /**
   * Leads what programs in the sandbox ask of RESOLVER to `answer`, in front of whoever listens there (Docker's own resolver does), for as
   * long as this process lives and works: 15 s after it has stopped working, they ask that one again. What an earlier call or life left in
   * the sandbox is replaced. `sandbox` is a text as for Host.locate; rejects with `sandbox-missing` when there is none.
   */
  open(sandbox: string, answer: Answer): Promise<SandboxNames>;
}

/** Address and port that programs in a container ask: what Docker writes into its containers' resolv.conf. */
export const RESOLVER = { address: '127.0.0.11', port: 53 } as const;

export type Over = 'udp' | 'tcp';

/** Takes a DNS message and gives one (RFC 1035 4), without the length that TCP puts in front. Undefined: no answer. Never rejects. */
export type Answer = (query: Uint8Array, over: Over) => Promise<Uint8Array | undefined>;

export interface SandboxNames {
  /** Like Sandbox.namespace: which network namespace this is. */
  readonly namespace: string;
  /** Whether the path by which it was opened still leads to this sandbox. Cheap: may be asked every second. */
  isAlive(): Promise<boolean>;
  /** Puts back what somebody inside has taken away. */
  restore(): Promise<void>;
  /**
   * Asks who would have answered without Weft: Docker's resolver in the sandbox, else the nameservers of the host. The first
   * message for which `isAnswer` holds; undefined when there is none within UPSTREAM_TIMEOUT ms. Each question goes out from a port of its own.
   */
  ask(
    query: Uint8Array,
    over: Over,
    isAnswer: (message: Uint8Array) => boolean,
  ): Promise<Uint8Array | undefined>;
  /** Takes everything away again. Fine when the sandbox is gone; it would not go as long as this is open. */
  close(): Promise<void>;
}

/** Less than the 5 s after which resolvers ask again (resolv.conf(5)). */
export const UPSTREAM_TIMEOUT = 4_000;
/** Largest message that a sandbox may ask with: RFC 1035 4.2.1 for UDP; nobody asks with more over TCP. */
export const LARGEST_QUERY: Readonly<Record<Over, number>> = { udp: 512, tcp: 2_048 };
