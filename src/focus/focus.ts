import type {
  Answer,
  IncomingInvite,
  IncomingRequest,
  IncomingSubscribe,
  SipRequest,
  UserAgentHandlers,
} from '../../sip/index.ts';
import type { Domains } from '../chat/domains.ts';
import type { ConferenceHost, Release } from '../chat/host.ts';
import type { ChatRoom } from '../chat/room.ts';
import { dialledUri, instanceOf, pastWish } from './arrival.ts';
import { callInfo } from './advertising.ts';
import type { Caller, Gate } from './caller.ts';
import { FOCUS_CONTACT } from './contact.ts';
import type { ConferenceEvents } from './event-package.ts';
import { type Leg, sdpContent } from './leg.ts';
import type { LegMaker } from './leg-maker.ts';
import { openRoom } from './open-room.ts';
import { type PeerTable, signsOf } from './peers.ts';
import { refusalAnswer } from './refusals.ts';
import { sdpOf } from './sdp-body.ts';
import { Turns } from './turns.ts';
import { noMediaAnswer } from './warnings.ts';

/** What the focus is made with. */
export interface FocusParts {
  readonly host: ConferenceHost;
  readonly domains: Domains;
  readonly gate: Gate;
  readonly peers: PeerTable;
  readonly legs: LegMaker;
  readonly events: ConferenceEvents;
}

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
    const uri = domains.roomOf(request.uri);
    const opened = uri === undefined ? undefined : await openRoom(host, uri, 'leg');
    if (opened === undefined) {
      invite.refuse({ status: 404, reason: 'No Such Conference' });
      return;
    }
    await this.#join(invite, opened.room, opened.release, caller);
  }

  /** From the user agent. */
  onSubscribe(subscribe: IncomingSubscribe): Promise<void> {
    return this.#parts.events.onSubscribe(subscribe);
  }

  /** From the user agent: is this a conference (RFC 4579 §4.3)? */
  onOptions({ request, session }: IncomingRequest): Answer {
    const { host, domains } = this.#parts;
    const uri = session === undefined ? domains.roomOf(request.uri) : undefined;
    if (session === undefined && request.uri.kind === 'sip' && request.uri.user !== undefined) {
      if (uri === undefined || !host.exists(uri)) return { status: 404, reason: 'No Such Conference' };
      return { status: 200, headers: [{ name: 'Contact', value: `<${request.requestUri}>;isfocus` }] };
    }
    return { status: 200 };
  }

  /** From the user agent: a text from outside of a call, by somebody who is in one (RFC 3428). */
  async onMessage(incoming: IncomingRequest): Promise<Answer> {
    const { host, domains, gate, legs } = this.#parts;
    const { request, flow } = incoming;
    const caller = await gate.admit(request, flow);
    if ('status' in caller) return caller;
    const uri = domains.roomOf(request.uri);
    const room = uri === undefined ? undefined : host.find(uri);
    if (room === undefined) return { status: 404, reason: 'No Such Conference' };
    // Where nobody proves who he is, only his place tells him from another of that name.
    const own = legs.of(room, caller.user).filter((leg) => caller.proven || leg.caller.address === caller.address);
    const leg = own.find(({ session }) => session?.dialog.flow === flow) ?? own[0];
    if (leg === undefined) return { status: 403, reason: 'Not in This Conference' };
    return leg.onMessage(incoming);
  }

  /** No further joins; everybody who is there is let go by BYE. */
  close(reason: string): void {
    this.#closing = true;
    for (const leg of [...this.#parts.legs.alive]) leg.end({ method: 'booted', reason });
  }

  async #join(invite: IncomingInvite, room: ChatRoom, release: Release, caller: Caller): Promise<void> {
    const seat = room.rules.join({ ...caller, ...pinOf(invite.request) });
    if ('refused' in seat) {
      room.moderation.turnedAway(caller, seat);
      release();
      invite.refuse(refusalAnswer(seat));
      return;
    }
    const profile = this.#parts.peers.profileOf(signsOf(invite.request));
    const { local } = invite.flow;
    const leg = this.#parts.legs.make({
      room,
      seat,
      release,
      caller,
      profile,
      local: local.address,
      method: 'dialed-in',
      subject: invite.request.headers.get('Subject'),
      roomUri: dialledUri(invite.request, this.#parts.domains),
      instance: instanceOf(invite.request),
      wish: pastWish(invite.request),
    });
    try {
      await this.#accept(invite, leg);
    } finally {
      if (leg.session === undefined) leg.abandon();
    }
  }

  async #accept(invite: IncomingInvite, leg: Leg): Promise<void> {
    const { request } = invite;
    if (request.body.length > 0 && request.contentType === undefined) {
      invite.refuse({ status: 400, reason: 'Body without Content-Type' });
      return;
    }
    const offer = sdpOf(request);
    if (offer === undefined && request.body.length > 0) {
      invite.refuse({ status: 415, headers: [{ name: 'Accept', value: 'application/sdp' }] });
      return;
    }
    const description = offer === undefined ? await leg.media.offer() : await leg.media.answer(offer);
    if ('faults' in description) {
      invite.refuse(noMediaAnswer(description));
      return;
    }
    const session = invite.accept({
      ...sdpContent(description),
      headers: callInfo(leg.room.conference, request.to.uri),
      contact: FOCUS_CONTACT,
      session: leg,
    });
    if (session !== undefined) leg.answered(session);
  }
}

/** The PIN of a room stands in the URI that was dialled: `sip:room@example.com;pin=4711`. */
function pinOf({ uri }: SipRequest): { readonly pin?: string } {
  const pin = uri.kind === 'sip' ? uri.params.get('pin') : undefined;
  return pin === undefined ? {} : { pin };
}
