import { encodeText, findBytes, octets } from './bytes.ts';
import { parameterOf } from './content-type.ts';
import { contentOf, type CpimMessage, mimeValue, parseCpim } from './cpim.ts';
import { MsrpError } from './errors.ts';
import { newMessageId } from './ids.ts';
import { type Imdn, IMDN_MEDIA_TYPE, parseImdn } from './imdn.ts';

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
  const lineEnd = new Uint8Array([CR, LF]);
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
  const boundary = parameterOf(message.contentType, 'boundary');
  if (boundary === undefined || boundary === '') throw new MsrpError(400, 'multipart without a boundary');
  const imdns: Imdn[] = [];
  for (const part of partsOf(octets(contentOf(message)), encodeText(`--${boundary}`), maxParts)) {
    // Behind an empty block of message headers, MIME headers and content are read as those of CPIM are.
    const entity = parseCpim(joined([new Uint8Array([CR, LF]), part]));
    if (entity.contentType.mediaType === IMDN_MEDIA_TYPE) imdns.push(parseImdn(contentOf(entity)));
  }
  return imdns;
}

const [CR, LF, HYPHEN] = [13, 10, 45];

const newBoundary = (): string => `imdn-${newMessageId()}`;

/** What stands between the delimiter lines (RFC 2046 §5.1.1), without the line end that belongs to the next of them. */
function partsOf(content: Uint8Array, delimiter: Uint8Array, maxParts: number): readonly Uint8Array[] {
  const parts: Uint8Array[] = [];
  let start: number | undefined;
  for (let at = findBytes(content, delimiter); at >= 0; at = findBytes(content, delimiter, at + delimiter.length)) {
    if (at > 0 && content[at - 1] !== LF) continue;
    const behind = at + delimiter.length;
    const closing = content[behind] === HYPHEN && content[behind + 1] === HYPHEN;
    const lineEnd = content.indexOf(LF, behind);
    // A longer boundary that begins with this one is another multipart's.
    if (!closing && lineEnd >= 0 && !isBlank(content.subarray(behind, lineEnd))) continue;
    if (start !== undefined) parts.push(content.subarray(start, Math.max(start, endBefore(content, at))));
    if (parts.length > maxParts) throw new MsrpError(413, `multipart with more than ${maxParts} parts`);
    if (closing || lineEnd < 0) return parts;
    start = lineEnd + 1;
  }
  throw new MsrpError(400, 'multipart that does not end');
}

function endBefore(content: Uint8Array, delimiter: number): number {
  return content[delimiter - 2] === CR ? delimiter - 2 : delimiter - 1;
}

const isBlank = (octetsOfLine: Uint8Array): boolean =>
  octetsOfLine.every((octet) => octet === CR || octet === 32 || octet === 9);

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((size, { length }) => size + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
