import { recordedFates } from '../chat/recorded.ts';
import type { ConferenceHost } from '../chat/host.ts';
import type { Domains } from '../chat/domains.ts';
import type { RoomUri } from '../conference/ids.ts';
import { nearest } from '../config/faults.ts';
import type { DialOut } from '../focus/dial-out.ts';
import type { RoomLog } from '../log/room-log.ts';
import type { ApiRoute } from '../ops/api.ts';
import { messageRoutes } from '../ops/message-routes.ts';
import { roomRoutes } from '../ops/room-routes.ts';
import { inviteByApi } from './dialling.ts';

/** What the HTTP API shows and moves. */
export interface ApiParts {
  readonly host: ConferenceHost;
  readonly domains: Domains;
  readonly roomLog: RoomLog;
  readonly dialOut: DialOut;
  /** The URI of a room as people dial it. */
  readonly dialled: (room: RoomUri) => string;
}

/** The routes of the administrator. */
export function apiRoutes({ host, domains, roomLog, dialOut, dialled }: ApiParts): readonly ApiRoute[] {
  return [
    ...messageRoutes(async (id) => {
      const remembered = [...host.rooms()].flatMap((room) => room.why(id));
      return remembered.length > 0 ? remembered : recordedFates(roomLog, id);
    }, dialled),
    ...roomRoutes({
      rooms: () => host.rooms(),
      dialled,
      nearest,
      open: async (name) => {
        const uri = domains.roomCalled(name);
        return uri === undefined ? undefined : host.open(uri, 'watcher');
      },
      invite: (room, uri) => inviteByApi(dialOut, room, uri),
    }),
  ];
}
