/** The configuration as it is now: what can be taken over while the service runs is. */
import { afterReload, compareConfigs, type ConfigChange } from '../config/reload.ts';
import type { Config } from '../config/schema.ts';
import type { PeerTable } from '../focus/peers.ts';
import type { Logger } from '../ops/logger.ts';
import type { Certificates } from './certificates.ts';
import { peerFamily } from './peers.ts';

/** Who must hear of a change; all others ask for what is current each time. */
export interface Followers {
  readonly certificates: Certificates;
  readonly peers: PeerTable;
  readonly log: Logger;
}

/** What holds now, and what it was at the start. */
export class LivingConfig {
  /** As it was at the start: what needs a restart still is so. */
  readonly #started: Config;
  #current: Config;

  constructor(started: Config) {
    this.#started = this.#current = started;
  }

  get current(): Config {
    return this.#current;
  }

  /** Takes over what can be taken over, and says what that was and what not. */
  reload(changed: Config, { certificates, peers, log }: Followers): ConfigChange {
    const { reloadable } = compareConfigs(this.#current, changed);
    const { fixed } = compareConfigs(this.#started, changed);
    const next = afterReload(this.#started, changed);
    peers.configure(next.peers.map(peerFamily));
    const renewal = certificates.renew(next);
    if (renewal === 'unchanged' || renewal === 'renewed') {
      this.#current = next;
      if (renewal === 'renewed')
        log.info('the certificate is another', { expires: certificates.current.expires.toISOString() });
      return { reloadable, fixed };
    }
    this.#current = { ...next, tls: this.#current.tls };
    log.error('the certificate stays as it was', { reason: renewal.message });
    const isFile = (key: string): boolean => key.startsWith('tls.');
    return { reloadable: reloadable.filter((key) => !isFile(key)), fixed, unusable: reloadable.filter(isFile) };
  }
}
