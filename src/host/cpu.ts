import { readFileSync } from 'node:fs';

/** Whether the processor has instructions for AES; without them, AES is slow and its timing tells about the key. */
export function hasAesInstructions(): boolean {
  try {
    // `flags` on x86, `Features` on ARM.
    return /^(flags|Features)\s*:.*\baes\b/m.test(readFileSync('/proc/cpuinfo', 'utf8'));
  } catch {
    return false;
  }
}
