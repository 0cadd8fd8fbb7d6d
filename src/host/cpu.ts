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

/** How many processors this kernel may ever have, plugged in or not: so many values has a map that is kept by processor. */
export function possibleProcessors(): number {
  const ranges = readFileSync('/sys/devices/system/cpu/possible', 'utf8').trim().split(',');
  return ranges.reduce((sum, range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return sum + last - first + 1;
  }, 0);
}
