import type { Answer } from './api.ts';
import { SipError } from './errors.ts';
import { formatSdp, type SdpAttribute, type SdpConnection, type SdpMedia, type SdpOrigin } from './sdp.ts';
import type { SessionDescription } from './sdp.ts';

/*
 * What the offer/answer model (RFC 3264) says of every medium alike. Which media and formats are taken, and what their
 * attributes mean, is for those who serve the medium.
 */

/** The answer to an offer that the application has no function for; it says why (RFC 3261 §13.3.1.3, RFC 3311 §5.2). */
export const NO_OFFER_TAKEN: Answer = {
  status: 488,
  headers: [{ name: 'Warning', value: '399 sip "No other session description is taken here"' }],
};

/** Where a stream flows, seen from who describes it (RFC 3264 §5.1). */
export type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

const DIRECTIONS: readonly Direction[] = ['sendrecv', 'sendonly', 'recvonly', 'inactive'];

function stated(attributes: readonly SdpAttribute[]): Direction | undefined {
  for (const { name } of attributes) {
    const direction = DIRECTIONS.find((candidate) => candidate === name);
    if (direction !== undefined) return direction;
  }
  return undefined;
}

/** The direction of a medium: its own attribute, else the session's, else sendrecv (RFC 3264 §5.1). */
export function directionOf(session: SessionDescription, media: SdpMedia): Direction {
  return stated(media.attributes) ?? stated(session.attributes) ?? 'sendrecv';
}

/** The direction as the other side sees it. */
export function reverseDirection(direction: Direction): Direction {
  switch (direction) {
    case 'sendonly':
      return 'recvonly';
    case 'recvonly':
      return 'sendonly';
    default:
      return direction;
  }
}

/** The widest direction an answer may have within `wanted` to one that was offered (RFC 3264 §6.1). */
export function answerDirection(offered: Direction, wanted: Direction = 'sendrecv'): Direction {
  const allowed = reverseDirection(offered);
  const sends = allowed !== 'recvonly' && allowed !== 'inactive' && wanted !== 'recvonly' && wanted !== 'inactive';
  const receives = allowed !== 'sendonly' && allowed !== 'inactive' && wanted !== 'sendonly' && wanted !== 'inactive';
  if (sends) return receives ? 'sendrecv' : 'sendonly';
  return receives ? 'recvonly' : 'inactive';
}

/** These attributes with that direction, whatever they said before. */
export function withDirection(attributes: readonly SdpAttribute[], direction: Direction): readonly SdpAttribute[] {
  return [...attributes.filter(({ name }) => !DIRECTIONS.some((other) => other === name)), { name: direction }];
}

/** Whether a stream is offered as gone, or was refused in an answer: port 0 (RFC 3264 §6, §8.2). */
export function isRejected(media: SdpMedia): boolean {
  return media.port === 0;
}

/** The line that rejects an offered medium: the same, with port 0 and no attributes (RFC 3264 §6). */
export function rejectMedia({ media, protocol, formats }: SdpMedia): SdpMedia {
  return { media, port: 0, protocol, formats, bandwidths: [], attributes: [] };
}

/** Who describes a session, and by which address. */
export interface Describer {
  readonly connection: SdpConnection;
  readonly origin: SdpOrigin;
}

/** An origin for a new session of ours (RFC 8866 §5.2): id and version from the time, in milliseconds since 1970. */
export function newOrigin(connection: SdpConnection, now: number): SdpOrigin {
  return { username: '-', sessionId: String(now), sessionVersion: String(now), ...connection };
}

/** A session description of ours that offers `media`. */
export function createOffer({ connection, origin }: Describer, media: readonly SdpMedia[]): SessionDescription {
  return {
    origin,
    name: '-',
    emails: [],
    phones: [],
    connection,
    bandwidths: [],
    times: [{ start: '0', stop: '0', repeats: [] }],
    attributes: [],
    media,
  };
}

/**
 * The answer to an offer (RFC 3264 §6): one line for each line of the offer, in its order, and its t= lines. `answer`
 * gives the line for each medium that is offered, or `undefined` to reject it; a medium offered with port 0 is
 * rejected without asking (§8.2).
 */
export function createAnswer(
  { connection, origin }: Describer,
  offer: SessionDescription,
  answer: (offered: SdpMedia, index: number) => SdpMedia | undefined,
): SessionDescription {
  const media = offer.media.map((offered, index) => {
    const line = isRejected(offered) ? undefined : answer(offered, index);
    return line ?? rejectMedia(offered);
  });
  return { ...createOffer({ connection, origin }, media), times: offer.times };
}

/**
 * The lines of an offer of ours, each beside that of the answer (RFC 3264 §6: matched by their order).
 * @throws SipError 488 when the answer has another number of lines, or another medium in a line it accepts
 */
export function matchAnswer(
  offer: SessionDescription,
  answer: SessionDescription,
): readonly { readonly offered: SdpMedia; readonly answered: SdpMedia }[] {
  if (answer.media.length !== offer.media.length) throw mismatch('number of media lines');
  return answer.media.map((answered, index) => {
    const offered = offer.media[index];
    if (offered === undefined) throw mismatch('number of media lines');
    if (answered.media !== offered.media && !isRejected(answered)) throw mismatch(`medium ${answered.media}`);
    return { offered, answered };
  });
}

/**
 * Checks a new offer against the description that the same peer gave before (RFC 3264 §8).
 * @throws SipError 488 when lines are missing: their number never decreases
 */
export function checkNewOffer(previous: SessionDescription, offer: SessionDescription): void {
  if (offer.media.length < previous.media.length) throw mismatch('number of media lines decreased');
}

function mismatch(what: string): SipError {
  return new SipError(488, `offer and answer do not match: ${what}`);
}

/**
 * A later description of ours, numbered after the one before it: its origin with the version grown by one, or `previous`
 * itself when nothing else differs (RFC 3264 §8).
 */
export function succeed(previous: SessionDescription, next: SessionDescription): SessionDescription {
  const same = { ...next, origin: previous.origin };
  if (formatSdp(same) === formatSdp(previous)) return previous;
  const sessionVersion = String(BigInt(previous.origin.sessionVersion) + 1n);
  return { ...next, origin: { ...previous.origin, sessionVersion } };
}
