import { gunzipSync, inflateRawSync, inflateSync } from 'node:zlib';
import { SipError } from './errors.ts';

/** The Content-Encodings that are undone here (RFC 3261 §20.12). */
export const CONTENT_ENCODINGS: readonly string[] = ['identity', 'deflate', 'gzip'];

/**
 * Undoes Content-Encodings, the last applied first.
 * @param maxBytes what may come out at most: a few hundred bytes can unfold to gigabytes
 * @throws SipError 415 with Accept-Encoding for an unknown one (RFC 3261 §8.2.3), 413 beyond `maxBytes`, 400 when the
 * bytes are not what the encoding makes
 */
export function decodeContent(body: Uint8Array, encodings: readonly string[], maxBytes: number): Uint8Array {
  return encodings.reduceRight((bytes, encoding) => decodeOne(bytes, encoding.toLowerCase(), maxBytes), body);
}

function decodeOne(bytes: Uint8Array, encoding: string, maxBytes: number): Uint8Array {
  const options = { maxOutputLength: maxBytes };
  try {
    switch (encoding) {
      case 'identity':
        return bytes;
      case 'gzip':
      case 'x-gzip':
        return gunzipSync(bytes, options);
      case 'deflate':
        // RFC 1950 wraps it; some leave the wrapping out. Its first byte tells: compression method 8.
        return ((bytes[0] ?? 0) & 0x0f) === 8 ? inflateSync(bytes, options) : inflateRawSync(bytes, options);
    }
  } catch (error) {
    const tooLarge = error instanceof RangeError;
    throw tooLarge
      ? new SipError(413, `body unfolds to more than ${maxBytes} bytes`)
      : new SipError(400, `body is not ${encoding}`);
  }
  throw new SipError(415, `Content-Encoding ${encoding} is not understood`, [
    { name: 'Accept-Encoding', value: CONTENT_ENCODINGS.join(', ') },
  ]);
}
