/** The rooms over the API: what is in them, and the same orders that moderators give in the chat. */
import type { ChatRoom } from '../chat/room.ts';
import type { Release } from '../chat/host.ts';
import { reasonOf } from '../chat/refusals.ts';
import type { NoOrder } from '../chat/commands.ts';
import { commandHelp, commandNames, isCommand } from '../chat/commands.ts';
import { banKey } from '../conference/ban-list.ts';
import type { RoomUri } from '../conference/ids.ts';
import { LogReadError } from '../log/room-log.ts';
import type { ApiAnswer, ApiRoute } from './api.ts';

/** What the routes need of the service. */
export interface RoomRoutesParts {
  /** All rooms that are alive. */
  readonly rooms: () => Iterable<ChatRoom>;
  /** The room of a name or a URI, alive until released; undefined: there is none and none may be made. Rejects when the log cannot be read. */
  readonly open: (name: string) => Promise<{ readonly room: ChatRoom; readonly release: Release } | undefined>;
  /** A room's URI as people dial it. */
  readonly dialled: (room: RoomUri) => string;
  /** The known name that was most likely meant, if one is near enough to be worth naming. */
  readonly nearest: (name: string, known: readonly string[]) => string | undefined;
  /** Calls somebody into the room; the status of the call as it was answered, or why it was not made. */
  readonly invite: (room: ChatRoom, uri: string) => Promise<{ readonly status: number; readonly reason: string }>;
}

/** What is told of a room in a list. */
export interface ToldRoom {
  /** Its URI as people dial it. */
  readonly room: string;
  readonly users: number;
  readonly active: boolean;
  readonly locked: boolean;
  readonly subject?: string;
  /** Where it has moved to. */
  readonly movedTo?: string;
}

/** What is told of one room. */
export interface ToldRoster extends ToldRoom {
  readonly participants: readonly {
    readonly user: string;
    readonly shown: string;
    readonly name: string;
    readonly role: string;
    readonly muted: boolean;
    readonly endpoints: readonly { readonly id: string; readonly status: string; readonly address?: string }[];
  }[];
  readonly bans: readonly { readonly target: string; readonly until?: string; readonly reason?: string }[];
}

/** What an order is answered that was understood: it is done, or what was asked for; `null`: there is no subject. */
export interface OrderAnswer {
  readonly done?: true;
  readonly help?: string;
  readonly subject?: string | null;
}

/**
 * `GET /api/rooms`, `GET /api/rooms/:room`, and `POST /api/rooms/:room/orders` with `{"order": "kick Zoe not here"}`: an
 * order as it is written in the chat, with or without the slash. The administrator may do everything; it is judged by the
 * same rules, becomes the same events, and leaves the same line in the log. `POST /api/rooms/:room/invite` with
 * `{"uri": "sip:carol@example.org"}` calls somebody and is answered when he has.
 */
export function roomRoutes({ rooms, open, dialled, nearest, invite }: RoomRoutesParts): readonly ApiRoute[] {
  const within = async (name: string, work: (room: ChatRoom) => ApiAnswer | Promise<ApiAnswer>): Promise<ApiAnswer> => {
    try {
      const opened = await open(name);
      if (opened === undefined) return { status: 404, body: { reason: `there is no room ${name}` } };
      try {
        return await work(opened.room);
      } finally {
        opened.release();
      }
    } catch (fault) {
      if (!(fault instanceof LogReadError)) throw fault;
      return { status: 503, body: { reason: `the log of ${name} cannot be read: ${fault.message}` } };
    }
  };
  return [
    {
      method: 'GET',
      path: '/api/rooms',
      handle: () => ({ status: 200, body: { rooms: [...rooms()].map((room) => summary(room, dialled)) } }),
    },
    {
      method: 'GET',
      path: '/api/rooms/:room',
      handle: ({ params: { room = '' } }) => within(room, (found) => ({ status: 200, body: roster(found, dialled) })),
    },
    {
      method: 'POST',
      path: '/api/rooms/:room/orders',
      handle: ({ params: { room = '' }, body }) => {
        const line = typeof body === 'object' && body !== null && 'order' in body ? body.order : undefined;
        if (typeof line !== 'string' || line.length > MAX_ORDER) {
          return { status: 400, body: { reason: 'expected {"order": "mute Zoe too loud"}' } };
        }
        const order = line.startsWith('/') ? line : `/${line}`;
        if (isCommand(order)) return within(room, (found) => carryOut(found, order));
        const [name = ''] = /^[^\s]{0,40}/.exec(order.slice(1)) ?? [];
        const near = nearest(name, commandNames());
        const hint = near === undefined ? 'help lists them' : `did you mean ${near}?`;
        return { status: 400, body: { reason: `there is no order ${JSON.stringify(name)}: ${hint}` } };
      },
    },
    {
      method: 'POST',
      path: '/api/rooms/:room/invite',
      handle: ({ params: { room = '' }, body }) => {
        const uri = typeof body === 'object' && body !== null && 'uri' in body ? body.uri : undefined;
        if (typeof uri !== 'string' || uri.length > MAX_ORDER) {
          return { status: 400, body: { reason: 'expected {"uri": "sip:carol@example.org"}' } };
        }
        return within(room, async (found) => {
          const { status, reason } = await invite(found, uri);
          const told = `${String(status)} ${reason}`;
          return status < 300
            ? { status: 200, body: { answered: told } }
            : { status: 409, body: { status, reason: told } };
        });
      },
    },
  ];
}

/** Longest order, in UTF-16 code units. */
const MAX_ORDER = 2048;

function carryOut(room: ChatRoom, order: string): Promise<ApiAnswer> {
  return new Promise((resolve) => {
    room.moderation.command('administrator', order, 'API', (result) => {
      if (result === 'done') resolve({ status: 200, body: { done: true } satisfies OrderAnswer });
      else if ('refused' in result) {
        resolve({ status: STATUS[result.refused] ?? 409, body: { refused: result.refused, reason: reasonOf(result) } });
      } else resolve(misread(result));
    });
  });
}

const STATUS: Readonly<Record<string, number>> = { 'not-kept': 503, 'recipient-unknown': 404 };

function misread(no: NoOrder): ApiAnswer {
  switch (no.say) {
    case 'help':
      return { status: 200, body: { help: commandHelp() } satisfies OrderAnswer };
    case 'subject':
      return { status: 200, body: { subject: no.subject ?? null } satisfies OrderAnswer };
    case 'no-message':
      return { status: 404, body: { reason: 'there is no such message' } };
    case 'usage':
      return { status: 400, body: { reason: `write it so: ${no.usage}` } };
    case 'nobody':
      return { status: 404, body: { reason: `there is nobody called ${no.name}` } };
    case 'several':
      return { status: 409, body: { reason: `more than one is called ${no.name}` } };
    case 'past':
      return { status: 400, body: { reason: 'only who is in the room can be sent its past' } };
  }
}

function summary({ uri, conference }: ChatRoom, dialled: RoomRoutesParts['dialled']): ToldRoom {
  const { subject, userCount, active, locked, tombstone } = conference;
  return {
    room: dialled(uri),
    users: userCount,
    active,
    locked,
    ...(subject === undefined ? {} : { subject }),
    ...(tombstone?.to === undefined ? {} : { movedTo: tombstone.to }),
  };
}

function roster(room: ChatRoom, dialled: RoomRoutesParts['dialled']): ToldRoster {
  const { conference } = room;
  return {
    ...summary(room, dialled),
    participants: [...conference.users()].map(({ user, entity, displayName, nickname, role, muted, endpoints }) => ({
      user,
      shown: entity,
      name: nickname ?? displayName ?? entity,
      role,
      muted,
      endpoints: endpoints.map(({ id, status, address }) => ({
        id,
        status,
        ...(address === undefined ? {} : { address }),
      })),
    })),
    bans: [...conference.bans()].map(({ target, until, reason }) => ({
      target: banKey(target),
      ...(until === undefined ? {} : { until: new Date(until).toISOString() }),
      ...(reason === undefined ? {} : { reason }),
    })),
  };
}
