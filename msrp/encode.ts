import { formatField } from './prepare.ts';
import type { Header } from './message.ts';
import { STATUS_COMMENT } from './status.ts';

/** A comment as it may stand in a line: what would break it becomes a space. */
function inLine(comment: string): string {
  return /[\0\r\n]/.test(comment) ? comment.replace(/[\0\r\n]+/g, ' ') : comment;
}

/** A response (RFC 4975 §7.2). The paths as they stand in header fields. */
export function formatResponse(
  transactionId: string,
  status: number,
  comment: string | undefined,
  toPath: string,
  fromPath: string,
  headers: readonly Header[] = [],
): string {
  const words = inLine(comment ?? STATUS_COMMENT[status] ?? '');
  let text = `MSRP ${transactionId} ${status}${words === '' ? '' : ` ${words}`}\r\n`;
  text += `To-Path: ${toPath}\r\nFrom-Path: ${fromPath}\r\n`;
  for (const { name, value } of headers) text += formatField(name, value);
  return `${text}-------${transactionId}$\r\n`;
}

/** What a REPORT says (RFC 4975 §7.1.2–7.1.4). */
export interface ReportContent {
  readonly messageId: string;
  /** Octets reported on, from the first. */
  readonly size: number;
  readonly total: number | undefined;
  readonly status: number;
  readonly comment: string | undefined;
}

/** A REPORT. The paths as they stand in header fields. */
export function formatReport(transactionId: string, toPath: string, fromPath: string, content: ReportContent): string {
  const { messageId, size, total, status, comment } = content;
  // Of a peer that has counted characters there may be more octets than it has announced.
  const all = total === undefined ? '*' : Math.max(size, total);
  const words = inLine(comment ?? STATUS_COMMENT[status] ?? '');
  return (
    `MSRP ${transactionId} REPORT\r\nTo-Path: ${toPath}\r\nFrom-Path: ${fromPath}\r\n` +
    `Message-ID: ${messageId}\r\nByte-Range: 1-${size}/${all}\r\n` +
    `Status: 000 ${status}${words === '' ? '' : ` ${words}`}\r\n-------${transactionId}$\r\n`
  );
}

const QUOTED = /^"((?:[^"\\\0-\x08\x0a-\x1f\x7f]|\\["\\])*)"$/;

/**
 * Reads a Use-Nickname value (RFC 7701 §7.1); undefined when it is malformed. `bare`: quotes may be missing, also those
 * of the empty one that gives a nickname up.
 */
export function parseNickname(value: string, bare: boolean): string | undefined {
  const quoted = QUOTED.exec(value.trimEnd());
  if (quoted === null && (!bare || value.startsWith('"'))) return undefined;
  const nickname = quoted === null ? value : (quoted[1] ?? '').replace(/\\(.)/g, '$1');
  return new TextEncoder().encode(nickname).length > 1023 ? undefined : nickname;
}

/** A nickname as a quoted string (RFC 7701 §7.1). Throws a RangeError for one that is too long or has control characters. */
export function formatNickname(nickname: string): string {
  const value = `"${nickname.replace(/["\\]/g, '\\$&')}"`;
  if (parseNickname(value, false) === undefined) throw new RangeError('a nickname no Use-Nickname can carry');
  return value;
}

/** RFC 4975 §7.1.2, §7.1.4, §7.2: which requests are answered with which codes. */
export function wantsAnswer(
  head: { readonly method: string; readonly failureReport: string },
  status: number,
): boolean {
  // RFC 7701 §7.1: it must have no Failure-Report, and who has put one there still has to know how he is called.
  if (head.method === 'NICKNAME') return true;
  if (head.method === 'REPORT' || head.failureReport === 'no') return false;
  return status !== 200 || head.failureReport !== 'partial';
}

/** RFC 4975 §7.2: a SEND is answered to the previous hop, anything else to its origin. */
export function answerPath(head: { readonly method: string; readonly fromPath: string }): string {
  const space = head.fromPath.indexOf(' ');
  return head.method === 'SEND' && space >= 0 ? head.fromPath.slice(0, space) : head.fromPath;
}

/** RFC 4975 §7.2: it is answered by whom it came to, the leftmost of its To-Path. */
export function answeredBy(head: { readonly toPath: string }): string {
  return head.toPath.split(' ', 1)[0] ?? '';
}
