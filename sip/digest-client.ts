import { randomBytes } from 'node:crypto';
import { DIGEST_ALGORITHMS, digestHa1, digestResponse, type DigestVariant, parseDigestVariant } from './digest.ts';
import type { HeaderLine } from './errors.ts';
import { type AuthValue, formatAuthValue } from './fields.ts';
import type { SipRequest, SipResponse } from './message.ts';
import { type Param, Params } from './params.ts';

/** Who we are, to those who challenge us. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** A challenge that we can answer. */
interface Answerable {
  /** The header that carries the answer. */
  readonly header: 'Authorization' | 'Proxy-Authorization';
  readonly realm: string;
  readonly params: Params;
  readonly variant: DigestVariant;
  readonly qop: 'auth' | 'auth-int' | undefined;
}

/** A challenge that was answered, with the count of requests that used its nonce (RFC 7616 §3.4 nc). */
interface Session extends Answerable {
  count: number;
}

/** At most so many realms are remembered; a path has one or two. */
const MAX_SESSIONS = 16;

/**
 * Answers challenges as a client (RFC 7616, RFC 8760 §2.4): of several challenges of a realm the strongest algorithm
 * that we know. Keeps the last challenge of each realm, so that later requests carry credentials unasked.
 */
export class DigestClient {
  readonly #credentials: (realm: string) => Credentials | undefined;
  readonly #newCnonce: () => string;
  readonly #sessions = new Map<string, Session>();

  /** `newCnonce` is there for tests. */
  constructor(
    credentials: (realm: string) => Credentials | undefined,
    newCnonce = (): string => randomBytes(12).toString('base64url'),
  ) {
    this.#credentials = credentials;
    this.#newCnonce = newCnonce;
  }

  /**
   * The Authorization and Proxy-Authorization lines for the next try of a request that was answered 401 or 407:
   * they replace those it had. `undefined` when there is no more to try: no challenge we understand, no credentials,
   * or they were refused already (RFC 3261 §22.2: not the same credentials again).
   */
  answer(request: SipRequest, response: SipResponse): readonly HeaderLine[] | undefined {
    const challenges = strongestByRealm([
      ...response.wwwAuthenticate.map((value) => answerable(value, 'Authorization')),
      ...response.proxyAuthenticate.map((value) => answerable(value, 'Proxy-Authorization')),
    ]);
    let answered = false;
    for (const challenge of challenges) {
      const stale = challenge.params.get('stale')?.toLowerCase() === 'true';
      if (this.#credentials(challenge.realm) === undefined) continue;
      if (!stale && triedBefore(request, challenge)) return undefined;
      this.#remember(challenge);
      answered = true;
    }
    return answered ? this.authorize(request) : undefined;
  }

  /** The Authorization and Proxy-Authorization lines for a request, from the challenges known so far. */
  authorize(request: SipRequest): readonly HeaderLine[] {
    const lines: HeaderLine[] = [];
    for (const session of this.#sessions.values()) {
      const credentials = this.#credentials(session.realm);
      // Without qop there is no count, and a server may take the nonce only once.
      if (credentials === undefined || (session.qop === undefined && session.count > 0)) continue;
      session.count++;
      lines.push({ name: session.header, value: this.#authorization(session, credentials, request) });
    }
    return lines;
  }

  #remember(challenge: Answerable): void {
    const key = `${challenge.header} ${challenge.realm}`;
    this.#sessions.delete(key);
    this.#sessions.set(key, { ...challenge, count: 0 });
    for (const oldest of this.#sessions.keys()) {
      if (this.#sessions.size <= MAX_SESSIONS) break;
      this.#sessions.delete(oldest);
    }
  }

  #authorization(session: Session, { username, password }: Credentials, request: SipRequest): string {
    const { realm, params, variant, qop } = session;
    const nonce = params.get('nonce') ?? '';
    const nc = session.count.toString(16).padStart(8, '0');
    const cnonce = this.#newCnonce();
    const uri = request.requestUri;
    const ha1 = digestHa1(variant.algorithm, username, realm, password);
    const { method, body } = request;
    const response = digestResponse({
      ...{ variant, ha1, nonce, nc, cnonce, method, uri, body },
      ...(qop === undefined ? undefined : { qop }),
    });
    const algorithm = params.get('algorithm');
    const opaque = params.get('opaque');
    const list: Param[] = [
      { name: 'username', value: username, quoted: true },
      { name: 'realm', value: realm, quoted: true },
      { name: 'nonce', value: nonce, quoted: true },
      { name: 'uri', value: uri, quoted: true },
      { name: 'response', value: response, quoted: true },
      ...(algorithm === undefined ? [] : [{ name: 'algorithm', value: algorithm }]),
      ...(qop === undefined && !variant.session ? [] : [{ name: 'cnonce', value: cnonce, quoted: true }]),
      ...(opaque === undefined ? [] : [{ name: 'opaque', value: opaque, quoted: true }]),
      ...(qop === undefined
        ? []
        : [
            { name: 'qop', value: qop },
            { name: 'nc', value: nc },
          ]),
    ];
    return formatAuthValue({ scheme: 'Digest', params: new Params(list) });
  }
}

function answerable({ scheme, params }: AuthValue, header: Answerable['header']): Answerable | undefined {
  const realm = params.get('realm');
  const variant = parseDigestVariant(params.get('algorithm'));
  if (scheme.toLowerCase() !== 'digest' || realm === undefined || variant === undefined || !params.has('nonce')) {
    return undefined;
  }
  const offered = params
    .get('qop')
    ?.toLowerCase()
    .split(',')
    .map((word) => word.trim());
  const qop =
    offered?.includes('auth') === true ? 'auth' : offered?.includes('auth-int') === true ? 'auth-int' : undefined;
  // Only qops we do not know: a challenge we do not understand is ignored (RFC 8760 §2.4).
  if (offered !== undefined && qop === undefined) return undefined;
  return { header, realm, params, variant, qop };
}

function strongestByRealm(challenges: readonly (Answerable | undefined)[]): readonly Answerable[] {
  const best = new Map<string, Answerable>();
  for (const challenge of challenges) {
    if (challenge === undefined) continue;
    const key = `${challenge.header} ${challenge.realm}`;
    const rival = best.get(key);
    if (rival === undefined || strength(challenge) > strength(rival)) best.set(key, challenge);
  }
  return [...best.values()];
}

function strength({ variant }: Answerable): number {
  return DIGEST_ALGORITHMS.indexOf(variant.algorithm);
}

/** Whether credentials made for a challenge just received were refused: those sent unasked may only be out of date. */
function triedBefore(request: SipRequest, { header, realm }: Answerable): boolean {
  const tried = header === 'Authorization' ? request.authorization : request.proxyAuthorization;
  return tried.some(
    ({ params }) => params.get('realm') === realm && Number.parseInt(params.get('nc') ?? '1', 16) === 1,
  );
}
