import { createHash } from 'node:crypto';

/*
 * The computations of Digest access authentication (RFC 7616 §3.4, RFC 8760): who challenges is in `digest-server.ts`,
 * who answers in `digest-client.ts`.
 */

/** The hash algorithms, weakest first (RFC 7616 §6.1). */
export const DIGEST_ALGORITHMS = ['MD5', 'SHA-256', 'SHA-512-256'] as const;

/** A hash algorithm by its registered name. */
export type DigestAlgorithm = (typeof DIGEST_ALGORITHMS)[number];

/** What the `algorithm` parameter names. */
export interface DigestVariant {
  readonly algorithm: DigestAlgorithm;
  /** The `-sess` variant (RFC 7616 §3.4.2). */
  readonly session: boolean;
}

/** An `algorithm` parameter; MD5 where there is none (RFC 7616 §3.3). `undefined`: not known here. */
export function parseDigestVariant(value: string | undefined): DigestVariant | undefined {
  const name = (value ?? 'MD5').toUpperCase();
  const session = name.endsWith('-SESS');
  const base = session ? name.slice(0, -5) : name;
  const algorithm = DIGEST_ALGORITHMS.find((known) => known === base);
  return algorithm && { algorithm, session };
}

const HASHES: Readonly<Record<DigestAlgorithm, string>> = {
  MD5: 'md5',
  'SHA-256': 'sha256',
  'SHA-512-256': 'sha512-256',
};

/** H(data) of RFC 7616 §3.3, in lower-case hexadecimal. */
export function digestHash(algorithm: DigestAlgorithm, data: string | Uint8Array): string {
  return createHash(HASHES[algorithm]).update(data).digest('hex');
}

/** H(A1) of a user, as a server keeps it instead of a password (RFC 7616 §3.4.2, without `-sess`). */
export function digestHa1(algorithm: DigestAlgorithm, username: string, realm: string, password: string): string {
  return digestHash(algorithm, `${username}:${realm}:${password}`);
}

/** What a response is computed from. */
export interface DigestInput {
  readonly variant: DigestVariant;
  /** H(username:realm:password). */
  readonly ha1: string;
  readonly nonce: string;
  /** Absent: as RFC 2069 and RFC 3261 peers without qop compute it. */
  readonly qop?: 'auth' | 'auth-int';
  /** Eight hexadecimal digits. */
  readonly nc: string;
  readonly cnonce: string;
  /** '' for the `rspauth` of a response (RFC 7616 §3.5). */
  readonly method: string;
  /** The `uri` parameter as it stands. */
  readonly uri: string;
  /** For auth-int. */
  readonly body: Uint8Array;
}

/** The `response` parameter (RFC 7616 §3.4.1). */
export function digestResponse(input: DigestInput): string {
  const { variant, nonce, qop, nc, cnonce, uri } = input;
  const hash = (data: string | Uint8Array): string => digestHash(variant.algorithm, data);
  const ha1 = variant.session ? hash(`${input.ha1}:${nonce}:${cnonce}`) : input.ha1;
  const ha2 = hash(qop === 'auth-int' ? `${input.method}:${uri}:${hash(input.body)}` : `${input.method}:${uri}`);
  return hash(qop === undefined ? `${ha1}:${nonce}:${ha2}` : `${ha1}:${nonce}:${nc}:${cnonce}:${qop}:${ha2}`);
}
