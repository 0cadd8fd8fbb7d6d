import { toHex } from '../../../src/core/bytes.ts';
import type { Crypto, Identity } from '../../../src/core/crypto.ts';
import type { MeshId } from '../../../src/core/ids.ts';
import { createSession } from '../../../src/core/session/create.ts';
import type { DataKey } from '../../../src/core/session/keys.ts';
import type { Session, SessionEvent } from '../../../src/core/session/session.ts';
import { SUITES, type Suite } from '../../../src/core/session/wire.ts';
import { createVirtualClock, type VirtualClock } from '../../../src/ports/memory/clock.ts';
import { createMemoryCrypto } from '../../../src/ports/memory/crypto.ts';
import { createSeededRandom } from '../../../src/ports/memory/random.ts';

export const MESH = 'cd'.repeat(32) as MeshId;

/** One peer with a data path that is as simple as can be: it notes keys, and proves those that packets come under. */
export interface Side {
  readonly identity: Identity;
  boot: string;
  session: Session;
  keys: readonly DataKey[];
  /** Every key that the data path ever had, by receive index. */
  readonly everKeys: Map<number, DataKey>;
  readonly proven: Set<number>;
  unanswered: number;
  step(event: SessionEvent): void;
  /** A daemon that starts anew: other keys, another boot id. */
  restart(suites?: readonly Suite[]): void;
  sendKey(): DataKey | undefined;
}

export interface Pair {
  readonly clock: VirtualClock;
  readonly crypto: Crypto;
  /** The one that makes offers, and the one that answers. */
  readonly offerer: Side;
  readonly answerer: Side;
  /** What becomes of a message on the way: the messages that arrive instead. */
  onMessage: (from: Side, bytes: Uint8Array) => readonly Uint8Array[];
  /** Whether a packet gets through. */
  onPacket: (from: Side) => boolean;
  /** All messages that were sent. */
  readonly said: { readonly from: Side; readonly bytes: Uint8Array }[];
  /** The application of `from` sends a packet; true when it was received. */
  send(from: Side): boolean;
  want(): void;
}

export interface PairOptions {
  readonly crypto?: Crypto;
  readonly seed?: string;
  readonly suites?: readonly [readonly Suite[], readonly Suite[]];
  /** Of messages and packets, ms. */
  readonly latency?: number;
  /** Each side knows from a record who the other is now; default true. */
  readonly announce?: boolean;
}

export function createPair(options: PairOptions = {}): Pair {
  const {
    crypto = createMemoryCrypto(),
    seed = 'pair',
    suites = [SUITES, SUITES],
    latency = 1,
    announce = true,
  } = options;
  const clock = createVirtualClock();
  const random = createSeededRandom(seed);
  /** Of applications, both ways. */
  let packets = 0n;
  const identities = [newIdentity(), newIdentity()].sort((a, b) => (a.peer < b.peer ? -1 : 1));

  function newIdentity(): Identity {
    const secret = random.bytes(32);
    const publicKey = crypto.publicKey(secret);
    return { seed: secret, publicKey, peer: crypto.peerId(publicKey) };
  }

  function createSide(place: 0 | 1): Side {
    const identity = identities[place] as Identity;
    const peer = (identities[1 - place] as Identity).peer;
    let timer = clock.setTimer(0, () => {});
    let life = 0;
    const other = () => (place === 0 ? pair.answerer : pair.offerer);

    function open(boot: string, offered: readonly Suite[]): Session {
      let epoch = 0;
      const newEpoch = () => ++epoch;
      const newIndex = () => 1 + Math.floor(random.fraction() * 0xffff_fffe);
      return createSession({
        crypto,
        identity,
        mesh: MESH,
        peer,
        boot,
        suites: offered,
        random,
        newIndex,
        newEpoch,
        traffic: () => packets,
      });
    }

    const side: Side = {
      identity,
      boot: toHex(random.bytes(8)),
      session: undefined as unknown as Session,
      keys: [],
      everKeys: new Map(),
      proven: new Set(),
      unanswered: 0,
      step(event) {
        const now = clock.now();
        for (const action of side.session.step(event, now)) {
          if (action.type === 'unanswered') side.unanswered++;
          else if (action.type === 'keys') setKeys(action.keys);
          else {
            pair.said.push({ from: side, bytes: action.bytes });
            for (const bytes of pair.onMessage(side, action.bytes)) {
              clock.setTimer(latency, () => other().step({ type: 'message', bytes }));
            }
          }
        }
        timer.cancel();
        const next = side.session.nextAt();
        const born = life;
        if (next !== undefined) {
          timer = clock.setTimer(next - now, () => {
            if (born === life) side.step({ type: 'timer' });
          });
        }
      },
      restart(offered = suites[place]) {
        life++;
        side.boot = toHex(random.bytes(8));
        side.session = open(side.boot, offered);
        side.keys = [];
        side.proven.clear();
        if (announce) {
          side.step({ type: 'announced', boot: other().boot });
          clock.setTimer(latency, () => other().step({ type: 'announced', boot: side.boot }));
        }
      },
      sendKey: () => side.keys.find(({ send }) => send),
    };

    function setKeys(keys: readonly DataKey[]): void {
      const before = side.sendKey()?.receiveIndex;
      side.keys = keys;
      for (const key of keys) side.everKeys.set(key.receiveIndex, key);
      const after = side.sendKey()?.receiveIndex;
      // The empty packet under a key that is used for the first time.
      if (after !== undefined && after !== before) transmit(side);
    }

    side.session = open(side.boot, suites[place]);
    return side;
  }

  function transmit(from: Side): boolean {
    const to = from === pair.offerer ? pair.answerer : pair.offerer;
    const key = from.sendKey();
    if (key === undefined || !pair.onPacket(from)) return false;
    clock.setTimer(latency, () => {
      const fitting = to.keys.find(({ receiveIndex }) => receiveIndex === key.sendIndex);
      if (fitting === undefined || Buffer.compare(fitting.receiveKey, key.sendKey) !== 0) return;
      if (to.proven.has(fitting.receiveIndex)) return;
      to.proven.add(fitting.receiveIndex);
      to.step({ type: 'confirmed', receiveIndex: fitting.receiveIndex });
    });
    return to.keys.some(({ receiveIndex }) => receiveIndex === key.sendIndex);
  }

  const pair: Pair = {
    clock,
    crypto,
    offerer: undefined as unknown as Side,
    answerer: undefined as unknown as Side,
    onMessage: (_from, bytes) => [bytes],
    onPacket: () => true,
    said: [],
    send(from) {
      if (from.sendKey() !== undefined) packets++;
      return transmit(from);
    },
    want() {
      pair.offerer.step({ type: 'want' });
      pair.answerer.step({ type: 'want' });
    },
  };
  const sides = pair as { offerer: Side; answerer: Side };
  sides.offerer = createSide(0);
  sides.answerer = createSide(1);
  if (announce) {
    pair.offerer.step({ type: 'announced', boot: pair.answerer.boot });
    pair.answerer.step({ type: 'announced', boot: pair.offerer.boot });
  }
  return pair;
}

/** Both send under keys that the other has, with the right directions. */
export function isUp({ offerer, answerer }: Pair): boolean {
  const [out, back] = [offerer.sendKey(), answerer.sendKey()];
  if (out === undefined || back === undefined) return false;
  const fits = (key: DataKey, side: Side) =>
    side.keys.some(
      (other) =>
        other.receiveIndex === key.sendIndex &&
        Buffer.compare(other.receiveKey, key.sendKey) === 0 &&
        other.suite === key.suite,
    );
  return (
    fits(out, answerer) &&
    fits(back, offerer) &&
    offerer.session.status().state === 'established' &&
    answerer.session.status().state === 'established'
  );
}
