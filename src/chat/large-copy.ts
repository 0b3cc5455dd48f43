import { randomBytes } from 'node:crypto';
import { type CpimMessage, formatCpim } from '../../msrp/index.ts';
import type { Opened, Said } from '../conference/events.ts';
import { type EventNumber, streamId, type StreamId } from '../conference/ids.ts';
import { Copy } from './copy.ts';
import { fileNameOf } from './file-name.ts';
import { sizeOf } from './marks.ts';

/** A large message on its way: what stands for it where it cannot go itself, and its octets as they come. */
export class LargeCopy extends Copy {
  readonly opened: Opened;

  constructor(opened: Opened, n: EventNumber) {
    super(noteOf(opened), n);
    this.opened = opened;
  }
}

/** The line that stands for a large message, as if its author had said it. */
export function noteOf(opened: Opened): Said {
  const { at, by, endpoint, messageId: id, audience, imdnId, cpim } = opened;
  return {
    type: 'said',
    at,
    by,
    messageId: id,
    audience,
    contentType: 'message/cpim',
    wrappedType: 'text/plain',
    cpim,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(imdnId === undefined ? {} : { imdnId }),
  };
}

/** Renders that line: who sends what, of which type and size, addressed as the message itself is. */
export function formatNote(cpim: CpimMessage, size: number | undefined, now: number): Uint8Array {
  const name = fileNameOf(cpim);
  const parts = [name, cpim.contentType.mediaType, size === undefined ? undefined : sizeOf(size)];
  return formatCpim({
    ...(cpim.from === undefined ? {} : { from: cpim.from }),
    to: cpim.to,
    dateTime: cpim.dateTime ?? new Date(now),
    contentType: 'text/plain; charset=utf-8',
    content: `[${parts.filter((part) => part !== undefined).join(', ')}]`,
  });
}

/** A key for a stream: never used twice. */
export function newStreamId(): StreamId {
  return streamId(randomBytes(9).toString('base64url'));
}
