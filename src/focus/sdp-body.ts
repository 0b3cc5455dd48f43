import {
  bodyOf,
  type Content,
  findPart,
  formatSdp,
  parseSdp,
  type SessionDescription,
  type SipMessage,
} from '../../sip/index.ts';

/**
 * The session description that a message carries, alone or as one of several parts (RFC 5621 §3); undefined when it has
 * none. Throws `SipError` 400 for one that cannot be read.
 */
export function sdpOf(message: SipMessage): SessionDescription | undefined {
  if (message.body.length === 0 || message.contentType === undefined) return undefined;
  const part = findPart(bodyOf(message), 'application/sdp');
  return part === undefined ? undefined : parseSdp(part.body);
}

/** A description as the content of a message. */
export function sdpContent(description: SessionDescription): Content {
  return { contentType: 'application/sdp', body: formatSdp(description) };
}
