import type { MessageStream, StreamMessageEvent } from '@libp2p/interface';

/** Takes exact numbers of bytes off the start of a raw stream, then gives the stream back with everything that follows. */
export interface StreamReader {
  /** Resolves to exactly `length` bytes; rejects when the stream ends first or `signal` aborts. One call at a time. */
  read(length: number): Promise<Uint8Array>;
  /** Stops listening; bytes that were not read are back in the stream. */
  release(): void;
}

/** What a stranger may send ahead of its turn; more is no handshake of ours. */
const MAX_AHEAD = 16_384;

export function createStreamReader(stream: MessageStream, signal: AbortSignal): StreamReader {
  let buffered: Uint8Array = new Uint8Array(0);
  let wanted:
    | { length: number; resolve: (bytes: Uint8Array) => void; reject: (error: Error) => void }
    | undefined;
  let ended: Error | undefined;

  function settle(): void {
    if (wanted === undefined) return;
    const { length, resolve, reject } = wanted;
    if (buffered.length >= length) {
      wanted = undefined;
      const bytes = buffered.slice(0, length);
      buffered = buffered.subarray(length);
      resolve(bytes);
    } else if (ended !== undefined) {
      wanted = undefined;
      reject(ended);
    }
  }

  function end(error: Error): void {
    ended ??= error;
    settle();
  }

  const onMessage = (event: StreamMessageEvent) => {
    const chunk = event.data.subarray();
    if (buffered.length + chunk.length > MAX_AHEAD)
      return end(new Error('too much data before the handshake'));
    const joined = new Uint8Array(buffered.length + chunk.length);
    joined.set(buffered);
    joined.set(chunk, buffered.length);
    buffered = joined;
    settle();
  };
  const onEnd = () => end(new Error('the connection was closed'));
  const onAbort = () => end(new Error('gave up'));

  stream.addEventListener('message', onMessage);
  stream.addEventListener('close', onEnd);
  stream.addEventListener('remoteCloseWrite', onEnd);
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  if (stream.status !== 'open') onEnd();

  return {
    read(length) {
      const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
      wanted = { length, resolve, reject };
      settle();
      return promise;
    },
    release() {
      stream.removeEventListener('message', onMessage);
      stream.removeEventListener('close', onEnd);
      stream.removeEventListener('remoteCloseWrite', onEnd);
      signal.removeEventListener('abort', onAbort);
      if (buffered.length > 0 && stream.status === 'open') stream.unshift(buffered);
      buffered = new Uint8Array(0);
    },
  };
}
