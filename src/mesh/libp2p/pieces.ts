/**
 * Noise puts the length before what it seals, and the library's TCP gives each of the two to the socket by itself: two system calls and
 * two packets for each message, and two wake-ups of whoever reads it. Joined they are one of each.
 */
export interface Piecewise {
  /** Of the library's TCP connections. */
  readonly socket: object;
  /** Writes the pieces in turn; tells how many bytes the socket took. */
  sendData(pieces: Pieces | readonly Uint8Array[]): {
    readonly sentBytes: number;
    readonly canSendMore: boolean;
  };
}

interface Pieces {
  /** All of them in one; without a copy where there is only one. */
  subarray(): Uint8Array;
}

/** A connection of another transport stays as it is. */
export function sendWhole(connection: object): void {
  if (!isPiecewise(connection)) return;
  const send = connection.sendData.bind(connection);
  connection.sendData = (pieces) => send('subarray' in pieces ? [pieces.subarray()] : pieces);
}

/** These members are the library's own; transport-libp2p.test.ts sees whether they are there. */
function isPiecewise(connection: object): connection is Piecewise {
  const { socket, sendData } = connection as Partial<Piecewise>;
  return typeof socket === 'object' && typeof sendData === 'function';
}
