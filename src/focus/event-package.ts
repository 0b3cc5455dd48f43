import type { EventPackage, IncomingSubscribe, SipRequest, Subscription, Uri } from '../../sip/index.ts';
import { formatUri, inspectBody, type SipUserAgent } from '../../sip/index.ts';
import type { Domains } from '../chat/domains.ts';
import type { ConferenceHost, Watcher } from '../chat/host.ts';
import type { ChatRoom } from '../chat/room.ts';
import { CONFERENCE_INFO_TYPE, type DocumentStyle } from '../conference/document.ts';
import { type AbsoluteUri, type EndpointId, readAbsoluteUri, type RoomUri } from '../conference/ids.ts';
import type { Logged } from '../log/room-log.ts';
import type { Refusal } from '../policy/refusal.ts';
import { reachedUri } from './arrival.ts';
import type { Caller, Gate } from './caller.ts';
import { FOCUS_CONTACT } from './contact.ts';
import { SharedDocuments, SubscriptionDocuments } from './documents.ts';
import type { LegMaker } from './leg-maker.ts';
import { openRoom } from './open-room.ts';
import { refusalAnswer } from './refusals.ts';
import type { PeerProfile, PeerTable } from './peers.ts';
import { signsOf } from './peers.ts';

/** The name of the package (RFC 4575 §3.1). */
export const CONFERENCE_PACKAGE = 'conference';

/** How long and how often subscribers are served. */
export interface RosterOptions {
  /** Duration of a subscription that asks for none, in seconds (RFC 4575 §3.4: an hour). */
  readonly expires: number;
  /** Shortest duration taken, in seconds. */
  readonly expiresMinimum: number;
  /** Least time between two NOTIFYs to one subscriber, in ms (RFC 4575 §3.9: 5 s). */
  readonly interval: number;
}

/** The package as the user agent wants it described. */
export function conferencePackage(options: RosterOptions): EventPackage {
  return {
    name: CONFERENCE_PACKAGE,
    defaultExpires: options.expires,
    minExpires: options.expiresMinimum,
    maxExpires: options.expires,
    pacing: options.interval,
    contentTypes: [CONFERENCE_INFO_TYPE],
  };
}

/** What the notification service is made with. */
export interface ConferenceEventsParts {
  readonly userAgent: () => SipUserAgent;
  readonly host: () => ConferenceHost;
  readonly domains: Domains;
  readonly peers: PeerTable;
  readonly gate: Gate;
  readonly legs: () => LegMaker;
  /** Whether those who watch are told whose call is which (RFC 4575 §5.7.9). */
  readonly callInfo: boolean;
}

/** The conference notification service (RFC 4353 §4.4, RFC 4575): answers SUBSCRIBE, and tells what changes. */
export class ConferenceEvents implements Watcher {
  readonly #parts: ConferenceEventsParts;
  readonly #writers = new Map<string, SharedDocuments>();
  readonly #callers = new WeakMap<Subscription, Caller>();

  constructor(parts: ConferenceEventsParts) {
    this.#parts = parts;
  }

  /** A new subscription to one of our conferences. */
  async onSubscribe(subscribe: IncomingSubscribe): Promise<void> {
    const { request, flow } = subscribe;
    const caller = await this.#parts.gate.admit(request, flow);
    if ('status' in caller) {
      subscribe.refuse(caller);
      return;
    }
    // RFC 4575 §3.2 has filters, of which none is known here: who sends one is told so, and would else be told too much.
    inspectBody(request, []);
    // Before the room is opened: nobody would let it go when the request cannot be read.
    const profile = this.#parts.peers.profileOf(signsOf(request));
    const named = this.#named(subscribe);
    const opened = named === undefined ? undefined : await openRoom(this.#parts.host(), named.uri, 'watcher');
    if (named === undefined || opened === undefined) {
      subscribe.refuse({ status: 404, reason: 'No Such Conference' });
      return;
    }
    const { room, release } = opened;
    const refusal = await this.#judge(room, caller);
    if (refusal !== undefined) {
      release();
      subscribe.refuse(refusalAnswer(refusal));
      return;
    }
    const documents = new SubscriptionDocuments({
      room,
      shared: this.#writerFor(profile),
      partial: profile.roster === 'partial',
      entity: named.entity,
      version: lastVersion(request),
    });
    const subscription = subscribe.accept({
      resource: named.uri,
      contact: FOCUS_CONTACT,
      content: (cause) => documents.next(cause),
      mayRefresh: () => {
        const no = room.rules.watch(caller.user, caller.address);
        return no && refusalAnswer(no);
      },
      onEnded: release,
    });
    if (subscription === undefined) release();
    else this.#callers.set(subscription, caller);
  }

  /** Where only participants may watch, who subscribes at once after his ACK may be on the way in still: he is waited for. */
  async #judge(room: ChatRoom, { user, address }: Caller): Promise<Refusal | undefined> {
    const refusal = room.rules.watch(user, address);
    if (refusal === undefined) return undefined;
    for (const leg of this.#parts.legs().of(room, user)) await leg.isIn();
    return room.rules.watch(user, address);
  }

  /** From the host. */
  happened(room: ChatRoom, { event }: Logged, changed: boolean): void {
    if (event.type === 'ended') this.#end(room.uri);
    else {
      if (event.type === 'banned') this.#turnAway(room);
      if (event.type === 'left') this.#lookAfter(room, event.endpoint);
      if (changed) this.changed(room);
    }
  }

  /** The document of a room has changed. */
  changed(room: ChatRoom): void {
    this.#parts.userAgent().changed(CONFERENCE_PACKAGE, room.uri);
  }

  /** Where only participants may watch, who has left with the last endpoint watches no longer. */
  #lookAfter(room: ChatRoom, left: EndpointId): void {
    const user = room.conference.endpoint(left)?.user;
    if (user !== undefined && room.rules.watch(user, undefined) !== undefined) this.#turnAway(room);
  }

  /** Who may not watch any longer is told so (RFC 6665 §4.1.3 rejected). */
  #turnAway(room: ChatRoom): void {
    for (const subscription of [...this.#parts.userAgent().subscriptions(CONFERENCE_PACKAGE, room.uri)]) {
      const caller = this.#callers.get(subscription);
      if (caller !== undefined && room.rules.watch(caller.user, caller.address) !== undefined)
        subscription.terminate('rejected');
    }
  }

  /** The conference is over: so is what can be said of it (RFC 6665 §4.1.3 noresource). */
  #end(uri: RoomUri): void {
    const watching: readonly Subscription[] = [...this.#parts.userAgent().subscriptions(CONFERENCE_PACKAGE, uri)];
    for (const subscription of watching) subscription.terminate('noresource');
  }

  /** The room, and the form in which this subscriber knows its URI. */
  #named({ request, session }: IncomingSubscribe): { readonly uri: RoomUri; readonly entity: AbsoluteUri } | undefined {
    const { domains } = this.#parts;
    const known =
      session === undefined ? reachedUri(request, domains) : withinCall(session.dialog.localUri, request.uri);
    const uri = domains.roomOf(known) === undefined ? request.uri : known;
    const room = domains.roomOf(uri);
    // What a SIP URI may hold and an XML document may not names the room all the same.
    return room && { uri: room, entity: readAbsoluteUri(formatUri(uri)) ?? room };
  }

  #writerFor(profile: PeerProfile): SharedDocuments {
    let writer = this.#writers.get(profile.family);
    if (writer === undefined) {
      writer = new SharedDocuments(styleOf(profile, this.#parts.callInfo));
      this.#writers.set(profile.family, writer);
    }
    return writer;
  }
}

/** The URI of the room under the host that the caller knows: of our Contact only the user part is the room's name. */
function withinCall(dialled: Uri, contact: Uri): Uri {
  if (dialled.kind !== 'sip' || contact.kind !== 'sip' || contact.user === undefined) return dialled;
  return { ...dialled, user: contact.user };
}

const ADMIN_ROLES = { owner: 'admin', moderator: 'admin', participant: 'participant', visitor: 'participant' };

function styleOf(profile: PeerProfile, callInfo: boolean): DocumentStyle {
  return {
    callInfo: callInfo ? 'all' : 'none',
    withoutFreeText: !profile.freeText,
    withoutMediaStatus: !profile.mediaStatus,
    ...(profile.roles === 'admin' ? { roleNames: ADMIN_ROLES } : {}),
  };
}

/** A subscriber that comes again tells what it had; new documents are numbered above it. */
function lastVersion(request: SipRequest): number {
  const value = Number(request.headers.get('Last-Notify-Version') ?? '0');
  return Number.isSafeInteger(value) && value > 0 && value < 2 ** 31 ? value : 0;
}
