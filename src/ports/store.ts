/** One durable value with its previous generation. The real one is a file (host/file-store.ts). */
export interface Store {
  /** The newest readable generation. Rejects only when the medium itself cannot be read (permissions, I/O). */
  read(): Promise<Stored>;
  /** Resolves when `bytes` will survive a power cut; until then a crash leaves the old value. Calls must not overlap. */
  write(bytes: Uint8Array): Promise<void>;
}

export type Stored =
  | { readonly generation: 'none' }
  | { readonly generation: 'current'; readonly bytes: Uint8Array }
  /** The current generation was damaged (`problem` says how) and the one before it was read. */
  | { readonly generation: 'previous'; readonly bytes: Uint8Array; readonly problem: string }
  /** Both generations are damaged. */
  | { readonly generation: 'damaged'; readonly problem: string };
