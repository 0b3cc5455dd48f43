import type { MessageFate } from '../chat/fates.ts';
import type { ApiRoute } from './api.ts';

/** The API's answer to what became of a message. */
export interface ToldFate {
  readonly room: string;
  /** Its place in the room's log. */
  readonly number: number;
  readonly messageId: string;
  readonly from: string;
  /** `everyone`, or the one it was for. */
  readonly to: string;
  readonly at: string;
  readonly recipients: readonly {
    readonly user: string;
    readonly endpoint: string;
    readonly fate: string;
    readonly detail?: string;
  }[];
}

/**
 * `GET /api/messages/:id`: what became of the messages with this Message-ID (the sender's, or that of an IMDN) for each
 * recipient. Known for the latest messages of rooms that are alive.
 */
export function messageRoutes(why: (id: string) => readonly MessageFate[]): readonly ApiRoute[] {
  return [
    {
      method: 'GET',
      path: '/api/messages/:id',
      handle: ({ params: { id = '' } }) => {
        const found = why(id);
        if (found.length > 0) return { status: 200, body: { messages: found.map(told) } };
        return {
          status: 404,
          body: { reason: `nothing is known of a message ${id}: it is too old, or its room is empty` },
        };
      },
    },
  ];
}

function told({ room, n, said, recipients }: MessageFate): ToldFate {
  return {
    room,
    number: n,
    messageId: said.messageId,
    from: said.by,
    to: said.audience.to === 'everyone' ? 'everyone' : said.audience.user,
    at: new Date(said.at).toISOString(),
    recipients: recipients.map(({ user, endpoint, fate }) => ({
      user,
      endpoint,
      fate: fate.is,
      ...('detail' in fate ? { detail: fate.detail } : {}),
    })),
  };
}
