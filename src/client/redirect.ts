import type { URI } from 'sip.js';
import { ClientError } from './errors.ts';
import { parseRoomUri } from './identity.ts';
import type { ResponseHead } from './refusal.ts';
import { MOVED_TO } from './sip-transport.ts';

/** Most addresses that are called for one room. */
const MAX_TARGETS = 5;

/** Where an answer says that the room is now: the addresses of its Contacts, best first; none where it does not say so. */
export function movedTo(answer: ResponseHead): readonly string[] {
  const { statusCode = 0 } = answer;
  // 305 names a proxy, 380 another service.
  if (statusCode < 300 || statusCode > 302) return [];
  const contacts = answer.getHeaders(MOVED_TO).flatMap((value) => {
    const elements = value.replace(/"(?:[^"\\]|\\.)*"/g, '').match(/(?:<[^<>]*>|[^,<])+/g) ?? [];
    return elements.flatMap((element) => {
      const [all = '', within, bare = ''] = /^[^<]*<\s*([^<>\s]+)\s*>|^\s*([^\s;<>]+)/.exec(element) ?? [];
      const q = /;\s*q\s*=\s*([01](?:\.\d{0,3})?)/i.exec(element.slice(all.length))?.[1] ?? '1';
      return all === '' ? [] : [{ address: within ?? bare, q: Number(q) }];
    });
  });
  return contacts.toSorted((a, b) => b.q - a.q).map(({ address }) => address);
}

/**
 * The addresses at which a room is called, each once (RFC 3261 §8.1.3.4): its own, and those to which it has moved, as far
 * as we can call them by our server.
 */
export class Targets {
  readonly #known: Set<string>;
  #waiting: readonly URI[] = [];

  /** @param room is being called */
  constructor(room: URI) {
    this.#known = new Set([room.toString()]);
  }

  /** Whom to call after one who has named these, which are called before what is left; undefined: nobody. */
  after(called: URI, addresses: readonly string[]): URI | undefined {
    const found: URI[] = [];
    for (const address of addresses) {
      const uri = callable(address);
      // From an address that promises security to one that does not, its user may go himself, knowing that.
      if (uri === undefined || (called.scheme === 'sips' && uri.scheme !== 'sips')) continue;
      const key = uri.toString();
      if (this.#known.has(key) || this.#known.size >= MAX_TARGETS) continue;
      this.#known.add(key);
      found.push(uri);
    }
    const [next, ...others] = [...found, ...this.#waiting];
    this.#waiting = others;
    return next;
  }
}

/** A Contact as a Request-URI: without method, and without headers, of which an INVITE of ours can honour none (§19.1.5). */
function callable(address: string): URI | undefined {
  if (!/^sips?:/i.test(address)) return undefined;
  try {
    const uri = parseRoomUri(address);
    uri.clearHeaders();
    uri.deleteParam('method');
    return uri;
  } catch (fault) {
    if (fault instanceof ClientError) return undefined;
    throw fault;
  }
}
