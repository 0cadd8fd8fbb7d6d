import type { Clock } from '../../ports/clock.ts';
import { callPluginSocket } from './call.ts';

/** What a weftd that starts, or `weft down`, asks of whoever stands in for one that was killed. None of Docker's methods. */
export const DISMISS = 'Weft.Dismiss';
const PATIENCE = 2_000;

/**
 * Ends the stand-in that a killed daemon left behind, and takes its socket away. Does nothing to one whose daemon lives, and nothing when
 * nobody listens: whoever needs the socket finds out by binding it.
 */
export async function dismissStandIn(socket: string, clock: Clock): Promise<void> {
  const abort = new AbortController();
  const timer = clock.setTimer(PATIENCE, () => abort.abort());
  try {
    await callPluginSocket({ socket, method: DISMISS, body: '{}', signal: abort.signal });
  } catch {
    // Nobody there, or somebody who does not answer.
  } finally {
    timer.cancel();
  }
}
