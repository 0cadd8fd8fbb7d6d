import { DialError, type Door, type Link, type Transport } from '../../ports/transport.ts';

export interface DialParts {
  readonly transport: Pick<Transport, 'dial'>;
  /** Newest epoch first; the next one is tried where the other side answers `old-epoch`. */
  readonly doors: readonly Door[];
  readonly addresses: readonly string[];
  readonly signal: AbortSignal;
}

/**
 * Dials all addresses at once and resolves to the first link; the others are given up. Dialled in turn, two addresses behind which packets
 * vanish would use up all the time there is. Rejects with a DialError that tells what happened at each address.
 */
export async function dialAny({ transport, doors, addresses, signal }: DialParts): Promise<Link> {
  if (addresses.length === 0) throw new DialError('unreachable', 'no address of it is known');
  const losers = new AbortController();
  const give = () => losers.abort();
  signal.addEventListener('abort', give);
  let won = false;
  const dials = addresses.map(async (address) => {
    const link = await dialDoors(transport, address, doors, losers.signal);
    if (won || signal.aborted) {
      link.close();
      throw new DialError('unreachable', `${address}: not needed any more`);
    }
    won = true;
    return link;
  });
  try {
    return await Promise.any(dials);
  } catch (error) {
    throw summed(error instanceof AggregateError ? error.errors : [error]);
  } finally {
    signal.removeEventListener('abort', give);
    losers.abort();
  }
}

async function dialDoors(
  transport: Pick<Transport, 'dial'>,
  address: string,
  doors: readonly Door[],
  signal: AbortSignal,
): Promise<Link> {
  for (const [index, door] of doors.entries()) {
    try {
      return await transport.dial(address, door, signal);
    } catch (error) {
      const behind = error instanceof DialError && error.reason === 'old-epoch';
      if (!behind || index === doors.length - 1) throw error;
    }
  }
  throw new DialError('unreachable', 'there is no door to dial by');
}

/** What somebody answered says more than silence. */
function summed(errors: readonly unknown[]): DialError {
  const known = errors.map((error) =>
    error instanceof DialError ? error : new DialError('unreachable', String(error)),
  );
  const silent = (error: DialError) => error.reason === 'unreachable' || error.reason === 'timeout';
  const telling = known.find((error) => !silent(error)) ?? known[0];
  return new DialError(
    telling?.reason ?? 'unreachable',
    [...new Set(known.map((error) => error.message))].join('; '),
  );
}
