import { createHmac, randomBytes, randomFillSync } from 'node:crypto';
import { type HeaderLine, SipError } from './errors.ts';
import * as fields from './fields.ts';
import type { AuthValue, CSeq, DialogReference, Info, MediaType, NameAddr, RAck } from './fields.ts';
import type { SecondsWithParams, Timestamp, TokenWithParams, Via, Warning } from './fields.ts';
import { isIpv6, singleLine } from './grammar.ts';
import { type HeaderField, type HeaderKind, Headers } from './headers.ts';
import { reasonPhrase } from './status.ts';
import { formatUri, type Uri } from './uri.ts';

const NO_BODY = new Uint8Array(0);

/** What `essentials` gives. */
export interface Essentials {
  readonly via: readonly Via[];
  readonly topVia: Via;
  readonly from: NameAddr;
  readonly to: NameAddr;
  readonly callId: string;
  readonly cseq: CSeq;
}

function required<T>(headers: Headers, kind: HeaderKind<T>): T {
  const value = headers.read(kind);
  if (value === undefined) throw new SipError(400, `Missing ${kind.name} header field`);
  return value;
}

/**
 * What requests and responses share (RFC 3261 §7): headers and a body. Header values are parsed when first asked for
 * and remembered; an accessor gives `undefined` (lists: `[]`) for a header that is absent and throws SipError 400 for
 * one that is malformed. The five headers that every message has throw when they are absent, too.
 *
 * Headers are changed through `headers` (`add`, `set`, `write(kind, value)`) by whoever builds the message, until it
 * is sent.
 */
abstract class Message {
  readonly headers: Headers;
  /** The body's bytes; empty when there is none. The writer takes Content-Length from it, whatever the headers say. */
  body: Uint8Array;

  protected constructor(headers: Headers, body: Uint8Array | undefined) {
    this.headers = headers;
    this.body = body ?? NO_BODY;
  }

  /** All Via values, top first. */
  get via(): readonly Via[] {
    return required(this.headers, fields.VIA);
  }

  /** The first Via value. */
  get topVia(): Via {
    return this.headers.known(fields.VIA)?.[0] ?? required(this.headers, fields.TOP_VIA);
  }

  /** The branch of the first Via; `undefined` when it has none (RFC 2543). */
  get branch(): string | undefined {
    return this.topVia.params.get('branch');
  }

  get from(): NameAddr {
    return required(this.headers, fields.FROM);
  }

  get to(): NameAddr {
    return required(this.headers, fields.TO);
  }

  get fromTag(): string | undefined {
    return this.from.params.get('tag');
  }

  get toTag(): string | undefined {
    return this.to.params.get('tag');
  }

  get callId(): string {
    return required(this.headers, fields.CALL_ID);
  }

  get cseq(): CSeq {
    return required(this.headers, fields.CSEQ);
  }

  /** The headers that every message has (RFC 3261 §8.1.1), all parsed; throws where one is absent or malformed. */
  essentials(): Essentials {
    const { via, topVia, from, to, callId, cseq } = this;
    return { via, topVia, from, to, callId, cseq };
  }

  /** The Contacts, or `*`; `[]` when there is none. */
  get contacts(): readonly NameAddr[] | '*' {
    return this.headers.read(fields.CONTACT) ?? [];
  }

  /** The first Contact; `undefined` when there is none or it is `*`. */
  get contact(): NameAddr | undefined {
    const { contacts } = this;
    return contacts === '*' ? undefined : contacts[0];
  }

  get maxForwards(): number | undefined {
    return this.headers.read(fields.MAX_FORWARDS);
  }

  get route(): readonly NameAddr[] {
    return this.headers.read(fields.ROUTE) ?? [];
  }

  get recordRoute(): readonly NameAddr[] {
    return this.headers.read(fields.RECORD_ROUTE) ?? [];
  }

  /** Seconds. */
  get expires(): number | undefined {
    return this.headers.read(fields.EXPIRES);
  }

  /** Seconds. */
  get minExpires(): number | undefined {
    return this.headers.read(fields.MIN_EXPIRES);
  }

  get contentType(): MediaType | undefined {
    return this.headers.read(fields.CONTENT_TYPE);
  }

  /** `session`, `render`, `recipient-list`, … in lower case, with `handling` among the parameters. */
  get contentDisposition(): TokenWithParams | undefined {
    return this.headers.read(fields.CONTENT_DISPOSITION);
  }

  /** As the header said, which on a message received is the length of `body`. */
  get contentLength(): number | undefined {
    return this.headers.read(fields.CONTENT_LENGTH);
  }

  get contentEncoding(): readonly string[] {
    return this.headers.read(fields.CONTENT_ENCODING) ?? [];
  }

  /** Option tags. */
  get require(): readonly string[] {
    return this.headers.read(fields.REQUIRE) ?? [];
  }

  get proxyRequire(): readonly string[] {
    return this.headers.read(fields.PROXY_REQUIRE) ?? [];
  }

  /** Option tags; empty also when the header is absent. */
  get supported(): readonly string[] {
    return this.headers.read(fields.SUPPORTED) ?? [];
  }

  get unsupported(): readonly string[] {
    return this.headers.read(fields.UNSUPPORTED) ?? [];
  }

  /** Methods; `undefined` when the peer does not say (RFC 3261 §20.5: that does not mean none). */
  get allow(): readonly string[] | undefined {
    return this.headers.read(fields.ALLOW);
  }

  get allowEvents(): readonly string[] | undefined {
    return this.headers.read(fields.ALLOW_EVENTS);
  }

  /** Media ranges; `undefined` when the header is absent (then application/sdp is meant, RFC 3261 §20.1). */
  get accept(): readonly MediaType[] | undefined {
    return this.headers.read(fields.ACCEPT);
  }

  get acceptEncoding(): readonly TokenWithParams[] | undefined {
    return this.headers.read(fields.ACCEPT_ENCODING);
  }

  /** The event package with its parameters (`id`), RFC 6665 §8.2.1. */
  get event(): TokenWithParams | undefined {
    return this.headers.read(fields.EVENT);
  }

  /** `active`, `pending` or `terminated` with `expires`, `reason`, `retry-after` (RFC 6665 §8.2.3). */
  get subscriptionState(): TokenWithParams | undefined {
    return this.headers.read(fields.SUBSCRIPTION_STATE);
  }

  /** RFC 4028 §4; its parameter `refresher` is `uac` or `uas`. */
  get sessionExpires(): SecondsWithParams | undefined {
    return this.headers.read(fields.SESSION_EXPIRES);
  }

  /** Seconds (RFC 4028 §5). */
  get minSe(): number | undefined {
    return this.headers.read(fields.MIN_SE)?.seconds;
  }

  get referTo(): NameAddr | undefined {
    return this.headers.read(fields.REFER_TO);
  }

  get referredBy(): NameAddr | undefined {
    return this.headers.read(fields.REFERRED_BY);
  }

  /** RFC 4488 §4; `undefined` means true. */
  get referSub(): boolean | undefined {
    return this.headers.read(fields.REFER_SUB);
  }

  /** RFC 3891: with `to-tag`, `from-tag`, `early-only`. */
  get replaces(): DialogReference | undefined {
    return this.headers.read(fields.REPLACES);
  }

  /** RFC 3911: with `to-tag`, `from-tag`. */
  get join(): DialogReference | undefined {
    return this.headers.read(fields.JOIN);
  }

  /** RFC 4538: with `local-tag`, `remote-tag`. */
  get targetDialog(): DialogReference | undefined {
    return this.headers.read(fields.TARGET_DIALOG);
  }

  get rack(): RAck | undefined {
    return this.headers.read(fields.RACK);
  }

  get rseq(): number | undefined {
    return this.headers.read(fields.RSEQ);
  }

  /** RFC 3326: why a request was sent; `cause` and `text` among the parameters. */
  get reasons(): readonly TokenWithParams[] {
    return this.headers.read(fields.REASON) ?? [];
  }

  get retryAfter(): SecondsWithParams | undefined {
    return this.headers.read(fields.RETRY_AFTER);
  }

  get warnings(): readonly Warning[] {
    return this.headers.read(fields.WARNING) ?? [];
  }

  get assertedIdentities(): readonly NameAddr[] {
    return this.headers.read(fields.P_ASSERTED_IDENTITY) ?? [];
  }

  get preferredIdentities(): readonly NameAddr[] {
    return this.headers.read(fields.P_PREFERRED_IDENTITY) ?? [];
  }

  /** priv-values in lower case (RFC 3323 §4.2). */
  get privacy(): readonly string[] {
    return this.headers.read(fields.PRIVACY) ?? [];
  }

  get userAgent(): string | undefined {
    return this.headers.read(fields.USER_AGENT);
  }

  get server(): string | undefined {
    return this.headers.read(fields.SERVER);
  }

  get subject(): string | undefined {
    return this.headers.read(fields.SUBJECT);
  }

  get date(): Date | undefined {
    return this.headers.read(fields.DATE);
  }

  get timestamp(): Timestamp | undefined {
    return this.headers.read(fields.TIMESTAMP);
  }

  get callInfo(): readonly Info[] {
    return this.headers.read(fields.CALL_INFO) ?? [];
  }

  /** Puts a Via before all others. */
  pushVia(via: Via): void {
    this.headers.prepend('Via', fields.formatVia(via));
  }

  /** Sets body and Content-Type. */
  setBody(contentType: string, body: Uint8Array | string): void {
    this.headers.set('Content-Type', contentType);
    this.body = typeof body === 'string' ? Buffer.from(body) : body;
  }
}

/** A request (RFC 3261 §7.1). */
export class SipRequest extends Message {
  readonly kind = 'request';
  /** The method, as it came: methods are compared with regard to case (§7.1). */
  readonly method: string;
  /** The Request-URI. */
  readonly uri: Uri;
  /** The Request-URI as it stands in the request line. */
  readonly requestUri: string;

  /** As the parser makes it; to build one, use `createRequest`. */
  constructor(method: string, uri: Uri, headers: Headers, body?: Uint8Array, requestUri = formatUri(uri)) {
    super(headers, body);
    this.method = method;
    this.uri = uri;
    this.requestUri = requestUri;
  }

  get authorization(): readonly AuthValue[] {
    return this.headers.read(fields.AUTHORIZATION) ?? [];
  }

  get proxyAuthorization(): readonly AuthValue[] {
    return this.headers.read(fields.PROXY_AUTHORIZATION) ?? [];
  }

  /**
   * Notes in the top Via where the request really came from: `received` when sent-by names another host (RFC 3261
   * §18.2.1) or when `rport` asks (RFC 3581 §4), and the value of `rport` when the Via has it.
   *
   * @param address numeric source address, without brackets
   */
  stampSource(address: string, port: number): void {
    const via = this.topVia;
    const stamped = stampedVia(via, address, port);
    if (stamped !== via) this.replaceTopVia(stamped);
  }

  /** Replaces the first Via value. */
  replaceTopVia(top: Via): void {
    this.headers.write(fields.VIA, [top, ...this.via.slice(1)]);
  }
}

/** What `SipRequest.stampSource` makes of a Via; the same object when there is nothing to note. */
export function stampedVia(via: Via, address: string, port: number): Via {
  const asked = via.params.has('rport');
  const host = via.host.startsWith('[') ? via.host.slice(1, -1) : via.host;
  if (!asked && host === address.toLowerCase()) return via;
  const params = asked ? via.params.with('rport', port) : via.params;
  return { ...via, params: params.with('received', address) };
}

/** A response (RFC 3261 §7.2). */
export class SipResponse extends Message {
  readonly kind = 'response';
  /** 100–699. */
  readonly status: number;
  readonly reason: string;

  /** As the parser makes it; to answer a request, use `createResponse`. */
  constructor(status: number, reason: string, headers: Headers, body?: Uint8Array) {
    super(headers, body);
    this.status = status;
    this.reason = reason;
  }

  get wwwAuthenticate(): readonly AuthValue[] {
    return this.headers.read(fields.WWW_AUTHENTICATE) ?? [];
  }

  get proxyAuthenticate(): readonly AuthValue[] {
    return this.headers.read(fields.PROXY_AUTHENTICATE) ?? [];
  }

  /** Takes the first Via value away (as a proxy or the transport does), leaving the others. */
  popVia(): void {
    this.headers.write(fields.VIA, this.via.slice(1));
  }
}

/** A SIP message: `kind` tells which. */
export type SipMessage = SipRequest | SipResponse;

/** What a request that is built needs (RFC 3261 §8.1.1). Via is added by whoever sends it. */
export interface RequestParts {
  readonly method: string;
  readonly uri: Uri;
  readonly from: NameAddr;
  readonly to: NameAddr;
  readonly callId: string;
  readonly seq: number;
  /** Default 70 (§8.1.1.6). */
  readonly maxForwards?: number;
  readonly route?: readonly NameAddr[];
  readonly contact?: NameAddr;
  /** Further header lines, in their order. */
  readonly headers?: readonly HeaderLine[];
  readonly contentType?: string;
  readonly body?: Uint8Array | string;
}

/** Builds a request (RFC 3261 §8.1.1), all but its Via. */
export function createRequest(parts: RequestParts): SipRequest {
  const headers = new Headers();
  headers.add('Max-Forwards', String(parts.maxForwards ?? 70));
  if (parts.route !== undefined && parts.route.length > 0) headers.write(fields.ROUTE, parts.route);
  headers.write(fields.FROM, parts.from);
  headers.write(fields.TO, parts.to);
  headers.add('Call-ID', parts.callId);
  headers.write(fields.CSEQ, { seq: parts.seq, method: parts.method });
  if (parts.contact !== undefined) headers.write(fields.CONTACT, [parts.contact]);
  for (const { name, value } of parts.headers ?? []) headers.add(name, value);
  const request = new SipRequest(parts.method, parts.uri, headers);
  if (parts.body !== undefined) request.setBody(parts.contentType ?? 'application/octet-stream', parts.body);
  return request;
}

/** What a response adds to that which it copies from its request. */
export interface ResponseParts {
  /** Default: the usual phrase of the status. */
  readonly reason?: string;
  /** Added to To when the request's has none (RFC 3261 §8.2.6.2). Default for any status but 100: a new random one. */
  readonly toTag?: string;
  /** Milliseconds since the request came; a 100 tells them beside the Timestamp of the request (RFC 3261 §8.2.6.1). */
  readonly delay?: number;
  readonly contact?: NameAddr;
  /** Further header lines, in their order. */
  readonly headers?: readonly HeaderLine[];
  readonly contentType?: string;
  readonly body?: Uint8Array | string;
}

const COPIED: readonly string[] = ['via', 'from', 'call-id', 'cseq'];

/**
 * Builds the response to a request (RFC 3261 §8.2.6): Via, From, To, Call-ID, CSeq and, into a 100, Timestamp are
 * copied as they came, To gets a tag where it has none. Record-Route is copied into responses that make a dialog by
 * who makes it (§12.1.1).
 */
export function createResponse(request: SipRequest, status: number, parts: ResponseParts = {}): SipResponse {
  const copied: HeaderField[] = [];
  for (const field of request.headers) {
    if (COPIED.includes(field.key)) copied.push(field);
    else if (field.key === 'to') copied.push(tagged(field, request, status, parts.toTag));
    else if (field.key === 'timestamp' && status === 100) copied.push(delayed(field, parts.delay));
  }
  const headers = new Headers(copied);
  if (parts.contact !== undefined) headers.write(fields.CONTACT, [parts.contact]);
  for (const { name, value } of parts.headers ?? []) headers.add(name, value);
  const response = new SipResponse(status, singleLine(parts.reason ?? reasonPhrase(status)), headers);
  if (parts.body !== undefined) response.setBody(parts.contentType ?? 'application/octet-stream', parts.body);
  return response;
}

function tagged(to: HeaderField, request: SipRequest, status: number, toTag: string | undefined): HeaderField {
  if (request.toTag !== undefined || (status === 100 && toTag === undefined)) return to;
  const tag = toTag ?? newTag();
  // A bare addr-spec takes header parameters just so; with brackets they stand behind them: both end the value.
  return { ...to, value: `${to.value};tag=${tag}` };
}

/** The Timestamp of a request with the time that it took to answer. One that has a delay already keeps it. */
function delayed(timestamp: HeaderField, delay: number | undefined): HeaderField {
  if (delay === undefined || !/^\d+(?:\.\d*)?$/.test(timestamp.value)) return timestamp;
  return { ...timestamp, value: `${timestamp.value} ${String(delay / 1000)}` };
}

/** The answer that a SipError asks for: its status, its phrase, its headers. */
export function createErrorResponse(request: SipRequest, error: SipError): SipResponse {
  return createResponse(request, error.status, {
    reason: error.reason,
    headers: error.headers,
  });
}

/** Random bytes are fetched many at a time: a call for each would cost as much as parsing a header. */
const RANDOM = Buffer.allocUnsafe(4096);
let used = RANDOM.length;

function randomHex(bytes: number): string {
  if (used + bytes > RANDOM.length) {
    randomFillSync(RANDOM);
    used = 0;
  }
  used += bytes;
  return RANDOM.toString('hex', used - bytes, used);
}

/** A From or To tag: 64 random bits (RFC 3261 §19.3 wants at least 32). */
export function newTag(): string {
  return randomHex(8);
}

/** Nobody can tell a tag before he has it (RFC 3261 §19.3). */
const TAG_SECRET = randomBytes(32);

/**
 * A To tag for an answer that leaves nothing behind: the same request gets the same one (RFC 3261 §8.2.7).
 * @param request what came, as far as it tells that request from others
 */
export function statelessTag(request: readonly string[]): string {
  return createHmac('sha256', TAG_SECRET).update(request.join('\n')).digest('hex').slice(0, 16);
}

/** A Call-ID: 128 random bits (RFC 3261 §8.1.1.4). */
export function newCallId(): string {
  return randomHex(16);
}

/** A branch with the magic cookie (RFC 3261 §8.1.1.7) and 96 random bits. */
export function newBranch(): string {
  return `z9hG4bK${randomHex(12)}`;
}

/** A Via of our own: a new branch, `rport` (RFC 3581 §3). An IPv6 address may come without brackets. */
export function createVia(transport: string, host: string, port?: number, branch = newBranch()): Via {
  return fields.parseVia(
    `SIP/2.0/${transport} ${isIpv6(host) ? `[${host}]` : host}${port === undefined ? '' : `:${String(port)}`};branch=${branch};rport`,
  );
}
