import {
  bodyOf,
  type Content,
  findPart,
  formatSdp,
  parseSdp,
  type SessionDescription,
  SipError,
  type SipMessage,
} from '../../sip/index.ts';
import { type NoMedia, noMedia } from './media-plan.ts';

/**
 * The session description that a message carries, alone or as one of several parts (RFC 5621 §3); undefined when it has
 * none. Throws `SipError` 400 for one that cannot be read.
 */
export function sdpOf(message: SipMessage): SessionDescription | undefined {
  if (message.body.length === 0 || message.contentType === undefined) return undefined;
  const part = findPart(bodyOf(message), 'application/sdp');
  return part === undefined ? undefined : parseSdp(part.body);
}

/** The same of a message that nobody is refused for: why it cannot be read is given instead. */
export function readSdp(message: SipMessage): SessionDescription | NoMedia | undefined {
  try {
    return sdpOf(message);
  } catch (fault) {
    if (fault instanceof SipError) return noMedia(fault.message);
    throw fault;
  }
}

/** A description as the content of a message. */
export function sdpContent(description: SessionDescription): Content {
  return { contentType: 'application/sdp', body: formatSdp(description) };
}
