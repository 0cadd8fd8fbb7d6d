import { setTimeout as pause } from 'node:timers/promises';

/**
 * Asks again and again until `condition` gives something true; resolves to it. Rejects after `timeout` ms with `what` and the last
 * error or answer.
 */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeout = 10_000,
  every = 50,
): Promise<NonNullable<T>> {
  const end = performance.now() + timeout;
  let last: unknown;
  do {
    try {
      last = await condition();
      if (last) return last as NonNullable<T>;
    } catch (error) {
      last = error;
    }
    await pause(every);
  } while (performance.now() < end);
  throw new Error(
    `waited ${timeout} ms for ${what}; at last: ${last instanceof Error ? last.message : JSON.stringify(last)}`,
  );
}
