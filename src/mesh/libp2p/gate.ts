import { noise } from '@chainsafe/libp2p-noise';
import type {
  ConnectionEncrypter,
  MessageStream,
  SecureConnectionOptions,
  SecuredConnection,
} from '@libp2p/interface';
import type { PeerId } from '../../core/ids.ts';
import type { Log } from '../../ports/log.ts';
import {
  type Admission,
  DialError,
  type DialFailure,
  type Door,
  type Doorkeeper,
} from '../../ports/transport.ts';
import type { HandshakeLimiter } from './limiter.ts';
import { sendWhole } from './pieces.ts';
import {
  ADMITTED,
  decodeDoorName,
  decodePrefaceHead,
  decodeRefusal,
  encodePreface,
  encodeRefusal,
  PREFACE_HEAD,
  prologueOf,
  WRONG_VERSION,
} from './preface.ts';
import { createStreamReader } from './reader.ts';

export const GATE_PROTOCOL = '/weft/1';

/** One dial. It travels in the options of the dial down to the gate, so each has its own door. */
export interface Attempt {
  readonly door: Door;
  /** What went wrong, as first observed; libp2p keeps only the text of errors. */
  failure: DialError | undefined;
}

export interface AttemptOptions {
  readonly attempt: Attempt;
}

export interface GateParts {
  readonly self: PeerId;
  readonly doorkeeper: Doorkeeper;
  readonly limiter: HandshakeLimiter;
  readonly log?: Log | undefined;
  /** 32 bytes: Noise's static key, one for the life of the process. */
  readonly staticKey: Uint8Array;
  /** `host:port` of the other end of a raw connection. */
  readonly remoteAddressOf: (connection: MessageStream) => string;
  /** Called when an arriving handshake has proved a door. */
  readonly onProven: (connection: MessageStream, door: string) => void;
}

type NoiseComponents = Parameters<ReturnType<typeof noise>>[0];

/** The one connection encrypter: preface (preface.ts), then Noise XX whose prologue is the door's secret. */
export function createGate(parts: GateParts): (components: NoiseComponents) => ConnectionEncrypter {
  return (components) => {
    const handshake = (door: string, secret: Uint8Array) =>
      noise({ prologueBytes: prologueOf(door, secret), staticNoiseKey: parts.staticKey })(components);
    return {
      protocol: GATE_PROTOCOL,
      secureOutbound: (connection, options) => secureOutbound(parts, handshake, connection, options),
      secureInbound: (connection, options) => secureInbound(parts, handshake, connection, options),
    };
  };
}

type Handshake = (door: string, secret: Uint8Array) => ConnectionEncrypter;

async function secureOutbound(
  { self }: GateParts,
  handshake: Handshake,
  connection: MessageStream,
  options: (SecureConnectionOptions & Partial<AttemptOptions>) | undefined,
): Promise<SecuredConnection> {
  const { attempt, signal } = options ?? {};
  if (attempt === undefined || signal === undefined) throw new Error('a dial without a door');
  const fail = (reason: DialFailure, message: string) => {
    attempt.failure ??= new DialError(reason, message);
    return attempt.failure;
  };
  const { name, secret } = attempt.door;
  sendWhole(connection);
  const reader = createStreamReader(connection, signal);
  try {
    connection.send(encodePreface(name));
    const [answer = WRONG_VERSION] = await reader.read(1);
    if (answer === WRONG_VERSION)
      throw fail('unreachable', 'it speaks another version of the protocol of Weft');
    if (answer !== ADMITTED) {
      const reason = decodeRefusal(answer);
      if (reason === undefined) throw fail('unreachable', `it refused with an unknown code, ${answer}`);
      throw fail(reason, `refused: ${reason}`);
    }
  } finally {
    reader.release();
  }
  let secured: SecuredConnection;
  try {
    secured = await handshake(name, secret).secureOutbound(connection, options);
  } catch (error) {
    // With another secret at the other end the tag of its answer is wrong, and nothing else makes it so but a meddler.
    const { code } = error as { code?: unknown };
    throw code === 'ERR_INVALID_CRYPTO_EXCHANGE'
      ? fail('bad-secret', 'the other side has another secret for this door')
      : error;
  }
  if (secured.remotePeer.toString() === self) throw fail('self', 'this is our own address');
  return secured;
}

async function secureInbound(
  parts: GateParts,
  handshake: Handshake,
  connection: MessageStream,
  options: SecureConnectionOptions | undefined,
): Promise<SecuredConnection> {
  const signal = options?.signal;
  if (signal === undefined) throw new Error('an arriving connection without a deadline');
  try {
    sendWhole(connection);
    const { door, admission } = await answerPreface(parts, connection, signal);
    const secured = await handshake(door, admission.secret).secureInbound(connection, options);
    parts.onProven(connection, door);
    return secured;
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    parts.log?.debug('an arriving handshake failed', { from: parts.remoteAddressOf(connection), problem });
    throw error;
  }
}

/** Reads the preface and answers it; throws after a refusal. */
async function answerPreface(parts: GateParts, connection: MessageStream, signal: AbortSignal) {
  const reader = createStreamReader(connection, signal);
  try {
    const head = decodePrefaceHead(await reader.read(PREFACE_HEAD));
    if (!head.ok) {
      if (head.problem === 'version') await refuse(connection, WRONG_VERSION, signal);
      throw new Error(`not our preface: ${head.problem}`);
    }
    const door = decodeDoorName(await reader.read(head.nameLength));
    if (door === undefined) throw new Error('not our preface: name');
    const remoteAddress = parts.remoteAddressOf(connection);
    const admission: Admission = parts.limiter.admit(remoteAddress)
      ? parts.doorkeeper(door, remoteAddress)
      : { admit: false, reason: 'busy' };
    if (!admission.admit) {
      await refuse(connection, encodeRefusal(admission.reason), signal);
      throw new Error(`refused: ${admission.reason}`);
    }
    connection.send(Uint8Array.of(ADMITTED));
    return { door, admission };
  } finally {
    reader.release();
  }
}

/** Closes in order, so that the one byte is not lost to a reset. */
async function refuse(connection: MessageStream, code: number, signal: AbortSignal): Promise<void> {
  connection.send(Uint8Array.of(code));
  await connection.close({ signal }).catch(() => {});
}
