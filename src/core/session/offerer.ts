import { equalBytes } from '../bytes.ts';
import { createKeyRing } from './key-ring.ts';
import { deriveKeys } from './keys.ts';
import { createLives } from './lives.ts';
import type { Session, SessionAction, SessionParts, SessionStatus } from './session.ts';
import { earliest, REKEY_AFTER, retryDelay, UNUSED_LOOK } from './timing.ts';
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

/** An offer under way. */
interface Pending {
  readonly offer: Offer;
  readonly bytes: Uint8Array;
  /** X25519 private key, zeroed as soon as the offer is answered or given up. */
  readonly secret: Uint8Array;
  readonly made: number;
  tries: number;
  nextTry: number;
}

/** How long one ephemeral key is offered. */
const OFFER_LIFE = 60_000;
/** Between two offers that somebody else asked for. */
const ASKED_INTERVAL = 500;
/** The same, for another life each time. */
const NEW_LIFE_INTERVAL = 100;
/** Between two keys for a peer that says it has none. */
const LOST_INTERVAL = 10_000;
/** A new key must be proven within this time, doubled with each failure up to the longest. */
const PROOF_TIME = 5_000;
const LONGEST_PROOF_TIME = 60_000;

export function createOfferer(parts: SessionParts): Session {
  const { crypto, identity, mesh, peer, boot, suites, random, newIndex, newEpoch, traffic } = parts;
  const ring = createKeyRing();
  const lives = createLives();
  const outward = { mesh, from: identity.peer, to: peer };
  const inward = { mesh, from: peer, to: identity.peer };
  let pending: Pending | undefined;
  let wanted = false;
  let lastAsked = Number.NEGATIVE_INFINITY;
  let rekeyAt: number | undefined;
  /** When the key in use is old enough to be replaced, once it has been used. */
  let renewAt: number | undefined;
  /** When it was proven. */
  let trafficThen = 0n;
  let proofAt: number | undefined;
  let provenAt = Number.NEGATIVE_INFINITY;
  let failures = 0;
  let since: number | undefined;
  let lastError: string | undefined;
  let rejected = 0;

  const keys = (): SessionAction => ({ type: 'keys', keys: ring.list() });
  const jittered = (delay: number) => delay * (0.9 + 0.2 * random.fraction());

  /** A key with another life of the peer is of no use any more. */
  const isStale = () =>
    ring.current !== undefined && lives.present !== undefined && ring.current.peerBoot !== lives.present;
  const isProving = () => proofAt !== undefined && ring.next?.peerBoot === lives.present;
  const lacksKey = () => (ring.current === undefined || isStale()) && !isProving();

  function dropOffer(): void {
    pending?.secret.fill(0);
    pending = undefined;
  }

  function makeOffer(now: number): readonly SessionAction[] {
    dropOffer();
    const secret = random.bytes(32);
    const offer: Offer = {
      kind: 'offer',
      boot,
      toBoot: lives.present,
      epoch: newEpoch(),
      index: newIndex(),
      ephemeral: crypto.agreementPublicKey(secret),
      suites,
    };
    const bytes = signMessage(offer, outward, identity, crypto);
    pending = { offer, bytes, secret, made: now, tries: 0, nextTry: now };
    rekeyAt = undefined;
    renewAt = undefined;
    return sendOffer(pending, now);
  }

  function sendOffer(one: Pending, now: number): readonly SessionAction[] {
    if (one.tries > 0) lastError = 'the peer does not answer the offer of a key';
    one.nextTry = now + jittered(retryDelay(one.tries));
    one.tries++;
    return [{ type: 'send', bytes: one.bytes }];
  }

  function onAnswer(answer: Answer, bytes: Uint8Array, now: number): readonly SessionAction[] {
    const one = pending;
    if (one === undefined || !isAnswerTo(answer, one) || !isSigned(bytes, inward, crypto)) return reject();
    const shared = crypto.agree(one.secret, answer.ephemeral);
    const { offer, bytes: offerBytes } = one;
    dropOffer();
    if (shared === undefined) return fail('the peer sent a weak key');
    const exchange = {
      mesh,
      offerer: identity.peer,
      answerer: peer,
      offer,
      offerBytes,
      answer,
      answerBytes: bytes,
    };
    const { fromOfferer, fromAnswerer } = deriveKeys(shared, exchange, crypto);
    shared.fill(0);
    const key = {
      receiveIndex: offer.index,
      sendIndex: answer.index,
      receiveKey: fromAnswerer,
      sendKey: fromOfferer,
      suite: answer.suite,
      epoch: offer.epoch,
      peerBoot: answer.boot,
    };
    lives.heard(answer.boot);
    ring.add(key, true, now);
    proofAt = now + Math.min(PROOF_TIME * 2 ** failures, LONGEST_PROOF_TIME);
    return [keys()];
  }

  /** The suite must be the best that both have: nobody in between gets a worse one chosen, not even by replaying. */
  function isAnswerTo(answer: Answer, { offer, bytes }: Pending): boolean {
    return (
      answer.boot === offer.toBoot &&
      answer.toBoot === boot &&
      answer.epoch === offer.epoch &&
      answer.suite === chooseSuite(suites, answer.suites) &&
      equalBytes(answer.offerHash, crypto.hash(bytes))
    );
  }

  /** It is about another key than the one in use. A peer that lost its keys without a restart knows of none. */
  function isOld({ boot: life, epoch }: Ask, now: number): boolean {
    const key = ring.current;
    if (pending !== undefined || key?.peerBoot !== life || key.epoch === epoch) return false;
    return epoch !== 0 || now - provenAt < LOST_INTERVAL;
  }

  /** Nothing in an ask tells when it was made: it is a hint, and worth one offer to the life that it names. */
  function onAsk(ask: Ask, bytes: Uint8Array, now: number): readonly SessionAction[] {
    if (isOld(ask, now) || lives.isOver(ask.boot)) return reject();
    const isNewLife = ask.boot !== (pending?.offer.toBoot ?? lives.present);
    if (now - lastAsked < (isNewLife ? NEW_LIFE_INTERVAL : ASKED_INTERVAL)) return [];
    if (!isSigned(bytes, inward, crypto)) return reject();
    lastAsked = now;
    lives.heard(ask.boot);
    wanted = true;
    if (pending !== undefined && !isNewLife) return sendOffer(pending, now);
    // An unproven key with this life has its own time to be proven in.
    return isProving() ? [] : makeOffer(now);
  }

  function onCorrection(correction: Correction, bytes: Uint8Array, now: number): readonly SessionAction[] {
    const isFresh = correction.epoch === pending?.offer.epoch && correction.toBoot === boot;
    if (!isFresh || correction.boot === pending?.offer.toBoot || !isSigned(bytes, inward, crypto))
      return reject();
    lives.proven(correction.boot);
    return makeOffer(now);
  }

  function reject(): readonly SessionAction[] {
    rejected++;
    return [];
  }

  function fail(error: string): readonly SessionAction[] {
    lastError = error;
    return [];
  }

  function onConfirmed(receiveIndex: number, now: number): readonly SessionAction[] {
    const before = ring.current;
    if (!ring.confirm(receiveIndex, now)) return [];
    const { peerBoot } = ring.current as NonNullable<typeof before>;
    // A packet of a life that is over may have been under way.
    if (peerBoot === lives.present) lives.proven(peerBoot);
    if (before?.peerBoot !== peerBoot) since = now;
    provenAt = now;
    proofAt = undefined;
    failures = 0;
    lastError = undefined;
    rekeyAt = undefined;
    renewAt = now + jittered(REKEY_AFTER);
    trafficThen = traffic();
    return [keys()];
  }

  function onTimer(now: number): readonly SessionAction[] {
    const actions: SessionAction[] = [];
    let changed = ring.expire(now);
    if (proofAt !== undefined && now >= proofAt) {
      proofAt = undefined;
      failures = Math.min(failures + 1, 10);
      lastError = 'no packet comes back under the new key: is the UDP port of the peer reachable?';
      if (ring.fallBack()) changed = true;
      actions.push({ type: 'unanswered' });
      if (pending === undefined) rekeyAt = now;
    }
    if (changed) actions.push(keys());
    if (!wanted) return actions;
    if (pending !== undefined && now >= pending.nextTry) {
      actions.push(...(now - pending.made >= OFFER_LIFE ? makeOffer(now) : sendOffer(pending, now)));
    }
    if (isRekeyDue(now)) actions.push(...makeOffer(now));
    return actions;
  }

  function isRekeyDue(now: number): boolean {
    if (rekeyAt !== undefined && now >= rekeyAt) return true;
    if (renewAt === undefined || now < renewAt) return false;
    if (traffic() !== trafficThen) return true;
    renewAt = now + jittered(UNUSED_LOOK);
    return false;
  }

  function onMessage(bytes: Uint8Array, now: number): readonly SessionAction[] {
    const message = readMessage(bytes);
    if (message?.kind === 'answer') return onAnswer(message, bytes, now);
    if (message?.kind === 'ask') return onAsk(message, bytes, now);
    return message?.kind === 'correction' ? onCorrection(message, bytes, now) : reject();
  }

  function status(): SessionStatus {
    const key = ring.current ?? ring.next;
    const established = ring.current !== undefined && !isStale();
    return {
      role: 'offers',
      state: established
        ? 'established'
        : key !== undefined
          ? 'agreed'
          : pending !== undefined
            ? 'negotiating'
            : 'idle',
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
          return lacksKey() && pending === undefined ? makeOffer(now) : onTimer(now);
        case 'pause':
          wanted = false;
          // The peer may have answered, and hold a key that this side does not: it is owed another offer.
          if (pending !== undefined) rekeyAt = now;
          dropOffer();
          return [];
        case 'rekey':
          return pending === undefined && ring.next === undefined ? makeOffer(now) : [];
        case 'announced':
          lives.announced(event.boot);
          return wanted && lacksKey() && pending?.offer.toBoot !== event.boot ? makeOffer(now) : [];
        case 'message':
          return onMessage(event.bytes, now);
        case 'confirmed':
          return onConfirmed(event.receiveIndex, now);
        case 'timer':
          return onTimer(now);
      }
    },
    indexes: () => [
      ...ring.list().map(({ receiveIndex }) => receiveIndex),
      ...(pending === undefined ? [] : [pending.offer.index]),
    ],
    nextAt() {
      const times = [
        ring.nextAt(),
        proofAt,
        wanted ? pending?.nextTry : undefined,
        wanted ? rekeyAt : undefined,
        wanted ? renewAt : undefined,
      ];
      return earliest(times);
    },
    status,
  };
}
