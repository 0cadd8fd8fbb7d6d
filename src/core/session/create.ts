import { createAnswerer } from './answerer.ts';
import { createOfferer } from './offerer.ts';
import type { Session, SessionParts } from './session.ts';

/** Of two peers the one with the smaller id makes the offers. */
export function createSession(parts: SessionParts): Session {
  return parts.identity.peer < parts.peer ? createOfferer(parts) : createAnswerer(parts);
}
