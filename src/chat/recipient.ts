import type { EndpointId, EventNumber, UserUri } from '../conference/ids.ts';
import type { Copy } from './copy.ts';
import type { LargeCopy } from './large-copy.ts';
import type { SharedStream } from './shared-stream.ts';

/**
 * What the switch delivers to: one endpoint of one user, over MSRP, over SIP MESSAGE, or through a gateway. It decides
 * for itself what its peer can take (accept-wrapped-types, private messages), and it never waits.
 */
export interface Recipient {
  readonly endpoint: EndpointId;
  readonly user: UserUri;
  /** The URI under which its peer knows the room: lines of the room itself bear it. */
  readonly roomUri: string;
  /** Whether its peer knows that it is in a chat room (RFC 7701 §8); if not, it is told so in words (§11). */
  readonly knowsRooms: boolean;
  /** Whether its peer knows how to show a private message (RFC 7701 §6.2, §8). */
  readonly takesPrivate: boolean;
  /** Octets that wait for its peer; `Infinity` when there is place for no more messages of the past. */
  readonly backlog: number;
  /** Octets that may wait for its peer before something is left out. */
  readonly maxBacklog: number;
  /** How many messages are on their way to its peer, which cannot have read them. */
  readonly underWay: number;
  /** Whether the message of that number waits to be sent to its peer, or for the peer's answer. */
  waits(n: EventNumber): boolean;
  /** Whether that message goes to its peer in pieces, of which the last has not gone out. */
  isInPieces(n: EventNumber): boolean;
  /**
   * The same with a large message; where its peer cannot take it, `copy` itself is delivered, a line that stands for it,
   * and the room's `fates` hear why.
   */
  deliverLarge(copy: LargeCopy, stream: SharedStream): void;
  /** All that comes after that message is given to it now, so that what it had lost of that is lost no more. */
  goesOnAfter?(n: EventNumber): void;
  /** The message of that number was taken back: as far as it has not gone out to its peer, it does not. */
  takeBack(n: EventNumber): void;
  /** Queues the message towards the peer, or drops it and says so to the room's `fates`. */
  deliver(copy: Copy): void;
}
