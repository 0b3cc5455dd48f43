import { SipError } from './errors.ts';
import type { MediaType } from './fields.ts';
import { includesToken } from './grammar.ts';
import type { SipMessage, SipRequest } from './message.ts';
import { type BodyPart, bodyOf, type MultipartLimits } from './multipart.ts';

/** What a server can do, as far as a request shows whether it asks for more (RFC 3261 §8.2). */
export interface Capabilities {
  /** The methods it serves. */
  readonly methods: readonly string[];
  /** The option tags it understands. */
  readonly extensions: readonly string[];
  /** URI schemes it takes in a Request-URI. Default `sip`, `sips`. */
  readonly schemes?: readonly string[];
}

/** The methods that this library has heard of: one of them is refused 405, any other 501 (RFC 3261 §21.5.2). */
const KNOWN_METHODS = new Set([
  ...['INVITE', 'ACK', 'BYE', 'CANCEL', 'OPTIONS', 'REGISTER'],
  ...['INFO', 'MESSAGE', 'NOTIFY', 'PRACK', 'PUBLISH', 'REFER', 'SUBSCRIBE', 'UPDATE'],
]);

/**
 * Whether a request asks for nothing that the server cannot do, in the order of RFC 3261 §8.2: its method, the scheme
 * of its Request-URI, the extensions it requires (those not in ACK and CANCEL, §8.2.2.3).
 *
 * @throws SipError 501 or 405 with Allow, 416, 420 with Unsupported, 400 when Require is malformed, or when what is no
 * INVITE has a Replaces (RFC 3891 §3: by who knows that extension)
 */
export function inspectRequest(request: SipRequest, can: Capabilities): void {
  const { method } = request;
  if (!can.methods.includes(method)) {
    const status = KNOWN_METHODS.has(method) ? 405 : 501;
    throw new SipError(status, `method ${method} is not served`, [{ name: 'Allow', value: can.methods.join(', ') }]);
  }
  const schemes = can.schemes ?? ['sip', 'sips'];
  if (!schemes.includes(request.uri.scheme)) throw new SipError(416, `scheme ${request.uri.scheme} is not served`);
  if (method === 'ACK' || method === 'CANCEL') return;
  const unsupported = request.require.filter((tag) => !includesToken(can.extensions, tag));
  if (unsupported.length > 0) {
    throw new SipError(420, 'required extension not supported', [
      { name: 'Unsupported', value: unsupported.join(', ') },
    ]);
  }
  if (
    method !== 'INVITE' &&
    includesToken(can.extensions, 'replaces') &&
    request.headers.get('Replaces') !== undefined
  ) {
    throw new SipError(400, `Replaces in ${method}`);
  }
}

/**
 * The body of a message, or `undefined` when it has none, when all of it is understood that has to be (RFC 3261 §8.2.3,
 * RFC 5621 §8): parts whose handling is optional may be of any type, and of a multipart/alternative one must be known.
 *
 * @param types the media types understood here, `type/subtype`, `type/*`, or any; multipart is always understood
 * @throws SipError 415 with Accept, or with Accept-Encoding for an unknown Content-Encoding; 400 for a malformed body;
 * 413 for one that exceeds `limits`
 */
export function inspectBody(
  message: SipMessage,
  types: readonly string[],
  limits?: MultipartLimits,
): BodyPart | undefined {
  const body = bodyOf(message, limits);
  if (body === undefined || isUnderstood(body, types)) return body;
  if (body.optional) return undefined;
  throw new SipError(415, 'content type is not understood', [{ name: 'Accept', value: types.join(', ') }]);
}

function isUnderstood(part: BodyPart, types: readonly string[]): boolean {
  if (!part.type.type.startsWith('multipart/')) return matchesMediaType(part.type, types);
  if (part.type.type === 'multipart/alternative') return part.parts.some((inner) => isUnderstood(inner, types));
  return part.parts.every((inner) => inner.optional || isUnderstood(inner, types));
}

/** Whether a media type is among `types`, whose elements may end in a wildcard (`text/*`) or be one. */
export function matchesMediaType({ type }: MediaType, types: readonly string[]): boolean {
  const family = `${type.slice(0, type.indexOf('/'))}/*`;
  return types.some((known) => known === '*/*' || known.toLowerCase() === type || known.toLowerCase() === family);
}
