/** What tests deliver to. */
import type { Recipient } from '../../src/chat/recipient.ts';
import type { EndpointId, UserUri } from '../../src/conference/ids.ts';

/** A device that knows rooms, takes everything at once, and does nothing with it. */
export function silentDevice(endpoint: EndpointId, user: UserUri, roomUri: string): Recipient {
  return {
    underWay: 0,
    endpoint,
    user,
    roomUri,
    knowsRooms: true,
    takesPrivate: true,
    backlog: 0,
    maxBacklog: Infinity,
    waits: () => false,
    isInPieces: () => false,
    takeBack: () => undefined,
    deliverLarge: () => undefined,
    deliver: () => undefined,
  };
}
