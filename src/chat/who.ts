/** Whom people mean when they write a name. */
import type { Conference } from '../conference/conference.ts';
import { IdError, userUri, type UserUri } from '../conference/ids.ts';
import { nicknameKey } from '../conference/nickname.ts';
import { personKey } from './domains.ts';
import { userPart } from './names.ts';

/** Nobody, or more than one, is called so. */
export interface NotMeant {
  readonly refused: 'nobody' | 'several';
}

/**
 * The user that a name means: a URI (of anybody in the roster, also anonymous), else a nickname, which is unique (RFC 8266
 * §2.4), else a display name or the user part of an address, if only one user has it. Nobody gets for himself by a
 * nickname what is meant for somebody else who is shown under that name.
 */
export function userNamed(conference: Conference, name: string): UserUri | NotMeant {
  const entries = [...conference.users()].filter(({ endpoints }) => endpoints.some((e) => e.status !== 'disconnected'));
  const key = personKey(name.replace(/^<(.*)>$/, '$1'));
  const byUri = key === undefined ? undefined : entries.find(({ entity }) => personKey(entity) === key);
  if (byUri !== undefined) return byUri.user;
  const wanted = nicknameKey(name);
  const holder = conference.nicknameHolder(name);
  if (holder !== undefined) {
    const shownSo = entries.some(({ user, entity, nickname, displayName = userPart(entity) }) => {
      return user !== holder && nickname === undefined && nicknameKey(displayName) === wanted;
    });
    return shownSo ? { refused: 'several' } : holder;
  }
  const named = entries.filter(({ entity, displayName }) =>
    [displayName, userPart(entity)].some(
      (own) => own !== undefined && wanted !== undefined && nicknameKey(own) === wanted,
    ),
  );
  const users = new Set(named.map(({ user }) => user));
  const [user] = users;
  if (user === undefined) return { refused: 'nobody' };
  return users.size > 1 ? { refused: 'several' } : user;
}

/** The identity that an address of record stands for, as the rules know it; undefined for what is none. */
export function identityOf(text: string): UserUri | undefined {
  const scheme = /^(?:sips?|tel):/i.exec(text)?.[0].toLowerCase();
  const key = scheme === undefined ? undefined : personKey(text);
  if (key === undefined) return undefined;
  try {
    return userUri(scheme === 'tel:' ? key : `sip:${key.replace(/^@/, '')}`);
  } catch (fault) {
    if (fault instanceof IdError) return undefined;
    throw fault;
  }
}
