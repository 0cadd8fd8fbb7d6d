/**
 * Datagrams between hosts over one device and no other. The real one is host/probes.ts (UDP on a link-local address), the twin
 * ports/memory/probes.ts.
 */
export interface ProbeSocket {
  /** `to`: IPv6 link-local text without zone. What cannot be sent is lost, as on the way. */
  send(to: string, bytes: Uint8Array): void;
  close(): void;
}

export interface ProbeSocketOptions {
  readonly device: string;
  /** IPv6 link-local text that the device has. */
  readonly address: string;
  readonly port: number;
  /** `from`: IPv6 link-local text without zone. The bytes are the caller's. */
  readonly onMessage: (from: string, bytes: Uint8Array) => void;
}

/** Rejects with Error when the address is not there or the port is taken. */
export type OpenProbes = (options: ProbeSocketOptions) => Promise<ProbeSocket>;
