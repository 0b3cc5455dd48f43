import type { MessageFields, Millis } from '../conference/events.ts';
import { imdnIdOf } from './dispositions.ts';
import type { Message, Posting } from './post.ts';
import type { Speaker } from './speaker.ts';

/** What an event has of a message, whether it is said at once or opened piece by piece. */
export function messageFields(speaker: Speaker, posting: Posting, post: Message, at: Millis): MessageFields {
  const { user: by, endpoint } = speaker;
  const { messageId, contentType } = posting;
  const { audience, wrappedType } = post;
  const imdnId = imdnIdOf(post.cpim);
  const fields = { at, by, endpoint, messageId, audience, contentType, wrappedType };
  return imdnId === undefined ? fields : { ...fields, imdnId };
}
