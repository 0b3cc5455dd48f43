/** Certificates for TLS: the operator's own, or one made on the spot and named by its fingerprint (RFC 4975 §14.4). */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { generate } from 'selfsigned';
import { certificateDigest } from '../../msrp/node.ts';

/** A certificate chain with its key, both PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
  /** The same as Node's TLS wants it. */
  readonly tls: { readonly cert: string; readonly key: string };
  /** SHA-256 of the certificate as `a=fingerprint` has it: pairs of capital hex digits with colons (RFC 8122 §5). */
  readonly fingerprint: string;
  /**
   * The same, and that by the hash function of the certificate's own signature where it is another, as RFC 8122 §5.1 has
   * both given.
   */
  readonly fingerprints: readonly { readonly hash: string; readonly value: string }[];
  /** Whether we made it ourselves, so that only the fingerprint vouches for it. */
  readonly selfSigned: boolean;
  readonly expires: Date;
}

/** The files cannot be used as certificate and key. The message says which and why. */
export class CertificateError extends Error {
  override readonly name = 'CertificateError';
}

/** Made anew at each start, and vouched for by its fingerprint alone: it only must not end while the service runs. */
const VALID_DAYS = 3650;

/**
 * Makes a certificate that signs itself, for the given host names and IP addresses, with an EC key (P-256). It is good
 * for ten years from an hour ago, for clocks that are slow.
 *
 * Deviation: RFC 4975 §14.2 wants TLS_RSA_WITH_AES_128_CBC_SHA, which no EC key can serve, and which has no forward secrecy
 * (RFC 9325 §4.1 advises against it). With an RSA certificate of the operator's own it is there.
 */
export async function makeCertificate(hosts: readonly string[], now: Date = new Date()): Promise<Certificate> {
  const notBeforeDate = new Date(now.getTime() - 3_600_000);
  const notAfterDate = new Date(notBeforeDate.getTime() + VALID_DAYS * 86_400_000);
  const made = await generate([{ name: 'commonName', value: hosts[0] ?? 'grouptextchat' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    notBeforeDate,
    notAfterDate,
    extensions: [
      { name: 'basicConstraints', cA: false },
      { name: 'keyUsage', digitalSignature: true },
      { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
      {
        name: 'subjectAltName',
        altNames: hosts.map((host) => (isAddress(host) ? { type: 7, ip: host } : { type: 2, value: host })),
      },
    ],
  });
  return described(made.cert, made.private, true);
}

/** Reads the operator's certificate chain and key. Throws `CertificateError`. */
export function readCertificate(certificateFile: string, keyFile: string): Certificate {
  const [certificate, key] = [read(certificateFile), read(keyFile)];
  if (typeof certificate !== 'string' || typeof key !== 'string') {
    const unread = [certificate, key].filter((text) => text instanceof CertificateError);
    throw new CertificateError(unread.map(({ message }) => message).join('; '));
  }
  try {
    createSecureContext({ cert: certificate, key });
    if (!new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))) throw new Error('they do not match');
    return described(certificate, key, false);
  } catch (error) {
    throw new CertificateError(`${certificateFile} and ${keyFile} are no certificate and its key: ${reasonOf(error)}`);
  }
}

function described(certificate: string, key: string, selfSigned: boolean): Certificate {
  const { fingerprint256, raw, validTo } = new X509Certificate(certificate);
  const hashes = new Set(['sha-256', signatureHash(raw) ?? 'sha-256']);
  return {
    certificate,
    key,
    tls: { cert: certificate, key },
    fingerprint: fingerprint256,
    fingerprints: Array.from(hashes, (hash) => ({ hash, value: certificateDigest(raw, hash) ?? '' })),
    selfSigned,
    expires: new Date(validTo),
  };
}

/**
 * The hash function with which a certificate in DER is signed, by its names in RFC 8122 §5; undefined for one that has none
 * there. A certificate is a sequence of what is signed, the algorithm, and the signature (RFC 5280 §4.1).
 */
function signatureHash(raw: Buffer): string | undefined {
  const signed = contentAt(raw, contentAt(raw, 0).start);
  const { start, end } = contentAt(raw, signed.end);
  const algorithm = raw.toString('hex', start, end);
  return SIGNATURES.find(([oid]) => algorithm.includes(oid))?.[1];
}

/** Where the content of the element at `at` begins and ends. */
function contentAt(der: Buffer, at: number): { readonly start: number; readonly end: number } {
  const first = der[at + 1] ?? 0;
  const more = first < 0x80 ? 0 : first & 0x7f;
  const start = at + 2 + more;
  return { start, end: start + (more === 0 ? first : der.readUIntBE(at + 2, more)) };
}

/** Object identifiers as they stand there: of ECDSA (RFC 5758), of RSA (RFC 4055), and as a parameter of RSASSA-PSS. */
const SIGNATURES: readonly (readonly [string, string])[] = [
  ...(['sha-224', 'sha-256', 'sha-384', 'sha-512'] as const).map(
    (hash, index) => [`06082a8648ce3d04030${String(index + 1)}`, hash] as const,
  ),
  ...(['sha-256', 'sha-384', 'sha-512', 'sha-224'] as const).flatMap((hash, index) => [
    [`06092a864886f70d01010${(11 + index).toString(16)}`, hash] as const,
    [`060960864801650304020${String(index + 1)}`, hash] as const,
  ]),
  ['06092a864886f70d010105', 'sha-1'],
];

function read(file: string): string | CertificateError {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    return new CertificateError(`${file} cannot be read: ${reasonOf(error)}`);
  }
}

const isAddress = (host: string): boolean => /^[\d.]+$/.test(host) || host.includes(':');

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
