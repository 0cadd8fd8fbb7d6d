/** Whole messages on a byte stream: each is a u32 (big-endian) length and that many bytes. */
export const FRAME_HEAD = 4;

export function encodeFrame(message: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEAD + message.length);
  new DataView(frame.buffer).setUint32(0, message.length);
  frame.set(message, FRAME_HEAD);
  return frame;
}

export interface FrameDecoder {
  /**
   * Takes the next bytes, cut anywhere, and hands each message that is complete to `deliver`, in memory of its own.
   * False when a length exceeds the limit: the stream is of no use from then on.
   */
  push(chunk: Uint8Array, deliver: (message: Uint8Array) => void): boolean;
}

/** Holds no more than has arrived: an announced length allocates nothing. */
export function createFrameDecoder(limit: number): FrameDecoder {
  let parts: Uint8Array[] = [];
  let held = 0;
  /** Length of the message under way; undefined while its head is incomplete. */
  let expected: number | undefined;
  let broken = false;

  function take(length: number): Uint8Array {
    const taken = new Uint8Array(length);
    let at = 0;
    while (at < length) {
      const part = parts[0] as Uint8Array;
      const used = Math.min(part.length, length - at);
      taken.set(part.subarray(0, used), at);
      at += used;
      if (used === part.length) parts.shift();
      else parts[0] = part.subarray(used);
    }
    held -= length;
    return taken;
  }

  return {
    push(chunk, deliver) {
      if (broken) return false;
      if (chunk.length > 0) parts.push(chunk);
      held += chunk.length;
      for (;;) {
        if (expected === undefined) {
          if (held < FRAME_HEAD) return true;
          expected = new DataView(take(FRAME_HEAD).buffer).getUint32(0);
          if (expected > limit) {
            broken = true;
            parts = [];
            return false;
          }
        }
        if (held < expected) return true;
        const length = expected;
        expected = undefined;
        deliver(take(length));
      }
    },
  };
}
