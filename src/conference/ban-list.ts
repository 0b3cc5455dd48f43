/** Who may not come into a room, by identity, by domain or by address. */
import { banKey } from './events.ts';
import type { Banned, BanTarget, Millis } from './events.ts';
import type { UserUri } from './ids.ts';

/** The bans of one room. */
export class BanList {
  readonly #bans = new Map<string, Banned>();

  add(ban: Banned): void {
    this.#bans.set(banKey(ban.target), ban);
  }

  lift(target: BanTarget): void {
    this.#bans.delete(banKey(target));
  }

  /** All bans, also those that have run out. */
  all(): IterableIterator<Banned> {
    return this.#bans.values();
  }

  /** The ban that keeps this user, or anybody from this address, out now. */
  of(user: UserUri, address: string | undefined, now: Millis): Banned | undefined {
    if (this.#bans.size === 0) return undefined;
    const host = /[@:]([^@:;?]+)(?::\d+)?$/.exec(user)?.[1];
    const targets: readonly (BanTarget | undefined)[] = [
      { kind: 'user', user },
      host === undefined ? undefined : { kind: 'domain', domain: host },
      address === undefined ? undefined : { kind: 'address', address },
    ];
    for (const target of targets) {
      const ban = target && this.#bans.get(banKey(target));
      if (ban !== undefined && (ban.until === undefined || ban.until > now)) return ban;
    }
    return undefined;
  }
}
