import type { Log } from '../../ports/log.ts';
import type { OpenProbes, ProbeSocket } from '../../ports/probes.ts';

/** The socket for probes on one device, opened anew where it hears nothing any more. */
export interface ProbeDoor {
  /** False while the door is shut. */
  send(to: string, bytes: Uint8Array): boolean;
  /** The device is there. */
  open(): void;
  /** The device is not wanted any more. */
  shut(): void;
  /** Why the socket cannot be opened. */
  obstacle(): string | null;
  close(): void;
}

export interface ProbeDoorParts {
  readonly device: string;
  readonly address: string;
  readonly port: number;
  readonly log: Log;
  readonly openProbes: OpenProbes;
  /** True when the message was a good probe. */
  readonly onMessage: (from: string, bytes: Uint8Array) => boolean;
}

/** So many probes without any from elsewhere make a socket suspicious. */
const SILENCE = 8;

export function createProbeDoor({ log, openProbes, onMessage, ...at }: ProbeDoorParts): ProbeDoor {
  let socket: ProbeSocket | undefined;
  let opening = false;
  let obstacle: string | null = null;
  let closed = false;
  /** Probes in both directions since `open` was last called. */
  let said = 0;
  let heard = 0;

  function receive(from: string, bytes: Uint8Array): void {
    if (onMessage(from, bytes)) heard += 1;
  }

  async function openSocket(): Promise<void> {
    try {
      const opened = await openProbes({ ...at, onMessage: receive });
      if (closed) opened.close();
      else socket = opened;
      obstacle = null;
    } catch (error) {
      obstacle = `probes cannot be received: ${error instanceof Error ? error.message : String(error)}`;
      log.warn('probes cannot be received', { error: obstacle });
    }
    opening = false;
  }

  function shut(): void {
    socket?.close();
    socket = undefined;
  }

  return {
    send(to, bytes) {
      if (socket === undefined) return false;
      said += 1;
      socket.send(to, bytes);
      return true;
    },
    open() {
      if (opening || closed) return;
      // A device that was made anew has the name and address of the old one, and its packets do not come to the old socket.
      if (socket !== undefined && (heard > 0 || said < SILENCE)) {
        said = 0;
        heard = 0;
        return;
      }
      shut();
      said = 0;
      opening = true;
      void openSocket();
    },
    shut,
    obstacle: () => obstacle,
    close() {
      closed = true;
      shut();
    },
  };
}
