import type { Config } from '../config/schema.ts';
import { type Certificate, CertificateError, makeCertificate, readCertificate } from '../ops/certificate.ts';

/** The certificate that the service shows, and who must hear when it is another. */
export class Certificates {
  #current: Certificate;
  readonly #followers: ((certificate: Certificate) => void)[] = [];

  private constructor(first: Certificate) {
    this.#current = first;
  }

  /** The configured certificate, or one made for these names. Rejects with `CertificateError`. */
  static async open(config: Config, names: readonly string[]): Promise<Certificates> {
    const bare = names.map((name) => name.replace(/^\[|\]$/g, ''));
    return new Certificates(configured(config) ?? (await makeCertificate(bare)));
  }

  get current(): Certificate {
    return this.#current;
  }

  /** From now on the function is given each certificate that takes the place of the current one. */
  follow(follower: (certificate: Certificate) => void): void {
    this.#followers.push(follower);
  }

  /** Reads the files again. One that was made stays; so does the current one when the files cannot be used. */
  renew(config: Config): 'unchanged' | 'renewed' | CertificateError {
    if (this.#current.selfSigned) return 'unchanged';
    try {
      const next = configured(config);
      if (next === undefined || next.fingerprint === this.#current.fingerprint) return 'unchanged';
      this.#current = next;
    } catch (fault) {
      if (fault instanceof CertificateError) return fault;
      throw fault;
    }
    for (const follower of this.#followers) follower(this.#current);
    return 'renewed';
  }
}

function configured({ tls: { certificate, key } }: Config): Certificate | undefined {
  return certificate === null || key === null ? undefined : readCertificate(certificate, key);
}
