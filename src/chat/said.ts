import type { Millis, Said } from '../conference/events.ts';
import { imdnIdOf } from './dispositions.ts';
import type { Message, Posting } from './post.ts';
import type { Speaker } from './speaker.ts';

/** A posting as the event that it becomes when it is said. */
export function saidOf(speaker: Speaker, posting: Posting, post: Message, at: Millis): Said {
  const { user: by, endpoint } = speaker;
  const { messageId, contentType, body: cpim } = posting;
  const { audience, wrappedType } = post;
  const said: Said = { type: 'said', at, by, endpoint, messageId, audience, contentType, wrappedType, cpim };
  const imdnId = imdnIdOf(post.cpim);
  return imdnId === undefined ? said : { ...said, imdnId };
}
