/** `grouptextchat check-config`: what is wrong with the files that a configuration names. */
import type { Contradiction } from '../config/network.ts';
import type { Config } from '../config/schema.ts';
import { CertificateError, readCertificate } from '../ops/certificate.ts';

/** Why certificate and key cannot be used; empty when they can, or there are none. */
export function unusableFiles({ tls: { certificate, key } }: Config): readonly Contradiction[] {
  if (certificate === null || key === null) return [];
  try {
    readCertificate(certificate, key);
    return [];
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    return [{ keys: ['tls.certificate', 'tls.key'], message: error.message }];
  }
}
