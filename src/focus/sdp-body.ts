import { parseSdp, type SessionDescription, type SipMessage } from '../../sip/index.ts';

/**
 * The session description that a message carries; undefined when it has none. Throws `SipError` 400 for one that cannot
 * be read.
 */
export function sdpOf(message: SipMessage): SessionDescription | undefined {
  const type = message.contentType;
  if (type === undefined || message.body.length === 0) return undefined;
  if (type.type !== 'application/sdp') return undefined;
  return parseSdp(message.body);
}
