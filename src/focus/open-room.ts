import { SipError } from '../../sip/index.ts';
import type { ConferenceHost, Release } from '../chat/host.ts';
import type { ChatRoom } from '../chat/room.ts';
import type { RoomUri } from '../conference/ids.ts';
import { LogReadError } from '../log/room-log.ts';

/** A room, and what lets it go again. */
export interface OpenRoom {
  readonly room: ChatRoom;
  readonly release: Release;
}

/**
 * The room for somebody who calls or subscribes. Undefined when there is no such room. Rejects with `SipError`: 503 when its
 * lasting state cannot be read (who is banned, and who is an owner, is not known then), 480 when no further room may live:
 * a 503 would keep clients from the rooms that do (RFC 3261 §21.5.4).
 */
export async function openRoom(
  host: ConferenceHost,
  uri: RoomUri,
  as: 'leg' | 'watcher',
): Promise<OpenRoom | undefined> {
  try {
    const opened = await host.open(uri, as);
    if (opened !== undefined || !host.exists(uri)) return opened;
  } catch (fault) {
    if (!(fault instanceof LogReadError)) throw fault;
    throw new SipError(503, 'the log of this room cannot be read', [
      { name: 'Retry-After', value: '30' },
      { name: 'Warning', value: '399 focus "The log of this room cannot be read"' },
    ]);
  }
  throw new SipError(480, 'too many rooms', [
    { name: 'Retry-After', value: '30' },
    { name: 'Warning', value: '399 focus "There are as many rooms as may be (rooms.maximum)"' },
  ]);
}
