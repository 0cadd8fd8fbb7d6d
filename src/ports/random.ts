/** Randomness. The real one is the kernel's; the simulator's is seeded. */
export interface Random {
  /** `length` bytes fit for keys. */
  bytes(length: number): Uint8Array;
  /** Uniform in [0, 1); for jitter and choice, not for secrets. */
  fraction(): number;
}
