/** Who may not come into a room, by identity, by domain or by address. */
import type { Banned, BanTarget, Millis } from './events.ts';
import { type IpAddress, readIpAddress, type UserUri } from './ids.ts';

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

  /** The ban that is meant for this user, or for anybody from this address, now: one by name before one for many. */
  of(user: UserUri, address: IpAddress | undefined, now: Millis): Banned | undefined {
    if (this.#bans.size === 0) return undefined;
    for (const key of keysOf(user, address)) {
      const ban = this.#bans.get(key);
      if (ban !== undefined && (ban.until === undefined || ban.until > now)) return ban;
    }
    return undefined;
  }
}

/** The text under which two ban targets are the same. */
export function banKey(target: BanTarget): string {
  switch (target.kind) {
    case 'user':
      return `user ${target.user}`;
    case 'domain':
      return `domain ${readIpAddress(target.domain) ?? target.domain.toLowerCase()}`;
    case 'address':
      return `address ${target.address}`;
  }
}

/** Whether a ban of that target is one of this user at this address. */
export function isMeant(target: BanTarget, user: UserUri, address: IpAddress | undefined): boolean {
  return keysOf(user, address).includes(banKey(target));
}

/** The keys of all bans that are meant for somebody. */
function keysOf(user: UserUri, address: IpAddress | undefined): readonly string[] {
  const domain = /[@:](\[[^\]]*\]|[^@:;?]+)(?::\d+)?$/.exec(user)?.[1];
  return [
    banKey({ kind: 'user', user }),
    ...(domain === undefined ? [] : [banKey({ kind: 'domain', domain })]),
    ...(address === undefined ? [] : [banKey({ kind: 'address', address })]),
  ];
}
