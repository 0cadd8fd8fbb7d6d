import { equalBytes } from '../bytes.ts';
import { createKeyRing } from './key-ring.ts';
import { deriveKeys } from './keys.ts';
import { createLives } from './lives.ts';
import type { Session, SessionAction, SessionParts, SessionStatus } from './session.ts';
import { earliest, REKEY_AFTER, retryDelay } from './timing.ts';
import {
  type Answer,
  type Ask,
  type Correction,
  chooseSuite,
  isSigned,
  type Offer,
  readMessage,
  signMessage,
} from './wire.ts';

/** The last offer that was answered: repeated, it is answered again with the same bytes. */
interface Answered {
  readonly offer: Offer;
  readonly offerBytes: Uint8Array;
  readonly answerBytes: Uint8Array;
  readonly at: number;
  /** When the answer was last sent. */
  sent: number;
}

/** The offerer makes the first packet; one that cannot reach this peer needs one from here first (a NAT on this side). */
const SEND_FIRST_AFTER = 500;
/** An offer that came is given this long before another one is asked for. */
const PROOF_TIME = 5_000;
/** The offerer has missed its time for a new key. */
const OVERDUE_AFTER = REKEY_AFTER * 1.5;
/** Between two answers to one offer: whoever repeats it does not get more said than that. */
const REPEAT_INTERVAL = 200;
/** Lives of the offerer for which corrections are remembered. */
const MOST_CORRECTED = 16;

export function createAnswerer(parts: SessionParts): Session {
  const { crypto, identity, mesh, peer, boot, suites, random, newIndex, traffic } = parts;
  const ring = createKeyRing();
  const lives = createLives();
  const outward = { mesh, from: identity.peer, to: peer };
  const inward = { mesh, from: peer, to: identity.peer };
  let answered: Answered | undefined;
  /** The last offer of each life of the offerer that was meant for another life of this peer. */
  const corrected = new Map<string, { readonly epoch: number; readonly at: number }>();
  let wanted = false;
  let asks = 0;
  let askAt: number | undefined;
  let overdueAt: number | undefined;
  /** When the key in use was proven. */
  let trafficThen = 0n;
  let sendFirstAt: number | undefined;
  let since: number | undefined;
  let lastError: string | undefined;
  let rejected = 0;

  const keys = (): SessionAction => ({ type: 'keys', keys: ring.list() });
  const isStale = () =>
    ring.current !== undefined && lives.present !== undefined && ring.current.peerBoot !== lives.present;
  const lacksProven = () => ring.current === undefined || isStale();
  const isProving = (now: number) => ring.next !== undefined && now - (answered?.at ?? 0) < PROOF_TIME;

  function ask(now: number): readonly SessionAction[] {
    if (asks > 0) lastError ??= 'the peer makes no offer of a key although it was asked';
    const delay = retryDelay(asks);
    askAt = now + delay * (0.9 + 0.2 * random.fraction());
    asks = Math.min(asks + 1, 10);
    return [sendAsk()];
  }

  function sendAsk(): SessionAction {
    const message: Ask = {
      kind: 'ask',
      boot,
      toBoot: lives.present,
      epoch: (ring.next ?? ring.current)?.epoch ?? 0,
    };
    return { type: 'send', bytes: signMessage(message, outward, identity, crypto) };
  }

  function reject(): readonly SessionAction[] {
    rejected++;
    return [];
  }

  function onOffer(offer: Offer, bytes: Uint8Array, now: number): readonly SessionAction[] {
    if (answered !== undefined && equalBytes(bytes, answered.offerBytes)) {
      if (now - answered.sent < REPEAT_INTERVAL) return [];
      answered.sent = now;
      return [{ type: 'send', bytes: answered.answerBytes }];
    }
    if (lives.isOver(offer.boot)) return reject();
    if (offer.toBoot !== boot) return correct(offer, bytes, now);
    if (offer.epoch <= lives.epochOf(offer.boot) || !isSigned(bytes, inward, crypto)) return reject();
    // Whatever becomes of it: no offer is taken twice.
    lives.noteEpoch(offer.boot, offer.epoch);
    const suite = chooseSuite(suites, offer.suites);
    if (suite === undefined) {
      lastError = 'the peer has no cipher that this host has';
      return [];
    }
    return answer(offer, bytes, suite, now);
  }

  /** The offerer knows this peer by another life. Old offers of that kind get no correction: a newer one had its own. */
  function correct(offer: Offer, bytes: Uint8Array, now: number): readonly SessionAction[] {
    const before = corrected.get(offer.boot);
    const isRepeated = before?.epoch === offer.epoch && now - before.at < REPEAT_INTERVAL;
    if ((before?.epoch ?? 0) > offer.epoch || isRepeated || !isSigned(bytes, inward, crypto)) return reject();
    corrected.set(offer.boot, { epoch: offer.epoch, at: now });
    const [oldest] = corrected.keys();
    if (corrected.size > MOST_CORRECTED && oldest !== undefined) corrected.delete(oldest);
    const message: Correction = { kind: 'correction', boot, toBoot: offer.boot, epoch: offer.epoch };
    return [{ type: 'send', bytes: signMessage(message, outward, identity, crypto) }];
  }

  function answer(
    offer: Offer,
    offerBytes: Uint8Array,
    suite: Answer['suite'],
    now: number,
  ): readonly SessionAction[] {
    const secret = random.bytes(32);
    const ephemeral = crypto.agreementPublicKey(secret);
    const shared = crypto.agree(secret, offer.ephemeral);
    secret.fill(0);
    if (shared === undefined) {
      lastError = 'the peer sent a weak key';
      return reject();
    }
    const { epoch } = offer;
    const offerHash = crypto.hash(offerBytes);
    const share = { boot, toBoot: offer.boot, epoch, index: newIndex(), ephemeral, suites };
    const message: Answer = { kind: 'answer', ...share, suite, offerHash };
    const answerBytes = signMessage(message, outward, identity, crypto);
    const exchange = {
      mesh,
      offerer: peer,
      answerer: identity.peer,
      offer,
      offerBytes,
      answer: message,
      answerBytes,
    };
    const { fromOfferer, fromAnswerer } = deriveKeys(shared, exchange, crypto);
    shared.fill(0);
    const wasUnproven = ring.next?.peerBoot === offer.boot;
    const indexes = { receiveIndex: message.index, sendIndex: offer.index };
    ring.add(
      { ...indexes, receiveKey: fromOfferer, sendKey: fromAnswerer, suite, epoch, peerBoot: offer.boot },
      false,
      now,
    );
    lives.heard(offer.boot);
    answered = { offer, offerBytes, answerBytes, at: now, sent: now };
    askAt = undefined;
    sendFirstAt = lacksProven() ? now + SEND_FIRST_AFTER : undefined;
    const actions: SessionAction[] = [keys(), { type: 'send', bytes: answerBytes }];
    return wasUnproven ? [...actions, { type: 'unanswered' }] : actions;
  }

  function onConfirmed(receiveIndex: number, now: number): readonly SessionAction[] {
    const before = ring.current;
    if (!ring.confirm(receiveIndex, now)) return [];
    const { peerBoot } = ring.current as NonNullable<typeof before>;
    // A packet of a life that is over may have been under way.
    if (peerBoot === lives.present) lives.proven(peerBoot);
    if (before?.peerBoot !== peerBoot) since = now;
    sendFirstAt = undefined;
    askAt = undefined;
    asks = 0;
    lastError = undefined;
    overdueAt = now + OVERDUE_AFTER;
    trafficThen = traffic();
    return [keys()];
  }

  function onTimer(now: number): readonly SessionAction[] {
    const actions: SessionAction[] = [];
    let changed = ring.expire(now);
    if (sendFirstAt !== undefined && now >= sendFirstAt) {
      sendFirstAt = undefined;
      ring.sendNext();
      // The offerer may know by now from where packets come, but it makes a first packet only under a new key.
      askAt = now + PROOF_TIME;
      changed = true;
    }
    if (changed) actions.push(keys());
    if (!wanted) return actions;
    const isDue = askAt !== undefined && now >= askAt;
    return isOverdue(now) || isDue ? [...actions, ...ask(now)] : actions;
  }

  function isOverdue(now: number): boolean {
    if (overdueAt === undefined || now < overdueAt) return false;
    const used = traffic() !== trafficThen;
    // The offerer looks more often, and so is first.
    overdueAt = used ? undefined : now + OVERDUE_AFTER - REKEY_AFTER;
    return used;
  }

  function onMessage(bytes: Uint8Array, now: number): readonly SessionAction[] {
    const message = readMessage(bytes);
    return message?.kind === 'offer' ? onOffer(message, bytes, now) : reject();
  }

  function status(): SessionStatus {
    const key = ring.current ?? ring.next;
    const established = ring.current !== undefined && !isStale();
    return {
      role: 'answers',
      state: established ? 'established' : key !== undefined ? 'agreed' : asks > 0 ? 'negotiating' : 'idle',
      epoch: key?.epoch,
      suite: key?.suite,
      since: established ? since : undefined,
      lastError,
      rejected,
    };
  }

  return {
    step(event, now) {
      switch (event.type) {
        case 'want':
          wanted = true;
          return lacksProven() && !isProving(now) && askAt === undefined ? ask(now) : onTimer(now);
        case 'pause':
          wanted = false;
          askAt = undefined;
          asks = 0;
          return [];
        case 'rekey':
          return askAt === undefined && ring.next === undefined ? ask(now) : [];
        case 'announced':
          lives.announced(event.boot);
          // A peer that has started anew makes its offer itself; this is for the case that it does not.
          if (wanted && lacksProven() && askAt === undefined && !isProving(now)) askAt = now + retryDelay(0);
          return [];
        case 'message':
          return onMessage(event.bytes, now);
        case 'confirmed':
          return onConfirmed(event.receiveIndex, now);
        case 'timer':
          return onTimer(now);
      }
    },
    nextAt: () => earliest([ring.nextAt(), sendFirstAt, ...(wanted ? [askAt, overdueAt] : [])]),
    indexes: () => ring.list().map(({ receiveIndex }) => receiveIndex),
    status,
  };
}
