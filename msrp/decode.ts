import { ownPart, ownText } from './bytes.ts';
import { MsrpError } from './errors.ts';
import { ident } from './grammar.ts';
import { isReadableId } from './ids.ts';
import type { ByteRange, FailureReport, Head, Header, MessageId, ReportStatus } from './message.ts';

// The fields of a head while it is being read.
interface Fields {
  toPath: string | undefined;
  fromPath: string | undefined;
  messageId: MessageId | undefined;
  byteRange: ByteRange | undefined;
  failureReport: FailureReport | undefined;
  successReport: boolean | undefined;
  status: ReportStatus | undefined;
  contentType: string | undefined;
  readonly headers: Header[];
}

/**
 * other-method = 1*UPALPHA. The underscore and small letters are no part of it: but file transfer clients send the one, and
 * whoever writes `send` is told that there is no such method (501), rather than nothing.
 */
const METHOD = /^[A-Za-z_]+$/;
const RESPONSE = /^([0-9]{3})(?: (.*))?$/;
const BYTE_RANGE = /^([0-9]{1,15})-([0-9]{1,15}|\*)\/([0-9]{1,15}|\*)$/;
const STATUS = /^([0-9]{3}) ([0-9]{3})(?: (.*))?$/;
const IDENT = new RegExp(`^${ident}$`);
const CPIM = 'message/cpim';
const BROKEN = /[\0\r\n]/;

/** Whether a text can be a transaction id (RFC 4975 §9). */
export function isTransactionId(text: string): boolean {
  return IDENT.test(text);
}

/**
 * Reads start line and header fields (RFC 4975 §9), without the empty line or end-line that follows them. Unknown
 * methods and fields are carried. Throws `MsrpError` 400.
 */
export function decodeHead(text: string, maxHeaders: number): Head {
  const lineEnd = endOfLine(text, 0);
  const idEnd = text.indexOf(' ', 5);
  if (!text.startsWith('MSRP ') || idEnd < 0 || idEnd > lineEnd) throw new MsrpError(400, 'no start line');
  const transactionId = text.slice(5, idEnd);
  const rest = text.slice(idEnd + 1, lineEnd);
  const response = RESPONSE.exec(rest);
  if (response === null && !METHOD.test(rest)) throw new MsrpError(400, 'neither method nor status code');
  const fields = readFields(text, lineEnd + 2, maxHeaders);
  const { toPath, fromPath, headers } = fields;
  if (toPath === undefined || fromPath === undefined) throw new MsrpError(400, 'To-Path or From-Path is missing');
  if (response !== null) {
    const comment = response[2] ?? '';
    return { kind: 'response', transactionId, status: Number(response[1]), comment, toPath, fromPath, headers };
  }
  return {
    kind: 'request',
    transactionId,
    method: rest,
    toPath,
    fromPath,
    messageId: fields.messageId,
    byteRange: fields.byteRange,
    // RFC 4975 §7.1.1: what the absence of these fields means.
    failureReport: fields.failureReport ?? 'yes',
    successReport: fields.successReport ?? false,
    status: fields.status,
    contentType: fields.contentType,
    headers,
  };
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\r\n', from);
  return end < 0 ? text.length : end;
}

function readFields(text: string, from: number, maxHeaders: number): Fields {
  const fields: Fields = {
    toPath: undefined,
    fromPath: undefined,
    messageId: undefined,
    byteRange: undefined,
    failureReport: undefined,
    successReport: undefined,
    status: undefined,
    contentType: undefined,
    headers: [],
  };
  let count = 0;
  for (let at = from; at < text.length;) {
    const end = endOfLine(text, at);
    const colon = text.indexOf(':', at);
    if (colon <= at || colon > end) throw new MsrpError(400, 'a line that is no header field');
    if (++count > maxHeaders) throw new MsrpError(400, `more than ${maxHeaders} header fields`);
    let start = colon + 1;
    while (text.charCodeAt(start) === 0x20) start++;
    take(fields, text.slice(at, colon), ownPart(text.slice(start, end), text));
    at = end + 2;
  }
  return fields;
}

function take(fields: Fields, name: string, value: string): void {
  switch (name) {
    case 'To-Path':
      fields.toPath = once(fields.toPath, name, unbroken(value));
      return;
    case 'From-Path':
      fields.fromPath = once(fields.fromPath, name, unbroken(value));
      return;
    case 'Message-ID':
      fields.messageId = once(fields.messageId, name, messageIdOf(value));
      return;
    case 'Byte-Range':
      fields.byteRange = once(fields.byteRange, name, parseByteRange(value));
      return;
    case 'Failure-Report':
      fields.failureReport = once(fields.failureReport, name, failureReportOf(value));
      return;
    case 'Success-Report':
      fields.successReport = once(fields.successReport, name, yesOrNo(value));
      return;
    case 'Status':
      fields.status = once(fields.status, name, statusOf(value));
      return;
    case 'Content-Type':
      // Messages are kept for long, and with each its type: one text for nearly all of them.
      fields.contentType = once(fields.contentType, name, value === CPIM ? CPIM : unbroken(value));
      return;
    default: {
      const canonical = CANONICAL.get(name.toLowerCase());
      if (canonical !== undefined && canonical !== name) take(fields, canonical, value);
      else fields.headers.push({ name: unbroken(name), value: unbroken(value) });
    }
  }
}

/** ABNF strings are compared without case (RFC 5234 §2.3). */
const CANONICAL = new Map(
  [
    'To-Path',
    'From-Path',
    'Message-ID',
    'Byte-Range',
    'Failure-Report',
    'Success-Report',
    'Status',
    'Content-Type',
  ].map((name) => [name.toLowerCase(), name]),
);

function once<T>(before: T | undefined, name: string, value: T): T {
  if (before !== undefined) throw new MsrpError(400, `${name} twice`);
  return value;
}

function unbroken(value: string): string {
  if (BROKEN.test(value)) throw new MsrpError(400, 'a control character in a header field');
  return value;
}

function messageIdOf(value: string): MessageId {
  // It is remembered for long, and with it the whole head would be.
  const id = ownText(value);
  if (!isReadableId(id)) throw new MsrpError(400, 'Message-ID is no ident');
  return id;
}

/**
 * Reads a Byte-Range value (RFC 4975 §9). Throws `MsrpError` 400; a start of 0 is none. Of a chunk without octets the end
 * is one before the start, as in `1-0/0` (§7.1.1).
 */
export function parseByteRange(value: string): ByteRange {
  const parts = BYTE_RANGE.exec(value);
  const start = Number(parts?.[1] ?? 0);
  if (parts === null || start === 0) throw new MsrpError(400, 'a Byte-Range is START-END/TOTAL, counted from 1');
  const end = numberOrStar(parts[2]);
  if (end !== undefined && end < start - 1) throw new MsrpError(400, 'Byte-Range ends before it begins');
  return { start, end, total: numberOrStar(parts[3]) };
}

function numberOrStar(text: string | undefined): number | undefined {
  return text === undefined || text === '*' ? undefined : Number(text);
}

function failureReportOf(value: string): FailureReport {
  const word = value.toLowerCase();
  if (word === 'yes' || word === 'no' || word === 'partial') return word;
  throw new MsrpError(400, 'Failure-Report is neither yes, no nor partial');
}

function yesOrNo(value: string): boolean {
  const word = value.toLowerCase();
  if (word !== 'yes' && word !== 'no') throw new MsrpError(400, 'Success-Report is neither yes nor no');
  return word === 'yes';
}

function statusOf(value: string): ReportStatus {
  const parts = STATUS.exec(value);
  if (parts === null) throw new MsrpError(400, 'no Status');
  const [, namespace = '', code = '', comment = ''] = parts;
  return { namespace, code: Number(code), comment };
}

/** What can be told of a request whose head cannot be read: enough to answer it, if at all. */
export interface Remains {
  readonly transactionId: string;
  readonly method: string;
  readonly toPath: string;
  readonly fromPath: string;
  readonly failureReport: string;
}

/** Finds it, or undefined when the text is no request, or does not say where an answer would have to go. */
export function remainsOf(text: string): Remains | undefined {
  const [, transactionId = '', method = ''] = /^MSRP ([^ \r\n]{1,32}) ([A-Z_]{1,32})\r\n/.exec(text) ?? [];
  const toPath = fieldOf(text, 'to-path:');
  const fromPath = fieldOf(text, 'from-path:');
  if (!isTransactionId(transactionId) || toPath === undefined || fromPath === undefined) return undefined;
  const failureReport = fieldOf(text, 'failure-report:') ?? 'yes';
  return { transactionId, method, toPath, fromPath, failureReport: failureReport.toLowerCase() };
}

/** The value of a field by plain search, line by line: nothing in a broken head may cost more than its length. */
function fieldOf(text: string, prefix: string): string | undefined {
  for (let at = 0; at < text.length;) {
    const end = endOfLine(text, at);
    if (text.slice(at, at + prefix.length).toLowerCase() === prefix) {
      const value = text.slice(at + prefix.length, end).trim();
      return value === '' || BROKEN.test(value) ? undefined : value;
    }
    at = end + 2;
  }
  return undefined;
}
