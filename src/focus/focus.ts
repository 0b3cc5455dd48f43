import type { Answer, IncomingInvite, IncomingRequest, IncomingSubscribe, UserAgentHandlers } from '../../sip/index.ts';
import { ChatSession } from '../chat/chat-session.ts';
import type { Domains } from '../chat/domains.ts';
import type { ConferenceHost, Release } from '../chat/host.ts';
import type { ChatRoom } from '../chat/room.ts';
import type { Speaker } from '../chat/speaker.ts';
import type { LocalAddress, MsrpEndpoint } from '../../msrp/index.ts';
import type { AudioBridge } from './audio.ts';
import type { Caller, Gate } from './caller.ts';
import { FOCUS_CONTACT } from './contact.ts';
import type { ConferenceEvents } from './event-package.ts';
import { Leg, newEndpointId, sdpContent } from './leg.ts';
import { LegMedia, type MsrpPlaces } from './leg-media.ts';
import type { AudioMode } from './media-plan.ts';
import { type PeerProfile, type PeerTable, signsOf } from './peers.ts';
import { sdpOf } from './sdp-body.ts';
import { noMediaAnswer } from './warnings.ts';

/** Limits and manners of the focus. */
export interface FocusOptions {
  readonly audio: AudioMode;
  /** How long a leg waits for a new chat session, in ms. */
  readonly grace: number;
  /** How long a chat session may stay without its first request, in ms. */
  readonly bindTimeout: number;
  /** Octets that may wait for one recipient. */
  readonly maxQueuedBytes: number;
}

/** What the focus is made with. */
export interface FocusParts {
  readonly options: FocusOptions;
  readonly host: ConferenceHost;
  readonly domains: Domains;
  readonly gate: Gate;
  readonly peers: PeerTable;
  readonly endpoint: MsrpEndpoint;
  readonly places: MsrpPlaces;
  readonly audio: AudioBridge;
  readonly events: ConferenceEvents;
  /** Why somebody may not come in: the answer to the INVITE. */
  readonly mayJoin: (room: ChatRoom, caller: Caller) => Answer | undefined;
  readonly now: () => number;
  readonly info: (line: string) => void;
}

/** The SIP user agent of all conferences (RFC 4353 §4.1, RFC 4579, RFC 7701 §5). */
export class Focus implements UserAgentHandlers {
  readonly #parts: FocusParts;
  readonly #legs = new Set<Leg>();
  #closing = false;

  constructor(parts: FocusParts) {
    this.#parts = parts;
  }

  /** All endpoints in all conferences. */
  get legs(): ReadonlySet<Leg> {
    return this.#legs;
  }

  /** From the user agent: somebody dials in (RFC 4579 §5.1). */
  async onInvite(invite: IncomingInvite): Promise<void> {
    const { request, flow } = invite;
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
    const opened = uri === undefined ? undefined : await host.open(uri, 'leg');
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

  /** No further joins; everybody who is there is let go by BYE. */
  close(reason: string): void {
    this.#closing = true;
    for (const leg of [...this.#legs]) leg.end({ method: 'booted', reason });
  }

  async #join(invite: IncomingInvite, room: ChatRoom, release: Release, caller: Caller): Promise<void> {
    const refusal = this.#parts.mayJoin(room, caller);
    if (refusal !== undefined) {
      release();
      invite.refuse(refusal);
      return;
    }
    const profile = this.#parts.peers.profileOf(signsOf(invite.request));
    const leg = this.#newLeg(room, release, caller, profile, invite.flow.local.address);
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
    const session = invite.accept({ ...sdpContent(description), contact: FOCUS_CONTACT, session: leg });
    if (session !== undefined) leg.answered(session);
  }

  #newLeg(room: ChatRoom, release: Release, caller: Caller, profile: PeerProfile, local: string): Leg {
    const { options, places, audio, now, info } = this.#parts;
    const id = newEndpointId();
    const speaker: Speaker = {
      endpoint: id,
      user: caller.user,
      names: caller.names,
      shown: caller.alias ?? caller.user,
      swallow: profile.swallow,
    };
    const privately = room.conference.setting('privateMessages') !== false;
    const media = new LegMedia({
      policy: { audio: options.audio, tls: places.at('msrps', 'tcp', local) !== undefined },
      places,
      local,
      audio,
      newChat: (at) => this.#newChat(room, speaker, profile, at, () => leg),
      chatroom: privately ? ['nickname', 'private-messages'] : ['nickname'],
      title: titleOf(room),
      now,
    });
    const leg: Leg = new Leg({
      id,
      room,
      speaker,
      caller,
      profile,
      method: 'dialed-in',
      media,
      release,
      grace: options.grace,
      now,
      onGone: (gone) => this.#legs.delete(gone),
      info,
    });
    this.#legs.add(leg);
    return leg;
  }

  #newChat(room: ChatRoom, speaker: Speaker, profile: PeerProfile, at: LocalAddress, leg: () => Leg): ChatSession {
    const { endpoint, options } = this.#parts;
    const chat: ChatSession = new ChatSession({
      endpoint,
      room,
      speaker,
      session: {
        at,
        chunks: profile.chunks,
        matchBySessionId: true,
        maxQueuedBytes: options.maxQueuedBytes,
        bindTimeout: options.bindTimeout,
      },
      onBound: () => {
        leg().chatBound();
      },
      // One that was replaced by another offer is nobody's loss.
      onClosed: (reason, detail) => {
        if (leg().media.chat === chat) leg().chatClosed(`${reason}: ${detail}`);
      },
    });
    return chat;
  }
}

function titleOf(room: ChatRoom): string {
  const title = room.conference.subject ?? room.conference.settings.displayText ?? '-';
  return title.replace(/[\r\n\0]/g, ' ').trim() || '-';
}
