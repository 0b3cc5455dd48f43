import type { MessageFate } from '../chat/fates.ts';
import type { RoomUri } from '../conference/ids.ts';
import { LogReadError } from '../log/room-log.ts';
import type { ApiRoute } from './api.ts';

/** The API's answer to what became of a message. */
export interface ToldFate {
  /** Its URI as people dial it. */
  readonly room: string;
  /** Its place in the room's log. */
  readonly number: number;
  readonly messageId: string;
  readonly from: string;
  /** `everyone`, or the one it was for. */
  readonly to: string;
  readonly at: string;
  /** What has to be known to read the rest. */
  readonly note?: string;
  readonly recipients: readonly {
    readonly user: string;
    readonly endpoint: string;
    readonly fate: string;
    readonly detail?: string;
  }[];
}

/**
 * `GET /api/messages/:id`: what became of the messages with this Message-ID (the sender's, or that of an IMDN) for each
 * recipient. Of the latest messages of rooms that are alive all is known; of others that are kept, what is on record.
 *
 * @param dialled gives a room's URI as people dial it
 */
export function messageRoutes(
  why: (id: string) => Promise<readonly MessageFate[]>,
  dialled: (room: RoomUri) => string,
): readonly ApiRoute[] {
  return [
    {
      method: 'GET',
      path: '/api/messages/:id',
      handle: async ({ params: { id = '' } }) => {
        const found = await why(id).catch(unread);
        if (found instanceof LogReadError)
          return { status: 503, body: { reason: `the log cannot be read: ${found.message}` } };
        if (found.length > 0) return { status: 200, body: { messages: found.map((fate) => told(fate, dialled)) } };
        return {
          status: 404,
          body: { reason: `nothing is known of a message ${id}: it was not said here, was refused, or is too old` },
        };
      },
    },
  ];
}

function unread(fault: unknown): LogReadError {
  if (fault instanceof LogReadError) return fault;
  throw fault;
}

const ON_RECORD =
  'What became of it is not remembered: the service was started since, its room was empty, or it is too long ago. ' +
  'On record is who was in the room then.';

function told({ room, n, said, recipients, from }: MessageFate, dialled: (room: RoomUri) => string): ToldFate {
  return {
    ...(from === 'log' ? { note: ON_RECORD } : {}),
    room: dialled(room),
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
