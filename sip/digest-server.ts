import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { type DigestAlgorithm, digestResponse, parseDigestVariant } from './digest.ts';
import { type HeaderLine, SipError } from './errors.ts';
import { type AuthValue, formatAuthValue } from './fields.ts';
import type { SipRequest } from './message.ts';
import { type Param, Params } from './params.ts';
import { parseUri, type Uri, uriKey } from './uri.ts';

/** What a server asks of those who shall prove who they are. */
export interface DigestServerOptions {
  /** Shown to users; part of what H(A1) is computed from. */
  readonly realm: string;
  /** What is offered, the preferred first (RFC 8760 §2.3). Default SHA-256, MD5. */
  readonly algorithms?: readonly DigestAlgorithm[];
  /**
   * The order for one peer. The default puts MD5, where it is offered, last for SIP.js and JsSIP: of several challenges
   * they read the last one, and they know only MD5. Deviation: RFC 8760 §2.3 wants our own preference, which would
   * shut them out where MD5 is not the least preferred.
   */
  readonly order?: (algorithms: readonly DigestAlgorithm[], request: SipRequest) => readonly DigestAlgorithm[];
  /** How long a nonce is good, in milliseconds. Default 300000. */
  readonly nonceLifetime?: number;
  /** For how many nonces the counts are remembered. Beyond it the oldest is as good as expired. Default 10000. */
  readonly rememberedNonces?: number;
  /** Signs the nonces; shared by servers that shall know each other's. Default: random. */
  readonly secret?: Uint8Array;
  /**
   * Whether credentials made for `uri` may serve this request (RFC 8760 §2.6 number 6: proxies rewrite Request-URIs).
   * Default: the same user and host, or the same user, or the same host as the Request-URI's.
   */
  readonly accepts?: (uri: Uri, request: SipRequest) => boolean;
}

/** Well-formed credentials with a nonce of ours that is not expired; `DigestServer.check` says what they are worth. */
export interface DigestClaim {
  readonly username: string;
  readonly realm: string;
  readonly algorithm: DigestAlgorithm;
  readonly response: string;
  /** What the response must be for a user whose H(A1) that is. */
  readonly expected: (ha1: string) => string;
  /** Notes that the nonce count is used. */
  readonly use: () => 'fresh' | 'stale' | 'replayed';
}

/** Why a request must be challenged. */
export interface DigestChallenge {
  readonly challenge:
    /** No credentials for this realm and our algorithms. */
    | 'none'
    /** Their nonce is expired, or forgotten, or not ours. */
    | 'stale'
    /** Their nonce count has been used. */
    | 'replayed'
    /** No such user, or the password is wrong. */
    | 'wrong';
}

/** The H(A1) of a user (`digestHa1`) for the algorithm the client chose; `undefined` when there is no such user. */
export type Ha1Lookup = (
  username: string,
  realm: string,
  algorithm: DigestAlgorithm,
) => string | undefined | Promise<string | undefined>;

/** The nonce counts that one nonce has seen: the highest, and which of the 31 below it. */
interface Counts {
  readonly issued: number;
  highest: number;
  seen: number;
}

const STAMP = 6;
const SALT = 6;
const SIGNATURE = 16;

/** MD5 after the others for clients that read only the last challenge and know nothing better. */
function orderForPeer(algorithms: readonly DigestAlgorithm[], request: SipRequest): readonly DigestAlgorithm[] {
  if (!/^(?:SIP\.js|JsSIP)\b/i.test(request.headers.get('User-Agent') ?? '')) return algorithms;
  return [...algorithms].sort((a, b) => Number(a === 'MD5') - Number(b === 'MD5'));
}

function acceptsRewritten(uri: Uri, request: SipRequest): boolean {
  if (uri.kind !== 'sip' || request.uri.kind !== 'sip') return uriKey(uri) === uriKey(request.uri);
  return uri.host === request.uri.host || (uri.user !== undefined && uri.user === request.uri.user);
}

/**
 * Challenges requests and checks the credentials that answer (RFC 7616, RFC 8760; RFC 3261 §22). Nonces are signed, so
 * nothing is kept for a challenge; only counts of nonces that were used are, in a bounded table.
 */
export class DigestServer {
  readonly #realm: string;
  readonly #algorithms: readonly DigestAlgorithm[];
  readonly #order: NonNullable<DigestServerOptions['order']>;
  readonly #accepts: NonNullable<DigestServerOptions['accepts']>;
  readonly #nonceLifetime: number;
  readonly #rememberedNonces: number;
  readonly #secret: Uint8Array;
  readonly #opaque: string;
  readonly #counts = new Map<string, Counts>();
  /** Nonces issued up to then whose counts are not known any more are stale. */
  #forgotten = -1;

  constructor(options: DigestServerOptions) {
    this.#realm = options.realm;
    this.#algorithms = options.algorithms ?? ['SHA-256', 'MD5'];
    this.#order = options.order ?? orderForPeer;
    this.#accepts = options.accepts ?? acceptsRewritten;
    this.#nonceLifetime = options.nonceLifetime ?? 300_000;
    this.#rememberedNonces = options.rememberedNonces ?? 10_000;
    this.#secret = options.secret ?? randomBytes(32);
    this.#opaque = this.#sign('opaque').toString('hex');
  }

  /** The headers of a 401: one challenge for each algorithm (RFC 8760 §2.3), all with the same new nonce. */
  challenge(request: SipRequest, now: number, why: DigestChallenge['challenge'] = 'none'): readonly HeaderLine[] {
    const nonce = this.#newNonce(now);
    // "stale" says that the password need not be asked for again (RFC 7616 §3.3).
    const stale = why === 'stale' || why === 'replayed';
    return this.#order(this.#algorithms, request).map((algorithm) => {
      const list: Param[] = [
        { name: 'realm', value: this.#realm, quoted: true },
        { name: 'nonce', value: nonce, quoted: true },
        { name: 'opaque', value: this.#opaque, quoted: true },
        { name: 'qop', value: 'auth', quoted: true },
        { name: 'algorithm', value: algorithm },
        { name: 'charset', value: 'UTF-8' }, // RFC 7616 §4
        ...(stale ? [{ name: 'stale', value: 'true' }] : []),
      ];
      return { name: 'WWW-Authenticate', value: formatAuthValue({ scheme: 'Digest', params: new Params(list) }) };
    });
  }

  /**
   * Whether a request proves its sender: the user's name, or why to challenge it. `now` in milliseconds.
   * @throws SipError 400 when the credentials are malformed or made for another resource (RFC 7616 §3.4.6)
   */
  async verify(
    request: SipRequest,
    now: number,
    lookup: Ha1Lookup,
  ): Promise<{ readonly username: string } | DigestChallenge> {
    const claim = this.claim(request, now);
    if ('challenge' in claim) return claim;
    return this.check(claim, await lookup(claim.username, claim.realm, claim.algorithm));
  }

  /** The first half of `verify`: all that can be said without knowing the user. */
  claim(request: SipRequest, now: number): DigestClaim | DigestChallenge {
    const credentials = request.authorization.find((value) => this.#isOurs(value));
    if (credentials === undefined) return { challenge: 'none' };
    const { params } = credentials;
    const variant = parseDigestVariant(params.get('algorithm'));
    if (variant === undefined || variant.session || !this.#algorithms.includes(variant.algorithm)) {
      return { challenge: 'none' };
    }
    const username = usernameOf(params);
    const nonce = required(params, 'nonce');
    const uri = required(params, 'uri');
    const response = required(params, 'response').toLowerCase();
    const qop = params.has('qop') ? ('auth' as const) : undefined;
    if (qop !== undefined && params.get('qop')?.toLowerCase() !== qop)
      throw new SipError(400, 'bad qop in Authorization');
    // Without qop there is no count: the nonce is good for once.
    const nc = qop === undefined ? '00000001' : required(params, 'nc');
    const cnonce = qop === undefined ? '' : required(params, 'cnonce');
    if (!/^[0-9a-f]{8}$/i.test(nc)) throw new SipError(400, 'bad nc in Authorization');
    if (!this.#accepts(parseUri(uri), request)) throw new SipError(400, 'credentials made for another URI');

    const issued = this.#issued(nonce);
    if (issued === undefined || now - issued > this.#nonceLifetime || issued > now) return { challenge: 'stale' };
    const { method, body } = request;
    const input = { variant, nonce, nc, cnonce, method, uri, body, ...(qop === undefined ? undefined : { qop }) };
    return {
      username,
      realm: this.#realm,
      algorithm: variant.algorithm,
      response,
      expected: (ha1) => digestResponse({ ...input, ha1 }),
      use: () => this.#use(nonce, issued, Number.parseInt(nc, 16), now),
    };
  }

  /**
   * The second half of `verify`, given the user's H(A1); takes as long for a user that does not exist. The nonce count
   * is used up by right answers only, so that wrong ones cannot fill the table.
   */
  check(claim: DigestClaim, ha1: string | undefined): { readonly username: string } | DigestChallenge {
    const expected = Buffer.from(claim.expected(ha1?.toLowerCase() ?? this.#opaque));
    const response = Buffer.from(claim.response);
    const right = expected.length === response.length && timingSafeEqual(expected, response);
    if (!right || ha1 === undefined) return { challenge: 'wrong' };
    const use = claim.use();
    return use === 'fresh' ? { username: claim.username } : { challenge: use };
  }

  #isOurs({ scheme, params }: AuthValue): boolean {
    return scheme.toLowerCase() === 'digest' && params.get('realm') === this.#realm;
  }

  #sign(data: string | Uint8Array): Buffer {
    return createHmac('sha256', this.#secret)
      .update(this.#realm)
      .update('\0')
      .update(data)
      .digest()
      .subarray(0, SIGNATURE);
  }

  #newNonce(now: number): string {
    const head = Buffer.allocUnsafe(STAMP + SALT);
    head.writeUIntBE(now, 0, STAMP);
    randomBytes(SALT).copy(head, STAMP);
    return Buffer.concat([head, this.#sign(head)]).toString('base64url');
  }

  /** When we issued a nonce; `undefined` when it is none of ours. */
  #issued(nonce: string): number | undefined {
    const bytes = Buffer.from(nonce, 'base64url');
    // A nonce in another spelling of the same bytes would have a count of its own.
    if (bytes.length !== STAMP + SALT + SIGNATURE || bytes.toString('base64url') !== nonce) return undefined;
    const head = bytes.subarray(0, STAMP + SALT);
    return timingSafeEqual(bytes.subarray(STAMP + SALT), this.#sign(head)) ? head.readUIntBE(0, STAMP) : undefined;
  }

  /** Notes that a nonce count is used. Counts may arrive out of order, as requests do, within 32. */
  #use(nonce: string, issued: number, count: number, now: number): 'fresh' | 'stale' | 'replayed' {
    const counts = this.#counts.get(nonce);
    if (counts === undefined) {
      if (issued <= this.#forgotten) return 'stale';
      this.#remember(nonce, { issued, highest: count, seen: 1 }, now);
      return 'fresh';
    }
    const behind = counts.highest - count;
    if (behind < 0) {
      counts.seen = -behind > 31 ? 1 : (counts.seen << -behind) | 1;
      counts.highest = count;
      return 'fresh';
    }
    if (behind > 31 || (counts.seen & (1 << behind)) !== 0) return 'replayed';
    counts.seen |= 1 << behind;
    return 'fresh';
  }

  #remember(nonce: string, counts: Counts, now: number): void {
    for (const [old, { issued }] of this.#counts) {
      if (this.#counts.size < this.#rememberedNonces && now - issued <= this.#nonceLifetime) break;
      this.#counts.delete(old);
      this.#forgotten = Math.max(this.#forgotten, issued);
    }
    this.#counts.set(nonce, counts);
  }
}

function required(params: Params, name: string): string {
  const value = params.get(name);
  if (value === undefined || value === '') throw new SipError(400, `no ${name} in Authorization`);
  return value;
}

/** `username`, or `username*` with its extended notation; never both (RFC 7616 §3.4). */
function usernameOf(params: Params): string {
  const extended = params.get('username*');
  if (extended === undefined) return required(params, 'username');
  const match = /^UTF-8'[^']*'(.*)$/i.exec(extended);
  if (params.has('username') || match === null) throw new SipError(400, 'bad username in Authorization');
  try {
    return decodeURIComponent(match[1] ?? '');
  } catch {
    throw new SipError(400, 'bad username in Authorization');
  }
}
