import { type Answer, type DigestChallenge, digestHa1, DigestServer, type SipRequest } from '../../sip/index.ts';
import type { ChatRoom } from '../chat/room.ts';
import type { Newcomer } from '../chat/rules.ts';
import type { RoomUri } from '../conference/ids.ts';
import { Recent } from '../conference/recent.ts';
import type { Refusal } from '../policy/refusal.ts';
import { refusalAnswer } from './refusals.ts';

/** What a request shows of a room's PIN. */
export interface PinShown extends Pick<Newcomer, 'pin' | 'pinProof'> {
  /** Why it is to be challenged when it is not let in without the PIN; undefined: it has the PIN in its URI. */
  readonly challenge: DigestChallenge['challenge'] | undefined;
}

/**
 * Rooms whose nonces are known at a time, and nonces of each whose counts are remembered. What is forgotten is asked for once
 * more, as stale, so nobody needs another number.
 */
const ROOMS = 1000;
const NONCES = 1000;

/**
 * Asks for the PIN of a room by digest (RFC 3261 §22, RFC 8760), in the realm of the room: any user name, the PIN as the
 * password. Who has dialled a PIN (`;pin=4711`) is asked for none.
 */
export class PinGate {
  readonly #now: () => number;
  readonly #asks: boolean;
  readonly #dialled: (room: RoomUri) => string;
  readonly #servers = new Recent<RoomUri, DigestServer>(ROOMS);

  /**
   * @param asks whether it asks at all; without that only who has dialled the PIN is let in
   * @param dialled a room's URI as people dial it: a realm is the only one of its name in the world, and is shown to people
   *   (RFC 3261 §22.1). It is the same by whatever name of the domain a room is called, or clients would be asked once more.
   */
  constructor(now: () => number, asks: boolean, dialled: (room: RoomUri) => string) {
    this.#now = now;
    this.#asks = asks;
    this.#dialled = dialled;
  }

  /** What a request shows. Throws SipError 400 for credentials that cannot be read. */
  shownBy(request: SipRequest, room: ChatRoom): PinShown {
    const dialled = dialledPin(request);
    if (dialled !== undefined) return { pin: dialled, challenge: undefined };
    const { pin } = room.rules;
    if (!this.#asks || pin === undefined) return { challenge: undefined };
    const digest = this.#serverOf(room);
    const claim = digest.claim(request, this.#now());
    if ('challenge' in claim) return { challenge: claim.challenge };
    const result = digest.check(claim, digestHa1(claim.algorithm, claim.username, claim.realm, pin));
    if (!('challenge' in result)) return { pinProof: true, challenge: 'wrong' };
    return result.challenge === 'wrong' ? { pinProof: false, challenge: 'wrong' } : { challenge: result.challenge };
  }

  /** The answer to a request that is not let in: a challenge, where it lacks the PIN. */
  answer(request: SipRequest, room: ChatRoom, refusal: Refusal, { challenge }: PinShown): Answer {
    const answer = refusalAnswer(refusal);
    const lacksPin = refusal.refused === 'pin-needed' || refusal.refused === 'pin-wrong';
    if (!lacksPin || challenge === undefined) return answer;
    const asked = this.#serverOf(room).challenge(request, this.#now(), challenge);
    return { status: 401, headers: [...(answer.headers ?? []), ...asked] };
  }

  #serverOf({ uri }: ChatRoom): DigestServer {
    const known = this.#servers.get(uri);
    if (known !== undefined) return known;
    const made = new DigestServer({ realm: this.#dialled(uri).replace(/^sips?:/, ''), rememberedNonces: NONCES });
    this.#servers.set(uri, made);
    return made;
  }
}

/** The PIN that was dialled with the URI: `sip:room@example.com;pin=4711`. */
export function dialledPin({ uri }: SipRequest): string | undefined {
  return uri.kind === 'sip' ? uri.params.get('pin') : undefined;
}
