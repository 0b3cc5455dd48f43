import { SipError } from './errors.ts';
import * as fields from './fields.ts';
import { headerKey, type ReadableKind } from './headers.ts';
import type { Log } from './log.ts';
import type { SipMessage } from './message.ts';

/** Headers by name, and how each is read. */
type Kinds = ReadonlyMap<string, ReadableKind<unknown>>;

function byName(...kinds: readonly ReadableKind<unknown>[]): Kinds {
  return new Map(kinds.map((kind) => [headerKey(kind.name), kind]));
}

/** What a user agent looks at in a response, besides what each message must have. */
const IN_RESPONSE = byName(
  fields.CONTACT,
  fields.RECORD_ROUTE,
  fields.REQUIRE,
  fields.ALLOW,
  fields.RSEQ,
  fields.SESSION_EXPIRES,
  fields.MIN_SE,
  fields.RETRY_AFTER,
  fields.WWW_AUTHENTICATE,
  fields.PROXY_AUTHENTICATE,
);

/** What it looks at in a request, and can do without. */
const IN_REQUEST = byName(fields.ALLOW, fields.USER_AGENT);

/** The same of an INVITE, which need not expire. */
const IN_INVITE = byName(fields.ALLOW, fields.USER_AGENT, fields.EXPIRES);

/**
 * Takes off a message the headers that cannot be read and are not needed: they count as absent. Of a request that are few
 * (RFC 3261 §8.2.2); for the others it is refused. But there is no answer to a response, and without it a 2xx would not be
 * acknowledged and who waits would never be told.
 */
export function dropUnreadable(message: SipMessage, log: Log): void {
  const looked = kindsIn(message);
  let unreadable: ReadableKind<unknown>[] | undefined;
  for (const { key } of message.headers) {
    const kind = looked.get(key);
    if (kind === undefined || unreadable?.includes(kind) === true) continue;
    try {
      message.headers.read(kind);
    } catch (error) {
      if (!(error instanceof SipError)) throw error;
      log.warn(`left aside: ${error.message}`, { callId: message.callId });
      (unreadable ??= []).push(kind);
    }
  }
  for (const { name } of unreadable ?? []) message.headers.delete(name);
}

function kindsIn(message: SipMessage): Kinds {
  if (message.kind === 'response') return IN_RESPONSE;
  return message.method === 'INVITE' ? IN_INVITE : IN_REQUEST;
}
