import type { SipMessage } from './message.ts';

/**
 * The bytes of a message (RFC 3261 §7): header lines in their order and spelling, Content-Length always last and always
 * that of the body, whatever the message's own header says.
 */
export function formatMessage(message: SipMessage): Buffer {
  let head =
    message.kind === 'request'
      ? `${message.method} ${message.requestUri} SIP/2.0\r\n`
      : `SIP/2.0 ${String(message.status)} ${message.reason}\r\n`;
  for (const { name, key, value } of message.headers) {
    if (key !== 'content-length') head += `${name}: ${value}\r\n`;
  }
  const { body } = message;
  head += `Content-Length: ${String(body.length)}\r\n\r\n`;
  if (body.length === 0) return Buffer.from(head);
  const headLength = Buffer.byteLength(head);
  const bytes = Buffer.allocUnsafe(headLength + body.length);
  bytes.write(head, 0);
  bytes.set(body, headLength);
  return bytes;
}
