import type { Stream } from '@libp2p/interface';

/**
 * yamux tells the sender after each piece of data that it may send as much again: one more write to the socket for each message, which
 * costs as much as a message. A link has messages of some hundred bytes and a window of 256 KiB, so half of it is told at once instead.
 * Source: WINDOW UPDATE in the specification of yamux, which leaves to the receiver when to send one.
 */
export interface Windowed {
  /** Bytes that the sender may send after an update, and that it may send now. */
  readonly recvWindow: number;
  readonly recvWindowCapacity: number;
  sendWindowUpdate(): void;
}

/** A stream of another multiplexer stays as it is. */
export function updateRarely(stream: Stream): void {
  if (!isWindowed(stream)) return;
  const update = stream.sendWindowUpdate.bind(stream);
  stream.sendWindowUpdate = () => {
    if (stream.recvWindowCapacity < stream.recvWindow / 2) update();
  };
}

/** These fields are the library's own; transport-libp2p.test.ts sees whether they are there. */
export function isWindowed(stream: object): stream is Windowed {
  const { recvWindow, recvWindowCapacity, sendWindowUpdate } = stream as Partial<Windowed>;
  return (
    typeof recvWindow === 'number' &&
    typeof recvWindowCapacity === 'number' &&
    typeof sendWindowUpdate === 'function'
  );
}
