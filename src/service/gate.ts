import { DigestServer, type Uri } from '../../sip/index.ts';
import type { Domains } from '../chat/domains.ts';
import { type Config, dataPath } from '../config/schema.ts';
import { exposure, Users } from '../config/users.ts';
import { type Gate, OPEN_GATE } from '../focus/caller.ts';
import { DigestGate } from '../focus/digest-gate.ts';
import type { Logger } from '../ops/logger.ts';

/** The domain of the accounts: `sip:NAME@domain` is who a user is. */
export function accountDomain({ domains: [first] }: Config): string {
  return first ?? 'localhost';
}

/** The gate that the configuration asks for. Throws `UserFileError` when the user file cannot be used. */
export function gateOf(config: Config, domains: Domains, log: Logger): Gate {
  if (config.auth.mode === 'open') return OPEN_GATE;
  const { realm, algorithms, nonce_lifetime: nonceLifetime } = config.auth;
  const users = new Users(dataPath(config, config.auth.users), realm, (reason) => {
    log.error('the user file is not taken over', { reason });
  });
  const exposed = exposure(dataPath(config, config.auth.users));
  if (exposed !== undefined) log.warn(exposed);
  return new DigestGate({
    digest: new DigestServer({
      realm,
      algorithms,
      nonceLifetime,
      accepts: (uri, { uri: asked }) => isOurs(uri, asked, domains),
    }),
    ha1: (user, algorithm) => users.ha1(user, algorithm, Date.now()),
    domain: accountDomain(config),
    domains,
    now: Date.now,
    warn: (line) => {
      log.warn(line);
    },
  });
}

/**
 * Whether credentials made for `uri` may serve a request to `asked`. Proxies rewrite the Request-URI, and clients name the
 * server where they mean the room: RFC 3261 §22.4 number 6 lets a server look only whether it would take requests for that
 * URI. What is captured serves for nothing else all the same, since each nonce count is taken once.
 */
function isOurs(uri: Uri, asked: Uri, domains: Domains): boolean {
  if (uri.kind !== 'sip') return false;
  return domains.serves(uri.host) || (asked.kind === 'sip' && uri.user !== undefined && uri.user === asked.user);
}
