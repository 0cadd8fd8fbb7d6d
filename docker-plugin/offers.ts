import type { EndpointId } from '../src/core/ids.ts';
import type { Host, OfferedLink, OfferPlan } from '../src/ports/host.ts';

/**
 * Links that are made ahead. Docker asks for one with Join, a moment after CreateEndpoint has said all that is needed to make it, and a container
 * does not start before it has the answer.
 */
export interface Offers {
  /** Begins; an error is told to whoever takes it. */
  make(plan: OfferPlan): void;
  /** The one that was begun, or a new one. */
  take(plan: OfferPlan): Promise<OfferedLink>;
  /** Before the endpoint is unplugged. */
  forget(endpoint: EndpointId): void;
}

export function createOffers(host: Pick<Host, 'offerLink'>): Offers {
  const begun = new Map<EndpointId, Promise<OfferedLink | undefined>>();
  return {
    make(plan) {
      // What went wrong may have passed until Join; if not, it is said there.
      begun.set(
        plan.endpoint,
        host.offerLink(plan).catch(() => undefined),
      );
    },
    async take(plan) {
      const made = await begun.get(plan.endpoint);
      // A second Join of Docker's may follow a Leave: the link is looked at again.
      begun.delete(plan.endpoint);
      return made ?? host.offerLink(plan);
    },
    forget: (endpoint) => void begun.delete(endpoint),
  };
}
