import { formatCpim } from '../../msrp/index.ts';
import { messageId, type RoomUri, type UserUri, userUri } from '../conference/ids.ts';
import type { Millis, Said } from '../conference/events.ts';
import { randomBytes } from 'node:crypto';
import { Copy } from './copy.ts';

/** The namespace under which clients of the sipsimple family know a line that is no participant's. */
const STATUS_NAMESPACE = 'urn:ag-projects:xml:ns:cpim';

/**
 * A line that the room itself says; it is not kept.
 * @param shown the room's URI as the readers know it: a To that is not their room would be a private message to them
 */
export function roomLine(room: RoomUri, shown: string, text: string, now: Millis): Copy {
  const cpim = formatCpim({
    from: { uri: shown },
    to: [{ uri: shown }],
    dateTime: new Date(now),
    extensions: [{ namespace: STATUS_NAMESPACE, prefix: 'agp', name: 'Message-Type', value: 'status' }],
    contentType: 'text/plain; charset=utf-8',
    content: text,
  });
  const said: Said = {
    type: 'said',
    at: now,
    by: roomAsUser(room),
    messageId: messageId(randomBytes(12).toString('hex')),
    audience: { to: 'everyone' },
    contentType: 'message/cpim',
    wrappedType: 'text/plain',
    cpim,
  };
  return new Copy(said);
}

/** The room as the author of its own lines. */
const roomAsUser = (room: RoomUri): UserUri => userUri(room);
