import type { EndpointId, UserUri } from '../conference/ids.ts';
import type { Copy } from './copy.ts';

/**
 * What the switch delivers to: one endpoint of one user, over MSRP, over SIP MESSAGE, or through a gateway. It decides
 * for itself what its peer can take (accept-wrapped-types, private messages), and it never waits.
 */
export interface Recipient {
  readonly endpoint: EndpointId;
  readonly user: UserUri;
  /** Whether its peer knows how to show a private message (RFC 7701 §6.2, §8). */
  readonly takesPrivate: boolean;
  /** Octets that wait for its peer. */
  readonly backlog: number;
  /** Queues the message towards the peer, or drops it and says so where such things are counted. */
  deliver(copy: Copy): void;
}
