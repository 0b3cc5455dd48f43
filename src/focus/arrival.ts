import { formatUri, Params, type SipRequest, type Uri } from '../../sip/index.ts';
import type { Domains } from '../chat/domains.ts';
import { type PastWish, readPastWish } from '../chat/past-wish.ts';

/**
 * How much of the past somebody asks for who calls a room: `;history=N` messages, or `;history=` with a duration (`90s`,
 * `30m`, `12h`, `7d`), as a parameter of the URI. What cannot be read asks for nothing special
 * (RFC 3261 §19.1.1: what means nothing is passed over).
 */
export function pastWish({ uri }: SipRequest): PastWish {
  const text = uri.kind === 'sip' ? uri.params.get('history') : undefined;
  return readPastWish(text ?? '') ?? {};
}

/** The device that calls (RFC 5626 §4.1), by the URN of its Contact; undefined when it names none. */
export function instanceOf({ contact }: SipRequest): string | undefined {
  const urn = contact?.params.get('+sip.instance')?.replace(/^"?<?|>?"?$/g, '');
  return urn !== undefined && /^[\x21-\x7e]{1,200}$/.test(urn) ? urn : undefined;
}

/**
 * The room's URI as the caller knows it: what stands in the To, unless somebody on the way has sent the request on to
 * another place (RFC 3261 §8.2.2.1): then the Request-URI.
 */
export function reachedUri({ to, uri }: SipRequest, domains: Domains): Uri {
  const room = domains.roomOf(uri);
  return room !== undefined && domains.roomOf(to.uri) === room ? to.uri : uri;
}

/** The same as text. Parameters say how to reach it, and are no part of its name. */
export function dialledUri(request: SipRequest, domains: Domains): string {
  const known = reachedUri(request, domains);
  return known.kind === 'sip' ? formatUri({ ...known, params: Params.none, headers: [] }) : formatUri(known);
}
