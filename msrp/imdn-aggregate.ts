import { encodeText, findBytes, octets } from './bytes.ts';
import { contentOf, type CpimMessage, mimeValue } from './cpim.ts';
import { newMessageId } from './ids.ts';
import { type Imdn, IMDN_MEDIA_TYPE, parseImdn } from './imdn.ts';
import { partsOf } from './multipart.ts';

/** Media type of notifications that come together (RFC 5438 §8.3); their Content-Disposition is `notification`. */
export const AGGREGATE_MEDIA_TYPE = 'multipart/mixed';

/** What goes into a message/cpim object that carries notifications together. */
export interface ImdnAggregate {
  /** The Content-Type value with its boundary. */
  readonly contentType: string;
  readonly content: Uint8Array;
}

/** Puts notifications (XML documents of `message/imdn+xml`) together, octets unchanged (RFC 5438 §8.3, RFC 2046 §5.1). */
export function formatAggregate(notifications: readonly Uint8Array[]): ImdnAggregate {
  let boundary = newBoundary();
  while (notifications.some((each) => findBytes(octets(each), encodeText(boundary)) >= 0)) boundary = newBoundary();
  const head = new TextEncoder().encode(`--${boundary}\r\nContent-Type: ${IMDN_MEDIA_TYPE}\r\n\r\n`);
  const end = new TextEncoder().encode(`--${boundary}--\r\n`);
  const lineEnd = new TextEncoder().encode('\r\n');
  const content = joined([...notifications.flatMap((each) => [head, each, lineEnd]), end]);
  return { contentType: `${AGGREGATE_MEDIA_TYPE}; boundary="${boundary}"`, content };
}

/** Whether a message carries notifications together: a `multipart/mixed` that says it is a notification. */
export function isAggregate(message: CpimMessage): boolean {
  if (message.contentType.mediaType !== AGGREGATE_MEDIA_TYPE) return false;
  return /^\s*notification\s*(;|$)/i.test(mimeValue(message, 'content-disposition') ?? '');
}

/**
 * The notifications of a message that `isAggregate`, in order; parts of other types are passed over. A last boundary
 * without its closing hyphens, as in the example of RFC 5438 §8.3, is taken. Throws `MsrpError`: 400 for what cannot be
 * read, 413 for more than `maxParts` parts.
 */
export function parseAggregate(message: CpimMessage, maxParts = 1000): readonly Imdn[] {
  return partsOf(message, maxParts)
    .filter(({ contentType }) => contentType.mediaType === IMDN_MEDIA_TYPE)
    .map((part) => parseImdn(contentOf(part)));
}

const newBoundary = (): string => `imdn-${newMessageId()}`;

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((size, { length }) => size + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
