/** Certificates for TLS: the operator's own, or one made on the spot and named by its fingerprint (RFC 4975 §14.4). */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { generate } from 'selfsigned';

/** A certificate chain with its key, both PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
  /** The same as Node's TLS wants it. */
  readonly tls: { readonly cert: string; readonly key: string };
  /** SHA-256 of the certificate as `a=fingerprint` has it: pairs of capital hex digits with colons (RFC 8122 §5). */
  readonly fingerprint: string;
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
  const certificate = read(certificateFile);
  const key = read(keyFile);
  try {
    createSecureContext({ cert: certificate, key });
    if (!new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))) throw new Error('they do not match');
    return described(certificate, key, false);
  } catch (error) {
    throw new CertificateError(`${certificateFile} and ${keyFile} are no certificate and its key: ${reasonOf(error)}`);
  }
}

function described(certificate: string, key: string, selfSigned: boolean): Certificate {
  const { fingerprint256, validTo } = new X509Certificate(certificate);
  return {
    certificate,
    key,
    tls: { cert: certificate, key },
    fingerprint: fingerprint256,
    selfSigned,
    expires: new Date(validTo),
  };
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CertificateError(`${file} cannot be read: ${reasonOf(error)}`);
  }
}

const isAddress = (host: string): boolean => /^[\d.]+$/.test(host) || host.includes(':');

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
