import { type Answer, type DigestServer, type Flow, parseUri, type SipRequest, type Uri } from '../../sip/index.ts';
import type { Domains } from '../chat/domains.ts';
import { type Caller, callerOf, type Gate } from './caller.ts';

/** What the gate of a service with accounts is made with. */
export interface DigestGateParts {
  readonly digest: DigestServer;
  /** A user's H(A1) in hexadecimal; undefined when there is no such user. */
  readonly ha1: (user: string, algorithm: 'MD5' | 'SHA-256') => string | undefined;
  /** The domain of the accounts: `sip:NAME@domain` is who a user is, whatever name of ours was dialled. */
  readonly domain: string;
  readonly domains: Domains;
  readonly now: () => number;
  /** A line for the operator. */
  readonly warn: (line: string) => void;
}

/** Lets in who proves to be in the user file (RFC 3261 §22, RFC 8760); the From is then no more than a name to show. */
export class DigestGate implements Gate {
  readonly #parts: DigestGateParts;

  constructor(parts: DigestGateParts) {
    this.#parts = parts;
  }

  async admit(request: SipRequest, flow: Flow): Promise<Caller | Answer> {
    const { digest, ha1, now } = this.#parts;
    let claimed = '';
    const proof = await digest.verify(request, now(), (user, _realm, algorithm) => {
      claimed = user;
      return algorithm === 'MD5' || algorithm === 'SHA-256' ? ha1(user, algorithm) : undefined;
    });
    if ('challenge' in proof) {
      if (proof.challenge === 'wrong') {
        // The address first: what a stranger calls himself must not be taken for one.
        const { address } = flow.remote;
        this.#parts.warn(
          `${address}: wrong credentials for ${JSON.stringify(claimed.slice(0, 64))} in ${request.method} (${flow.id})`,
        );
      }
      return { status: 401, headers: digest.challenge(request, now(), proof.challenge) };
    }
    const identity = parseUri(`sip:${proof.username}@${this.#parts.domain}`);
    return callerOf(request, flow, identity, (one, other) => this.#isSame(one, other));
  }

  /** All names of ours are one domain. */
  #isSame(identity: Uri, from: Uri): boolean {
    if (identity.kind !== 'sip' || from.kind !== 'sip') return false;
    return from.user === identity.user && this.#parts.domains.serves(from.host);
  }
}
