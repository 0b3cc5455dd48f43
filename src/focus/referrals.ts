import {
  type Answer,
  bodyOf,
  decodeEscaped,
  formatNameAddr,
  formatUri,
  type IncomingRefer,
  inspectBody,
  partById,
  type ReferProgress,
  type Uri,
  uriEquals,
  uriKey,
} from '../../sip/index.ts';
import type { Domains } from '../chat/domains.ts';
import type { ConferenceHost } from '../chat/host.ts';
import type { Order } from '../chat/orders.ts';
import type { ChatRoom } from '../chat/room.ts';
import type { UserUri } from '../conference/ids.ts';
import { parseResourceLists, type Recipient } from '../conference/resource-lists.ts';
import { dialledUri } from './arrival.ts';
import { canonicalUser, type Gate } from './caller.ts';
import { FOCUS_CONTACT } from './contact.ts';
import type { DialOut } from './dial-out.ts';
import type { LegMaker } from './leg-maker.ts';
import { ownLeg } from './own-leg.ts';
import type { PinGate } from './pin-gate.ts';
import { messageRefusal, refusalAnswer } from './refusals.ts';
import { readTarget } from './targets.ts';

/** What serving REFER needs. */
export interface ReferralParts {
  readonly host: ConferenceHost;
  readonly domains: Domains;
  readonly gate: Gate;
  readonly legs: LegMaker;
  readonly pins: PinGate;
  readonly dialOut: DialOut;
  /** Entries of one list at most. */
  readonly listEntries: number;
  /** A line for the operator on each REFER that is refused for what it asks. */
  readonly warn: (line: string) => void;
}

/** What a REFER may bring: a list (RFC 5368), and a token of who refers (RFC 3892 §4), at which nobody looks. */
const REFER_TYPES = [
  'application/resource-lists+xml',
  'message/sipfrag',
  'application/pkcs7-mime',
  'application/pkcs7-signature',
];

/** Who refers, and in which room. */
interface Referrer {
  readonly room: ChatRoom;
  readonly user: UserUri;
  /** The room's URI as he knows it. */
  readonly roomUri: string;
  /** For Referred-By. */
  readonly referredBy: string | undefined;
}

/** One thing that a REFER asks for. */
interface Reference {
  readonly uri: Uri;
  readonly method: string;
  readonly displayName?: string | undefined;
  /** The others shall not learn who it is (RFC 5364 §4). */
  readonly anonymize?: boolean;
  /** Linphone's `admin` parameter: whether the user is to be a moderator. */
  readonly admin?: boolean;
}

/** All that a REFER asks for. */
interface Request {
  readonly references: readonly Reference[];
  /** The list that they are shown who are called by it (RFC 5368 §8: not within a call). */
  readonly together: readonly Recipient[];
}

/** How one reference ended. */
type Done = (answer: Answer) => void;

/**
 * REFER to a conference: people are called into it, sent out of it, and given a role (RFC 4579 §5.5, §5.11).
 *
 * Deviation: RFC 5368 §8 has no subscription made for a list. Who does not say that he wants none (RFC 4488) waits for one,
 * and is told how it ended.
 */
export class Referrals {
  readonly #parts: ReferralParts;

  constructor(parts: ReferralParts) {
    this.#parts = parts;
  }

  /** From the user agent. */
  async onRefer(refer: IncomingRefer): Promise<void> {
    const referrer = await this.#referrer(refer);
    if ('status' in referrer) {
      refer.refuse(referrer);
      return;
    }
    const tooFast = referrer.room.rules.pace(referrer.user);
    if (tooFast !== undefined) {
      refer.refuse(refusalAnswer(tooFast));
      return;
    }
    const asked = this.#asked(refer, referrer);
    if ('status' in asked) {
      this.#refuse(refer, referrer, asked);
      return;
    }
    const unserved = asked.references.find(({ method }) => method !== 'INVITE' && method !== 'BYE');
    if (unserved !== undefined) {
      // RFC 3515 §2.4.2: nobody is made to send requests that he would not send for himself, REFER least of all.
      this.#refuse(refer, referrer, { status: 403, reason: `${unserved.method.slice(0, 20)} Is Not Referred` });
      return;
    }
    this.#carryOut(refer, referrer, asked);
  }

  /** Whoever is in the room may ask, and whoever proves to have a say in it; the rules judge what for. */
  async #referrer(refer: IncomingRefer): Promise<Referrer | Answer> {
    const { legs, gate, domains, host, pins } = this.#parts;
    const { request, flow, session } = refer;
    if (session !== undefined) {
      const { callId, localTag, remoteTag } = session.dialog;
      const leg = legs.inDialog(callId, localTag, remoteTag);
      if (leg === undefined || !(await leg.isIn())) return { status: 403, reason: 'Not in This Conference' };
      const { room, caller, roomUri } = leg;
      return { room, user: caller.user, roomUri, referredBy: referredBy(refer, caller.user) };
    }
    const caller = await gate.admit(request, flow);
    if ('status' in caller) return caller;
    const uri = domains.roomOf(request.uri);
    const room = uri === undefined ? undefined : host.find(uri);
    if (room === undefined) return { status: 404, reason: 'No Such Conference' };
    const shown = pins.shownBy(request, room);
    const leg =
      ownLeg(legs, room, { request, flow, caller, shown }) ??
      (caller.proven ? undefined : ({ refused: 'not-here' } as const));
    if (leg !== undefined && 'refused' in leg) {
      room.moderation.turnedAway(caller, leg);
      return pins.answer(request, room, leg, shown);
    }
    const roomUri = leg?.roomUri ?? dialledUri(request, domains);
    // Who gives no name is known by that of his call.
    const { user } = leg?.caller ?? caller;
    return { room, user, roomUri, referredBy: referredBy(refer, user) };
  }

  /** What a REFER asks for: one thing, or all of a list (RFC 5368 §8). */
  #asked({ request, session, referTo, method }: IncomingRefer, { room, user }: Referrer): Request | Answer {
    inspectBody(request, REFER_TYPES);
    const { uri, displayName, params } = referTo;
    if (uri.kind !== 'other' || uri.scheme !== 'cid') {
      const admin = params.get('admin') ?? (uri.kind === 'sip' ? uri.params.get('admin') : undefined);
      const reference = { uri, method, displayName, ...(admin === undefined ? {} : { admin: admin !== 'false' }) };
      return { references: [reference], together: [] };
    }
    const part = partById(bodyOf(request), uri.text);
    if (part?.type.type !== 'application/resource-lists+xml') {
      return { status: 400, reason: 'Refer-To Names No List in the Body' };
    }
    const list = parseResourceLists(part.body, { entries: this.#parts.listEntries });
    if ('refused' in list) return { status: list.refused, reason: list.reason };
    const references = list.flatMap(({ uri: text, displayName: name, anonymize }) => {
      const entry = readTarget(text);
      if (entry !== undefined) return [{ uri: entry, method: methodIn(entry), displayName: name, anonymize }];
      this.#parts.warn(`${room.uri}: ${user} by REFER: ${text.slice(0, 200)} is no URI`);
      return [];
    });
    if (references.length === 0) return { status: 400, reason: 'A List without a URI' };
    return { references, together: session === undefined ? list : [] };
  }

  #carryOut(refer: IncomingRefer, referrer: Referrer, { references, together }: Request): void {
    let progress: ReferProgress | undefined;
    let open = references.length;
    let best: Answer | undefined;
    const accept = (): void => {
      progress ??= refer.accept({ contact: FOCUS_CONTACT });
    };
    // Of several, the referrer is told that it worked when it did for one at least.
    const done: Done = (answer) => {
      open -= 1;
      if (best === undefined || answer.status < best.status) best = answer;
      if (open > 0) return;
      if (progress === undefined && best.status >= 300) {
        refer.refuse(best);
        return;
      }
      accept();
      progress?.report(best.status, best.reason);
    };
    const ringing = (status: number, reason?: string): void => {
      if (references.length === 1) progress?.report(status, reason);
    };
    let dialling = false;
    const endpoints = new EndpointUris(referrer.room);
    for (const reference of references) {
      if (this.#begin(referrer, { ...reference, together }, endpoints, done, ringing) === 'dialling') dialling = true;
    }
    if (dialling) accept();
  }

  #begin(
    { room, user, roomUri, referredBy: asked }: Referrer,
    { uri, method, displayName, anonymize = false, admin, together }: Reference & Pick<Request, 'together'>,
    endpoints: EndpointUris,
    done: Done,
    ringing: (status: number, reason?: string) => void,
  ): 'dialling' | undefined {
    if (method === 'BYE' || admin !== undefined) {
      const target = userNamed(room, uri, endpoints, this.#parts.domains);
      const order = target === undefined ? undefined : orderOf(target, method, admin);
      if (order === undefined) done({ status: 404, reason: 'Nobody Here Has That Address' });
      else {
        room.moderation.order(user, order, 'REFER', (carried) => {
          done(carried === 'done' ? { status: 200 } : messageRefusal(carried, false));
        });
      }
      return undefined;
    }
    const begun = this.#parts.dialOut.invite({
      room,
      target: uri,
      displayName,
      anonymize,
      together,
      by: user,
      way: 'REFER',
      roomUri,
      referredBy: asked,
      replaces: replacesIn(uri),
      report: (status, reason) => {
        if (status < 200) ringing(status, reason);
        else done({ status, ...(reason === undefined ? {} : { reason }) });
      },
    });
    if (begun === 'dialling') return begun;
    done(begun);
    return undefined;
  }

  #refuse(refer: IncomingRefer, { room, user }: Referrer, answer: Answer): void {
    const asked = formatUri(refer.referTo.uri).slice(0, 200);
    this.#parts.warn(
      `${room.uri}: ${user} by REFER: ${refer.method.slice(0, 20)} ${asked}: refused: ${answer.reason ?? ''}`,
    );
    refer.refuse(answer);
  }
}

/**
 * Referred-By as it came (RFC 3892 §2.2), if it names the referrer. Deviation: §2.2 has any copied, but nobody refers in the
 * name of another here; and a token (§4), which `cid` points to, is not passed on, since who could verify it has S/MIME.
 */
function referredBy({ request, referredBy: said }: IncomingRefer, user: UserUri): string | undefined {
  if (said === undefined || canonicalUser(said.uri) !== user) return undefined;
  if (!said.params.has('cid')) return request.headers.get('Referred-By');
  return formatNameAddr({ ...said, params: said.params.without('cid') });
}

/** The identity behind a URI of the roster, of a user or of one of his endpoints, or of somebody who is not in it. */
function userNamed(room: ChatRoom, uri: Uri, endpoints: EndpointUris, domains: Domains): UserUri | undefined {
  const bare = uri.kind === 'sip' ? { ...uri, headers: [] } : uri;
  const shown = canonicalUser(domains.person(bare));
  if (shown === undefined) return undefined;
  return room.conference.participant(shown)?.user ?? endpoints.ownerOf(bare) ?? shown;
}

/** The URIs of the endpoints in a room, read once for all that one REFER asks for. */
class EndpointUris {
  readonly #room: ChatRoom;
  #known: Map<string, { readonly uri: Uri; readonly user: UserUri }[]> | undefined;

  constructor(room: ChatRoom) {
    this.#room = room;
  }

  /** Whose endpoint the roster shows under that URI, whatever the URI is to have done. */
  ownerOf(uri: Uri): UserUri | undefined {
    const wanted = uri.kind === 'sip' ? { ...uri, params: uri.params.without('method') } : uri;
    this.#known ??= this.#read();
    return this.#known.get(uriKey(wanted))?.find((known) => uriEquals(known.uri, wanted))?.user;
  }

  #read(): Map<string, { readonly uri: Uri; readonly user: UserUri }[]> {
    const read = new Map<string, { readonly uri: Uri; readonly user: UserUri }[]>();
    for (const { user, endpoints } of this.#room.conference.users()) {
      for (const { key } of endpoints) {
        const uri = readTarget(key);
        if (uri === undefined) continue;
        const same = read.get(uriKey(uri));
        if (same === undefined) read.set(uriKey(uri), [{ uri, user }]);
        else same.push({ uri, user });
      }
    }
    return read;
  }
}

function orderOf(user: UserUri, method: string, admin: boolean | undefined): Order {
  if (method === 'BYE' || admin === undefined) return { order: 'kick', user };
  return { order: 'role', user, role: admin ? 'moderator' : 'participant' };
}

/** RFC 5368 §9 writes it as a header of the URI, others as a parameter. */
function methodIn(uri: Uri): string {
  if (uri.kind !== 'sip') return 'INVITE';
  const header = uri.headers.find(({ name }) => name.toLowerCase() === 'method')?.value;
  return (uri.params.get('method') ?? header ?? 'INVITE').toUpperCase();
}

/** The dialog that the call shall take the place of (RFC 4579 §5.10); no other header of the URI is sent. */
function replacesIn(uri: Uri): string | undefined {
  const value =
    uri.kind === 'sip' ? uri.headers.find(({ name }) => name.toLowerCase() === 'replaces')?.value : undefined;
  const text = value === undefined ? undefined : decodeEscaped(value);
  return text !== undefined && /^[\x21-\x7e]{1,400}$/.test(text) ? text : undefined;
}
