import { SipError } from './errors.ts';
import * as fields from './fields.ts';
import { headerKey, type ReadableKind } from './headers.ts';
import type { Log } from './log.ts';
import type { SipResponse } from './message.ts';

/** What a user agent looks at in a response, besides what each message must have. */
const LOOKED_AT: ReadonlyMap<string, ReadableKind<unknown>> = new Map(
  [
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
  ].map((kind: ReadableKind<unknown>) => [headerKey(kind.name), kind]),
);

/**
 * Takes off a response the headers that cannot be read: they count as absent. A request is refused for them, but there
 * is no answer to a response, and without it a 2xx would not be acknowledged and who waits would never be told.
 */
export function dropUnreadable(response: SipResponse, log: Log): void {
  let unreadable: ReadableKind<unknown>[] | undefined;
  for (const { key } of response.headers) {
    const kind = LOOKED_AT.get(key);
    if (kind === undefined) continue;
    try {
      response.headers.read(kind);
    } catch (error) {
      if (!(error instanceof SipError)) throw error;
      log.warn(`left aside: ${error.message}`, { callId: response.callId });
      (unreadable ??= []).push(kind);
    }
  }
  for (const { name } of unreadable ?? []) response.headers.delete(name);
}
