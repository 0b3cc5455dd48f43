import { DigestServer } from '../../sip/index.ts';
import type { Domains } from '../chat/domains.ts';
import { type Config, dataPath } from '../config/schema.ts';
import { Users } from '../config/users.ts';
import { type Gate, OPEN_GATE } from '../focus/caller.ts';
import { DigestGate } from '../focus/digest-gate.ts';
import type { Logger } from '../ops/logger.ts';

/** The gate that the configuration asks for. Throws `UserFileError` when the user file cannot be used. */
export function gateOf(config: Config, domains: Domains, log: Logger): Gate {
  if (config.auth.mode === 'open') return OPEN_GATE;
  const { realm, algorithms, nonce_lifetime: nonceLifetime } = config.auth;
  const users = new Users(dataPath(config, config.auth.users), realm, (reason) => {
    log.error('the user file is not taken over', { reason });
  });
  return new DigestGate({
    digest: new DigestServer({ realm, algorithms, nonceLifetime }),
    ha1: (user, algorithm) => users.ha1(user, algorithm, Date.now()),
    domain: config.domains[0] ?? 'localhost',
    domains,
    now: Date.now,
    warn: (line) => {
      log.warn(line);
    },
  });
}
