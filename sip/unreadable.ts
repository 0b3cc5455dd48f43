import { SipError } from './errors.ts';
import * as fields from './fields.ts';
import type { ReadableKind } from './headers.ts';
import type { Log } from './log.ts';
import type { SipResponse } from './message.ts';

/** What a user agent looks at in a response, besides what each message must have. */
const LOOKED_AT: readonly ReadableKind<unknown>[] = [
  fields.CONTACT,
  fields.RECORD_ROUTE,
  fields.REQUIRE,
  fields.SUPPORTED,
  fields.ALLOW,
  fields.RSEQ,
  fields.SESSION_EXPIRES,
  fields.MIN_SE,
  fields.RETRY_AFTER,
  fields.WWW_AUTHENTICATE,
  fields.PROXY_AUTHENTICATE,
  fields.CONTENT_TYPE,
];

/**
 * Takes off a response the headers that cannot be read: they count as absent. A request is refused for them, but there
 * is no answer to a response, and without it a 2xx would not be acknowledged and who waits would never be told.
 */
export function dropUnreadable(response: SipResponse, log: Log): void {
  for (const kind of LOOKED_AT) {
    try {
      response.headers.read(kind);
    } catch (error) {
      if (!(error instanceof SipError)) throw error;
      log.warn(`left aside: ${error.message}`, { callId: response.callId });
      response.headers.delete(kind.name);
    }
  }
}
