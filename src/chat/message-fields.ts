import type { MessageFields, Millis } from '../conference/events.ts';
import { imdnIdOf } from './dispositions.ts';
import type { Message, Posting } from './post.ts';
import type { Speaker } from './speaker.ts';

/** What an event has of a message, whether it is said at once or opened piece by piece. */
export function messageFields(speaker: Speaker, posting: Posting, post: Message, at: Millis): MessageFields {
  const imdnId = imdnIdOf(post.cpim);
  return {
    at,
    by: speaker.user,
    endpoint: speaker.endpoint,
    messageId: posting.messageId,
    audience: post.audience,
    contentType: posting.contentType,
    wrappedType: post.wrappedType,
    ...(imdnId === undefined ? {} : { imdnId }),
  };
}
