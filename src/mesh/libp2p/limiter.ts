import { parseHostPort } from '../../core/address.ts';
import type { Clock } from '../../ports/clock.ts';

/** How many handshakes are begun: a bucket that holds `burst` and fills by `perSecond`. */
export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

export interface HandshakeLimits {
  readonly perSource: Rate;
  /** All sources together: bounds what strangers can make this host spend, about 4 ms of a core each. */
  readonly total: Rate;
}

/** A site behind one address restarts as a whole; a mesh of hundreds redials its hub within a minute. */
export const DEFAULT_LIMITS: HandshakeLimits = {
  perSource: { burst: 100, perSecond: 10 },
  total: { burst: 400, perSecond: 50 },
};

export interface HandshakeLimiter {
  /** Whether a handshake from `remoteAddress` may begin now. */
  admit(remoteAddress: string): boolean;
}

interface Bucket {
  tokens: number;
  at: number;
}

/** Sources remembered at a time; the one that was seen first is forgotten first. */
const MAX_SOURCES = 4_096;

export function createHandshakeLimiter(
  clock: Clock,
  limits: HandshakeLimits = DEFAULT_LIMITS,
): HandshakeLimiter {
  const sources = new Map<string, Bucket>();
  const total: Bucket = { tokens: limits.total.burst, at: clock.now() };

  function take(bucket: Bucket, rate: Rate): boolean {
    const now = clock.now();
    bucket.tokens = Math.min(rate.burst, bucket.tokens + ((now - bucket.at) / 1_000) * rate.perSecond);
    bucket.at = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }

  return {
    admit(remoteAddress) {
      const source = sourceOf(remoteAddress);
      let bucket = sources.get(source);
      if (bucket === undefined) {
        bucket = { tokens: limits.perSource.burst, at: clock.now() };
        if (sources.size >= MAX_SOURCES) sources.delete(sources.keys().next().value as string);
        sources.set(source, bucket);
      }
      // The source's own bucket first, so that one noisy source does not empty the common one.
      return take(bucket, limits.perSource) && take(total, limits.total);
    },
  };
}

/** An IPv4 address, or the /64 of an IPv6 address: whoever has one address of it has all (RFC 6177 §2). */
export function sourceOf(remoteAddress: string): string {
  const parsed = parseHostPort(remoteAddress);
  if (!parsed.ok) return '';
  const { kind, host } = parsed.value;
  if (kind !== 'ipv6') return host;
  const [head = '', tail] = host.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? [] : tail.split(':');
    while (groups.length + after.length < 8) groups.push('0');
    groups.push(...after);
  }
  return groups.slice(0, 4).join(':');
}
