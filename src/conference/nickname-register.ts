/** Who holds which nickname in one conference (RFC 7701 §7): each one user at a time, and a user one at a time. */
import type { Millis } from './events.ts';
import type { UserUri } from './ids.ts';
import { nicknameKey } from './nickname.ts';
import { Recent } from './recent.ts';

/** A nickname that somebody gave up, and when (quarantine). */
export interface ReleasedNickname {
  readonly user: UserUri;
  readonly at: Millis;
}

/** Nicknames are found however they are written, as long as they compare equal (RFC 8266 §2.4). */
export class NicknameRegister {
  readonly #holders = new Map<string, UserUri>();
  readonly #keys = new Map<UserUri, string>();
  readonly #released: Recent<string, ReleasedNickname>;

  /** `maxReleased`: most nicknames remembered of those that were given up. */
  constructor(maxReleased: number) {
    this.#released = new Recent(maxReleased);
  }

  /** Who holds a nickname. */
  holder(nickname: string): UserUri | undefined {
    const key = nicknameKey(nickname);
    return key === undefined ? undefined : this.#holders.get(key);
  }

  /** Who gave a nickname up last, and when; absent while somebody holds it. */
  released(nickname: string): ReleasedNickname | undefined {
    const key = nicknameKey(nickname);
    return key === undefined ? undefined : this.#released.get(key);
  }

  /** Whether the user holds a nickname. */
  holdsOne(user: UserUri): boolean {
    return this.#keys.has(user);
  }

  /** Gives the user this nickname instead of the one held before, or none. Says whether that could be: it may be somebody else's. */
  take(user: UserUri, nickname: string | undefined, at: Millis): boolean {
    const key = nickname === undefined ? undefined : nicknameKey(nickname);
    const holder = key === undefined ? undefined : this.#holders.get(key);
    if (holder !== undefined && holder !== user) return false;
    if (this.#keys.get(user) !== key) this.release(user, at);
    if (key !== undefined) {
      this.#holders.set(key, user);
      this.#keys.set(user, key);
      this.#released.delete(key);
    }
    return true;
  }

  /** The user gives up the nickname held. */
  release(user: UserUri, at: Millis): void {
    const key = this.#keys.get(user);
    if (key === undefined) return;
    this.#keys.delete(user);
    this.#holders.delete(key);
    this.#released.set(key, { user, at });
  }
}
