import { parseUri, reasonPhrase } from '../../sip/index.ts';
import type { ChatRoom } from '../chat/room.ts';
import type { Domains } from '../chat/domains.ts';
import type { Config } from '../config/schema.ts';
import { isLoopback } from '../config/units.ts';
import type { DialOut } from '../focus/dial-out.ts';
import { readTarget, Targets } from '../focus/targets.ts';
import type { CreateRequest } from '../policy/join.ts';
import type { ServedAddress } from './listen.ts';
import { userOf } from './room-settings.ts';

/** Whom the configuration lets the focus call; `served` fills while the service starts to listen. */
export function targetsOf(
  { auth, dialling, sip }: Config,
  domains: Domains,
  served: readonly ServedAddress[],
): Targets {
  return new Targets(
    {
      domains: dialling.domains,
      proxy: dialling.proxy === null ? undefined : parseUri(dialling.proxy),
      // Where everybody proves who he is, nobody is another by being called somewhere.
      anyPort: auth.mode === 'open' && sip.host.every(isLoopback),
      ownPorts: () => new Set(served.map(({ port }) => port)),
    },
    domains,
  );
}

/** Who may have conferences made. */
export function creatorsOf({ factory: { creators } }: Config, domains: Domains): CreateRequest['creators'] {
  return typeof creators === 'string' ? creators : new Set(creators.map((user) => userOf(user, domains)));
}

/** The administrator has somebody called; gives the final status of the call. */
export function inviteByApi(
  dialOut: DialOut,
  room: ChatRoom,
  uri: string,
): Promise<{ readonly status: number; readonly reason: string }> {
  const target = readTarget(uri);
  if (target === undefined) return Promise.resolve({ status: 400, reason: `${uri} is no URI` });
  return new Promise((resolve) => {
    const told = (status: number, reason = reasonPhrase(status)): void => {
      if (status >= 200) resolve({ status, reason });
    };
    const refused = dialOut.invite({ room, target, by: 'administrator', way: 'API', report: told });
    if (refused !== 'dialling') told(refused.status, refused.reason);
  });
}
