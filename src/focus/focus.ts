import {
  type Answer,
  formatUri,
  type IncomingInvite,
  type IncomingRefer,
  type IncomingRequest,
  type IncomingSubscribe,
  type OptionsAnswer,
  Params,
  SipError,
  type SipRequest,
  type SipUri,
  type Uri,
  type UserAgentHandlers,
} from '../../sip/index.ts';
import type { Domains } from '../chat/domains.ts';
import type { ConferenceHost, Release } from '../chat/host.ts';
import type { ChatRoom } from '../chat/room.ts';
import type { Seat } from '../chat/rules.ts';
import { sipReason } from '../chat/sip-reason.ts';
import type { RoomUri } from '../conference/ids.ts';
import type { Recipient } from '../conference/resource-lists.ts';
import { dialledUri, instanceOf, pastWish, reachedUri } from './arrival.ts';
import { callInfo } from './advertising.ts';
import type { Caller, Gate } from './caller.ts';
import { FOCUS_CONTACT } from './contact.ts';
import { type DialOut, why } from './dial-out.ts';
import type { ConferenceEvents } from './event-package.ts';
import type { Factory } from './factory.ts';
import type { FileCalls } from './file-calls.ts';
import { groupNamesOf } from './group-names.ts';
import type { Leg } from './leg.ts';
import type { LegMaker } from './leg-maker.ts';
import { bringsOnlyFiles } from './media-plan.ts';
import { openRoom } from './open-room.ts';
import { ownLeg } from './own-leg.ts';
import { type PeerTable, signsOf } from './peers.ts';
import type { PinGate } from './pin-gate.ts';
import { isListAlone, recipientsOf } from './recipient-list.ts';
import type { Referrals } from './referrals.ts';
import { refusalAnswer, THE_ROOM_ITSELF } from './refusals.ts';
import { replacedLeg } from './replacing.ts';
import { sdpContent, sdpOf } from './sdp-body.ts';
import { hearStranger } from './stranger.ts';
import { readTarget } from './targets.ts';
import { Turns } from './turns.ts';
import { noMediaAnswer } from './warnings.ts';

/** What the focus is made with. */
export interface FocusParts {
  readonly host: ConferenceHost;
  readonly domains: Domains;
  readonly gate: Gate;
  readonly peers: PeerTable;
  readonly legs: LegMaker;
  readonly fileCalls: FileCalls;
  readonly events: ConferenceEvents;
  readonly factory: Factory;
  readonly dialOut: DialOut;
  readonly referrals: Referrals;
  readonly pins: PinGate;
  /** Entries of a list of recipients, at most. */
  readonly listEntries: number;
  /** A line for the operator. */
  readonly warn: (line: string) => void;
}

/** What an INVITE is for, once it is known. */
interface Entry {
  readonly invite: IncomingInvite;
  readonly room: ChatRoom;
  readonly release: Release;
  readonly caller: Caller;
  /** The URI of the room: the one dialled, or that of a new one. */
  readonly uri: Uri;
}

/** Of those on a list who are not called, how many are named. */
const MAX_TOLD = 20;

/** The SIP user agent of all conferences (RFC 4353 §4.1, RFC 4579, RFC 7701 §5). */
export class Focus implements UserAgentHandlers {
  readonly #parts: FocusParts;
  readonly #turns = new Turns();
  #closing = false;

  constructor(parts: FocusParts) {
    this.#parts = parts;
  }

  /** From the user agent: somebody dials in (RFC 4579 §5.1). */
  async onInvite(invite: IncomingInvite): Promise<void> {
    const { request, flow } = invite;
    await this.#turns.take();
    const { host, domains, gate } = this.#parts;
    if (this.#closing) {
      invite.refuse({ status: 503, headers: [{ name: 'Retry-After', value: '30' }] });
      return;
    }
    const caller = await gate.admit(request, flow);
    if ('status' in caller) {
      invite.refuse(caller);
      return;
    }
    const made = this.#make(invite, caller);
    if (made === 'answered') return;
    const named = made ?? request.uri;
    const uri = domains.roomOf(named);
    if (uri !== undefined && domains.isRoom(uri, caller.user)) {
      invite.refuse(THE_ROOM_ITSELF);
      return;
    }
    const opened = uri === undefined ? undefined : await openRoom(host, uri, 'leg');
    if (opened === undefined) {
      invite.refuse({ status: 404, reason: 'No Such Conference' });
      return;
    }
    try {
      await this.#join({ invite, ...opened, caller, uri: made ?? reachedUri(request, domains) }, made?.user);
    } catch (fault) {
      // What cannot be read of the request may be found out late: a room that nobody comes into is let go.
      opened.release();
      throw fault;
    }
  }

  /** From the user agent. */
  onRefer(refer: IncomingRefer): Promise<void> {
    return this.#parts.referrals.onRefer(refer);
  }

  /** From the user agent. */
  onSubscribe(subscribe: IncomingSubscribe): Promise<void> {
    return this.#parts.events.onSubscribe(subscribe);
  }

  /**
   * From the user agent: is this a conference (RFC 4579 §4.3), and would it take who asks? The status is that of an INVITE
   * (RFC 3261 §11.2), but for the service itself, which has no user part (§11): that is there.
   */
  async onOptions({ request, flow, session }: IncomingRequest): Promise<OptionsAnswer> {
    const { gate, factory, domains, host } = this.#parts;
    if (session !== undefined) return { status: 200, contact: FOCUS_CONTACT };
    if (request.uri.kind !== 'sip' || request.uri.user === undefined) return { status: 200 };
    const caller = await gate.admit(request, flow);
    if ('status' in caller) return caller;
    if (factory.isMeant(request.uri)) {
      // RFC 5366 §5.1: it is no conference, and understands lists. Nothing is made of the question.
      const refusal = factory.refusal(caller);
      return refusal === undefined ? { status: 200 } : refusalAnswer(refusal);
    }
    const uri = domains.roomOf(request.uri);
    if (uri !== undefined && domains.isRoom(uri, caller.user)) return THE_ROOM_ITSELF;
    const opened = uri === undefined ? undefined : await openRoom(host, uri, 'watcher');
    if (opened === undefined) return { status: 404, reason: 'No Such Conference' };
    try {
      const seat = this.#seatFor(request, opened.room, caller);
      if ('status' in seat) return seat;
      seat.free();
      return { status: 200, contact: FOCUS_CONTACT };
    } finally {
      opened.release();
    }
  }

  /** From the user agent: a text from outside of a call, by somebody who is in one (RFC 3428). */
  async onMessage(incoming: IncomingRequest): Promise<Answer> {
    const { host, domains, gate, legs, pins } = this.#parts;
    const { request, flow } = incoming;
    const caller = await gate.admit(request, flow);
    if ('status' in caller) return caller;
    const uri = domains.roomOf(request.uri);
    if (uri !== undefined && domains.isRoom(uri, caller.user)) return THE_ROOM_ITSELF;
    const room = uri === undefined ? undefined : host.find(uri);
    if (room === undefined) return this.#hearInEmptyRoom(incoming.request, caller, uri);
    const shown = pins.shownBy(request, room);
    const leg = ownLeg(legs, room, { request, flow, caller, shown });
    if (leg !== undefined) return 'refused' in leg ? pins.answer(request, room, leg, shown) : leg.onMessage(incoming);
    return this.#hearStranger(request, caller, room);
  }

  /** A text for a room that nobody is in: it is kept for who comes, where the room is there all the same and allows it. */
  async #hearInEmptyRoom(request: SipRequest, caller: Caller, uri: RoomUri | undefined): Promise<Answer> {
    const { host } = this.#parts;
    const opened = uri !== undefined && host.isPermanent(uri) ? await openRoom(host, uri, 'watcher') : undefined;
    if (opened === undefined) return { status: 404, reason: 'No Such Conference' };
    try {
      return await this.#hearStranger(request, caller, opened.room);
    } finally {
      opened.release();
    }
  }

  #hearStranger(request: SipRequest, caller: Caller, room: ChatRoom): Promise<Answer> {
    const { peers, domains, pins } = this.#parts;
    const profile = peers.profileOf(signsOf(request));
    return hearStranger(request, { room, caller, profile, roomUri: dialledUri(request, domains), pins });
  }

  /** No further joins; everybody who is there is let go by BYE. */
  close(reason: string): void {
    this.#closing = true;
    this.#parts.fileCalls.close(reason);
    const legs = [...this.#parts.legs.alive];
    // All go, so nobody is told of the others: in a room of a thousand that would be a million lines.
    for (const { room, id } of legs) room.arrivals.detach(id);
    for (const leg of legs) leg.end({ method: 'booted', reason });
  }

  /** The URI of a new conference for who calls the factory (RFC 4579 §5.4), who may also be sent there. */
  #make(invite: IncomingInvite, caller: Caller): SipUri | 'answered' | undefined {
    const { factory, warn } = this.#parts;
    const { uri } = invite.request;
    if (!factory.isMeant(uri)) return undefined;
    const made = factory.make(uri, caller, groupNamesOf(invite.request));
    if ('refused' in made) {
      warn(`${caller.user} may not have a conference made: ${made.refused}`);
      invite.refuse(refusalAnswer(made));
      return 'answered';
    }
    if (!factory.redirects) return made;
    const headers = [{ name: 'Contact', value: `<${formatUri({ ...made, headers: [] })}>;isfocus` }];
    invite.refuse({ status: 302, headers });
    return 'answered';
  }

  async #join(entry: Entry, newUser: string | undefined): Promise<void> {
    const { invite, room, release, caller } = entry;
    // Before there is a seat: it would be taken for ever when the request cannot be read.
    const profile = this.#parts.peers.profileOf(signsOf(invite.request));
    if (isForFiles(invite.request)) {
      const { pins } = this.#parts;
      const roomUri = dialledUri(invite.request, this.#parts.domains);
      await this.#parts.fileCalls.answer({ invite, room, release, caller, profile, roomUri, pins });
      return;
    }
    const replacing = replacedLeg(invite, room, caller, this.#parts.legs);
    const recipients = recipientsOf(invite.request, this.#parts.listEntries);
    const replaced = replacing !== undefined && 'status' in replacing ? undefined : replacing;
    const no =
      replacing !== undefined && 'status' in replacing ? replacing : 'status' in recipients ? recipients : undefined;
    if (no !== undefined) {
      this.#parts.warn(`${room.uri}: ${caller.user} is not let in: ${String(no.status)} ${no.reason ?? ''}`);
      release();
      invite.refuse(no);
      return;
    }
    const seat = this.#seatFor(invite.request, room, caller, replaced?.caller.user === caller.user);
    if ('status' in seat) {
      release();
      invite.refuse(seat);
      return;
    }
    const { local } = invite.flow;
    const leg = this.#parts.legs.make({
      room,
      seat,
      release,
      caller,
      profile,
      local: local.address,
      method: 'dialed-in',
      subject: invite.request.headers.get('Subject')?.trim(),
      roomUri: newUser === undefined ? dialledUri(invite.request, this.#parts.domains) : bareUri(entry.uri),
      instance: instanceOf(invite.request),
      wish: pastWish(invite.request),
      onJoined: () => {
        replaced?.end({ method: 'departed', reason: sipReason(200, 'replaced by another call') });
        this.#nameIt(leg, () => {
          if (!('status' in recipients)) this.#callAll(leg, recipients);
        });
      },
    });
    try {
      await this.#accept(entry, leg, newUser);
    } finally {
      if (leg.session === undefined) leg.abandon();
    }
  }

  /** A place in the room for who asks for one, or the answer that he gets none. */
  #seatFor(request: SipRequest, room: ChatRoom, caller: Caller, replaces = false): Seat | Answer {
    const { pins } = this.#parts;
    const shown = pins.shownBy(request, room);
    const seat = room.rules.join({ ...caller, ...shown, replaces });
    if (!('refused' in seat)) return seat;
    const answer = pins.answer(request, room, seat, shown);
    if (answer.status !== 401 || seat.refused === 'pin-wrong') room.moderation.turnedAway(caller, seat);
    return answer;
  }

  /** The Subject of the call for which a conference was made is that of the conference. */
  #nameIt({ room, caller, subject }: Leg, named: () => void): void {
    const { conference } = room;
    const isHis = this.#parts.factory.hasMade(room.uri) && conference.creator === caller.user;
    const isNamed = conference.subject !== conference.settings.subject;
    if (!isHis || isNamed || subject === undefined || subject === '') named();
    else room.moderation.order(caller.user, { order: 'subject', subject }, 'INVITE', named);
  }

  /**
   * Calls those on the list that came with a call (RFC 5366 §5), now that who wants it is in the roster; he is told who is
   * not called.
   */
  #callAll(leg: Leg, recipients: readonly Recipient[]): void {
    const refused = recipients.flatMap((one) => {
      const no = this.#call(leg, one, recipients);
      return no === undefined ? [] : [`${one.uri.slice(0, 200)} (${no})`];
    });
    if (refused.length === 0) return;
    const named = refused.slice(0, MAX_TOLD);
    const more = refused.length > MAX_TOLD ? [`+${String(refused.length - MAX_TOLD)}`] : [];
    leg.tell(leg.room.voice.texts.notCalled([...named, ...more]));
  }

  /** Calls one of a list, or tells why not. */
  #call({ room, caller, roomUri }: Leg, one: Recipient, together: readonly Recipient[]): string | undefined {
    const { dialOut, warn } = this.#parts;
    const { uri, displayName, anonymize } = one;
    const target = readTarget(uri);
    if (target === undefined) {
      warn(`${room.uri}: ${caller.user} has ${uri.slice(0, 200)} in the list, which is no URI`);
      return 'no URI';
    }
    const whom = { target, displayName, anonymize, together, report: () => undefined };
    const begun = dialOut.invite({ room, by: caller.user, way: 'INVITE', roomUri, ...whom });
    return begun === 'dialling' ? undefined : why(begun);
  }

  async #accept({ invite, uri }: Entry, leg: Leg, user: string | undefined): Promise<void> {
    const { request } = invite;
    const offer = sdpOf(request);
    const listAlone = isListAlone(request);
    const headers = [...callInfo(leg.room.conference, uri), ...this.#parts.factory.namesOf(leg.room.uri)];
    const contact = user === undefined ? FOCUS_CONTACT : { ...FOCUS_CONTACT, user };
    if (listAlone && signsOf(request).featureTags.includes('text')) {
      // A chat by MESSAGE alone, as Linphone makes it. Deviation: RFC 3261 §13.3.1.4 wants an offer in the answer to an
      // INVITE without one, which would break it; it sends its own INVITE so, and expects the like.
      const silent = invite.accept({ headers, contact, session: leg });
      if (silent !== undefined) leg.answered(silent);
      return;
    }
    const description = offer === undefined ? await leg.media.offer() : await leg.media.answer(offer);
    if ('faults' in description) {
      invite.refuse(noMediaAnswer(description, 'no call'));
      return;
    }
    const session = invite.accept({
      ...sdpContent(description),
      headers,
      contact,
      session: leg,
    });
    if (session !== undefined) leg.answered(session);
  }
}

/** Whether a call only brings files. One whose description cannot be read is refused for that where others are. */
function isForFiles(request: SipRequest): boolean {
  try {
    const offer = sdpOf(request);
    return offer !== undefined && bringsOnlyFiles(offer);
  } catch (fault) {
    if (fault instanceof SipError) return false;
    throw fault;
  }
}

/** The URI of a room without what only says how to reach it. */
function bareUri(uri: Uri): string {
  return formatUri(uri.kind === 'sip' ? { ...uri, params: Params.none, headers: [] } : uri);
}
