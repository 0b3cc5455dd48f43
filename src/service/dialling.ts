import { parseUri, reasonPhrase } from '../../sip/index.ts';
import type { ChatRoom } from '../chat/room.ts';
import type { Domains } from '../chat/domains.ts';
import type { Config } from '../config/schema.ts';
import { isLoopback } from '../config/units.ts';
import { type DialOptions, type DialOut, NOT_CONNECTED } from '../focus/dial-out.ts';
import { FOREIGN_DOMAIN, readTarget, Targets } from '../focus/targets.ts';
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

/** How much the focus calls at a time, and how long it rings. */
export function dialOutOptions({ dialling }: Config): DialOptions {
  return {
    calls: dialling.calls,
    callsPerUser: dialling.calls_per_user,
    ring: dialling.ring,
    redirects: dialling.redirects,
  };
}

/** Who may have conferences made. */
export function creatorsOf({ factory: { creators } }: Config, domains: Domains): CreateRequest['creators'] {
  return typeof creators === 'string' ? creators : new Set(creators.map((user) => userOf(user, domains)));
}

/** Which key would let the administrator's call be made. */
const HINTS: ReadonlyMap<string | undefined, string> = new Map([
  [
    NOT_CONNECTED.reason,
    'dialling.proxy is not set, which would know where people are who have no connection to this service',
  ],
  [FOREIGN_DOMAIN.reason, 'dialling.domains has the domains besides our own whose people may be called'],
]);

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
    if (refused === 'dialling') return;
    const hint = HINTS.get(refused.reason);
    told(refused.status, hint === undefined ? refused.reason : `${refused.reason} (${hint})`);
  });
}
