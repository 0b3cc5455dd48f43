import { encodeText, findBytes, octets } from './bytes.ts';
import { parameterOf } from './content-type.ts';
import { contentOf, type CpimMessage, parseCpim } from './cpim.ts';
import { MsrpError } from './errors.ts';

/**
 * The parts of a multipart content (RFC 2046 §5.1), in order, each with its MIME headers and its content, and no message
 * headers. A last boundary without its closing hyphens is taken. Throws `MsrpError`: 400 for what cannot be read, 413 for
 * more than `maxParts` parts.
 */
export function partsOf(message: CpimMessage, maxParts = 1000): readonly CpimMessage[] {
  const boundary = parameterOf(message.contentType, 'boundary');
  if (boundary === undefined || boundary === '') throw new MsrpError(400, 'multipart without a boundary');
  const parts = between(octets(contentOf(message)), encodeText(`--${boundary}`), maxParts);
  // Behind an empty block of message headers, MIME headers and content are read as those of CPIM are.
  return parts.map((part) => parseCpim(behindLineEnd(part)));
}

/**
 * What of a message people are to be shown as text, in order (RFC 4975 §7.3.1, §14.3): itself, where it is no multipart.
 * Of `multipart/alternative` it is the plain text or else the last part; of `multipart/signed` and `multipart/related` the
 * first part, which is what was signed, or the root; of all others each part. Of what cannot be read, or is nested deeper
 * than `depth`, itself.
 */
export function partsToRead(message: CpimMessage, depth = 3): readonly CpimMessage[] {
  const { mediaType } = message.contentType;
  if (!mediaType.startsWith('multipart/') || depth === 0) return [message];
  const parts = readableParts(message);
  const [first] = parts;
  if (first === undefined) return [message];
  const chosen = chosenOf(mediaType, parts, first);
  return chosen.flatMap((part) => partsToRead(part, depth - 1));
}

/** Parts of a message that are looked at: people write few. */
const MOST = 32;

function readableParts(message: CpimMessage): readonly CpimMessage[] {
  try {
    return partsOf(message, MOST);
  } catch (fault) {
    if (fault instanceof MsrpError) return [];
    throw fault;
  }
}

function chosenOf(mediaType: string, parts: readonly CpimMessage[], first: CpimMessage): readonly CpimMessage[] {
  switch (mediaType) {
    case 'multipart/signed':
    case 'multipart/related':
      return [first];
    case 'multipart/alternative':
      return [
        parts.find(({ contentType }) => contentType.mediaType === 'text/plain') ?? parts[parts.length - 1] ?? first,
      ];
    default:
      return parts;
  }
}

const [CR, LF, HYPHEN] = [13, 10, 45];

/** What stands between the delimiter lines (RFC 2046 §5.1.1), without the line end that belongs to the next of them. */
function between(content: Uint8Array, delimiter: Uint8Array, maxParts: number): readonly Uint8Array[] {
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

function behindLineEnd(part: Uint8Array): Uint8Array {
  const whole = new Uint8Array(2 + part.length);
  whole.set([CR, LF]);
  whole.set(part, 2);
  return whole;
}
