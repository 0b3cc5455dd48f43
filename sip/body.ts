import type { SipRequest, SipResponse } from './message.ts';

/** Whether a message carries a session description, alone or as a part of several (RFC 3261 §13.2.1, RFC 5621 §3). */
export function hasDescription(message: SipRequest | SipResponse): boolean {
  if (message.body.length === 0) return false;
  const type = message.contentType?.type;
  if (type === 'application/sdp') return true;
  return type?.startsWith('multipart/') === true && Buffer.from(message.body).includes('application/sdp');
}
