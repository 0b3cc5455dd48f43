/**
 * Why a call ends, as the BYE and the roster say it (RFC 3326, RFC 4575 §5.7.6): a value of Reason, whatever stands in the
 * text. That may be a peer's.
 */
export function sipReason(cause: number, text: string): string {
  // People read it: a blank is more use to them than an escape.
  return `SIP;cause=${String(cause)};text="${text.replace(/["\\\p{Cc}]/gu, ' ').trim()}"`;
}
