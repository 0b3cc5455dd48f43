import type { NameAddr } from './fields.ts';
import type { SipResponse } from './message.ts';
import { type SipUri, type Uri, uriEquals } from './uri.ts';

/** The addresses that 3xx responses to one request have named (RFC 3261 §8.1.3.4). */
export class Redirects {
  readonly #secure: boolean;
  readonly #known: Uri[];
  readonly #waiting: SipUri[] = [];
  #left: number;

  /** @param most how many are tried at most */
  constructor(first: Uri, most: number) {
    this.#known = [first];
    this.#secure = first.kind === 'sip' && first.scheme === 'sips';
    this.#left = most;
  }

  /**
   * Takes the Contacts of a 3xx, the highest q first.
   * @param passed hears of each that is not to be called, and why
   */
  note(response: SipResponse, passed: (uri: Uri, why: string) => void): void {
    const { contacts } = response;
    if (contacts === '*') return;
    for (const { uri: named } of [...contacts].sort((a, b) => weight(b) - weight(a))) {
      const taken = this.#read(named);
      if (typeof taken === 'string') {
        passed(named, taken);
        continue;
      }
      this.#known.push(taken);
      this.#waiting.push(taken);
    }
  }

  /** The address as it would be called, or why it is not. */
  #read(named: Uri): SipUri | string {
    if (named.kind !== 'sip') return 'only sip and sips URIs are called';
    // §8.1.3.4
    if (this.#secure && named.scheme !== 'sips') return 'from sips nobody is led to sip';
    // Without `method` and headers: they are not for a Request-URI, and would be of the redirector's choice.
    const uri = { ...named, params: named.params.without('method'), headers: [] };
    // Or it would go in circles.
    if (this.#known.some((known) => uriEquals(known, uri))) return 'was called already';
    return this.#left <= this.#waiting.length ? 'one address too many' : uri;
  }

  /** The next address to try. */
  next(): SipUri | undefined {
    const uri = this.#waiting.shift();
    if (uri !== undefined) this.#left--;
    return uri;
  }
}

/** RFC 3261 §20.10: without q, 1 is meant. */
function weight({ params }: NameAddr): number {
  const q = Number(params.get('q') ?? 1);
  return Number.isFinite(q) ? q : 1;
}
