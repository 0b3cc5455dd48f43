import {
  type Answer,
  formatUri,
  type HeaderLine,
  type Outcome,
  Params,
  parseUri,
  formatMultipart,
  reasonPhrase,
  type SipResponse,
  type SipUserAgent,
  type Uri,
} from '../../sip/index.ts';
import type { ConferenceHost, Release } from '../chat/host.ts';
import type { Commander, Way } from '../chat/moderation.ts';
import type { ChatRoom } from '../chat/room.ts';
import type { Seat } from '../chat/rules.ts';
import { personKey } from '../chat/domains.ts';
import type { UserUri } from '../conference/ids.ts';
import { formatRecipientHistory, type Recipient } from '../conference/resource-lists.ts';
import { RateLimiter } from '../policy/rate.ts';
import { isAtLeast } from '../policy/roles.ts';
import { callInfo } from './advertising.ts';
import { anonymous, type Caller, canonicalUser } from './caller.ts';
import { FOCUS_CONTACT } from './contact.ts';
import { type Leg, type LegEnd, sdpContent } from './leg.ts';
import type { LegMaker } from './leg-maker.ts';
import { type PeerTable, signsOf } from './peers.ts';
import { refusalAnswer } from './refusals.ts';
import { sdpOf } from './sdp-body.ts';
import type { Target, Targets } from './targets.ts';

/** Bounds of what others can make the focus call. */
export interface DialOptions {
  /** Calls not answered yet, in all and at the wish of one user. */
  readonly calls: number;
  readonly callsPerUser: number;
  /** How long it rings, in ms. */
  readonly ring: number;
}

/** What calling out needs. */
export interface DialOutParts {
  readonly options: DialOptions;
  readonly targets: Targets;
  readonly host: ConferenceHost;
  readonly peers: PeerTable;
  readonly legs: () => LegMaker;
  readonly userAgent: () => Pick<SipUserAgent, 'invite'>;
  /** The address of ours that is named in descriptions, when nothing shows by which way the peer is reached. */
  readonly local: string;
  readonly now: () => number;
  /** A line for the operator on each call that is not made. */
  readonly warn: (line: string) => void;
}

/** Somebody is to be called into a room. */
export interface Invitation {
  readonly room: ChatRoom;
  readonly target: Uri;
  readonly displayName?: string | undefined;
  /** The others shall not learn who it is (RFC 5364 §4). Default false. */
  readonly anonymize?: boolean;
  readonly by: Commander;
  /** By what way it was asked for. */
  readonly way: Way;
  /** The URI of the room as who asks knows it: the From of the call. */
  readonly roomUri?: string;
  /** Referred-By of who asked (RFC 3892 §2.3), passed on as it came; default: the asking user's identity. */
  readonly referredBy?: string | undefined;
  /** Replaces of the URI that was referred to (RFC 3891): the call takes the place of another of the target's. */
  readonly replaces?: string | undefined;
  /** Who else is called with it, for the list that it is shown (RFC 5366 §5, RFC 5364 §6). */
  readonly together?: readonly Recipient[];
  /** How it goes: status lines, one of 200 or above being the last. */
  readonly report: (status: number, reason?: string) => void;
}

/** Who makes calls, and how many of them are under way. */
export class DialOut {
  readonly #parts: DialOutParts;
  readonly #underWay = new Map<Commander, number>();
  readonly #rate: RateLimiter;
  #calls = 0;

  constructor(parts: DialOutParts) {
    this.#parts = parts;
    this.#rate = new RateLimiter({ perSecond: 1, burst: parts.options.callsPerUser });
  }

  /** Calls somebody into a room, if rules and bounds allow it; an `Answer` says why not, and nothing is reported then. */
  invite(invitation: Invitation): Answer | 'dialling' {
    const refused = this.#begin(invitation);
    if (refused === 'dialling') return refused;
    const { by, way, room, target } = invitation;
    const why = `${String(refused.status)} ${refused.reason ?? reasonPhrase(refused.status)}`;
    this.#parts.warn(`${room.uri}: ${by} by ${way}: invite ${formatUri(target)}: refused: ${why}`);
    return refused;
  }

  #begin(invitation: Invitation): Answer | 'dialling' {
    const { room, by, way } = invitation;
    const target = this.#parts.targets.judge(invitation.target);
    if ('status' in target) return target;
    const user = canonicalUser(target.uri);
    if (user === undefined) return { status: 403, reason: 'The URI Names Nobody' };
    const unwanted = room.moderation.invites(by, user, way);
    if (unwanted !== undefined) return refusalAnswer(unwanted);
    const there = room.conference.endpointsOf(user);
    if (there.some(({ status }) => status === 'dialing-out' || status === 'alerting')) {
      return { status: 491, reason: 'Is Being Called Already' };
    }
    if (there.length > 0) return { status: 486, reason: 'Is Here Already' };
    const known = this.#parts.legs().reaching(user);
    if (target.byFlowOnly && known === undefined)
      return { status: 404, reason: 'Not Reachable but through This Service' };
    const full = this.#full(by);
    if (full !== undefined) return full;
    const seat = room.rules.join({ user, invited: by === 'administrator' || isModerator(room, by) });
    if ('refused' in seat) return refusalAnswer(seat);
    const done = this.#count(by);
    this.#dial(invitation, target, user, known, seat, done).catch((fault: unknown) => {
      const what = fault instanceof Error ? (fault.stack ?? fault.message) : String(fault);
      this.#parts.warn(`${room.uri}: the call to ${user} cannot be made: ${what}`);
      seat.free();
      done();
      invitation.report(500);
    });
    return 'dialling';
  }

  #full(by: Commander): Answer | undefined {
    const { calls, callsPerUser } = this.#parts.options;
    const retry = [{ name: 'Retry-After', value: '30' }];
    if (this.#calls >= calls) return { status: 503, reason: 'Too Many Calls at a Time', headers: retry };
    if (by === 'administrator') return undefined;
    if ((this.#underWay.get(by) ?? 0) >= callsPerUser || this.#rate.take(by, this.#parts.now()) > 0) {
      return { status: 480, reason: 'You Have Too Many Called', headers: retry };
    }
    return undefined;
  }

  async #dial(
    invitation: Invitation,
    target: Target,
    user: UserUri,
    known: Leg | undefined,
    seat: Seat,
    done: () => void,
  ): Promise<void> {
    const { host, legs, peers } = this.#parts;
    const { room, by, roomUri = room.uri } = invitation;
    const opened = await host.open(room.uri, 'leg');
    if (opened?.room !== room) {
      opened?.release();
      seat.free();
      done();
      invitation.report(503);
      return;
    }
    const leg = legs().make({
      room,
      seat,
      release: opened.release,
      caller: calledAs(user, target, invitation),
      profile: known?.profile ?? peers.profileOf({ userAgent: undefined, featureTags: [] }),
      local: known?.session?.dialog.flow?.local.address ?? this.#parts.local,
      method: 'dialed-out',
      ...(isOpenly(room, by) ? { by } : {}),
      roomUri,
    });
    try {
      await this.#call(invitation, target, leg, known, done);
    } finally {
      // Does nothing to one that is being called.
      leg.abandon();
    }
  }

  async #call(
    invitation: Invitation,
    target: Target,
    leg: Leg,
    known: Leg | undefined,
    done: () => void,
  ): Promise<void> {
    const { room, report, roomUri = room.uri } = invitation;
    const { options, userAgent, peers } = this.#parts;
    const offer = await leg.media.offer('calling');
    const from = parseUri(roomUri);
    const dialog = known?.session?.dialog;
    const title = room.conference.subject ?? room.conference.settings.displayText;
    let early: SipResponse | undefined;
    const call = userAgent().invite(
      {
        uri: dialog?.remoteTarget ?? target.uri,
        to: { uri: target.uri, params: Params.none },
        from: { uri: from, params: Params.none, ...(title === undefined ? {} : { displayName: title.slice(0, 60) }) },
        contact: FOCUS_CONTACT,
        ...(dialog?.flow === undefined ? {} : { flow: dialog.flow, route: dialog.routeSet }),
        ...(dialog !== undefined || target.route === undefined ? {} : { route: target.route }),
        ...contentOf(sdpContent(offer), invitation.together),
        headers: [...headersOf(invitation), ...callInfo(room.conference, from)],
        ringing: options.ring,
        redirects: 0,
        session: leg,
      },
      {
        onProgress: (response) => {
          if (sdpOf(response) !== undefined) early = response;
          if (response.status === 180) leg.alerting();
          report(response.status, response.reason);
        },
        onAccepted: (session, response) => {
          done();
          const answer = sdpOf(response) ?? (early === undefined ? undefined : sdpOf(early));
          leg.accepted(session, answer, peers.profileOf(signsOf(response)));
          report(200);
          return undefined;
        },
        onFailed: (outcome) => {
          done();
          leg.unreached(failureOf(outcome));
          const { status, reason } = statusOf(outcome);
          report(status, reason);
        },
      },
    );
    leg.dialling(call);
  }

  /** Counts a call until it is answered. */
  #count(by: Commander): Release {
    this.#calls += 1;
    this.#underWay.set(by, (this.#underWay.get(by) ?? 0) + 1);
    let counted = true;
    return () => {
      if (!counted) return;
      counted = false;
      this.#calls -= 1;
      const left = (this.#underWay.get(by) ?? 1) - 1;
      if (left > 0) this.#underWay.set(by, left);
      else this.#underWay.delete(by);
    };
  }
}

/** Whether the one who asks is known to everybody: not the administrator, and not here under another name only. */
function isOpenly(room: ChatRoom, by: Commander): by is UserUri {
  return by !== 'administrator' && (room.conference.participant(by) !== undefined || !hasAlias(room, by));
}

function hasAlias({ conference }: ChatRoom, user: UserUri): boolean {
  return conference.endpointsOf(user).some(({ entity }) => entity !== user);
}

function isModerator(room: ChatRoom, user: UserUri): boolean {
  return isAtLeast(room.conference.roleOf(user), 'moderator');
}

/** Who is called is who the inviter says, until it answers from where we have called. */
function calledAs(user: UserUri, { uri }: Target, { displayName, anonymize }: Invitation): Caller {
  const address = uri.host.replace(/^\[|\]$/g, '');
  if (anonymize === true) return { ...anonymous(), user, proven: false, address };
  const names = new Set([user, formatUri(uri)].flatMap((name) => personKey(name) ?? []));
  return { user, proven: false, displayName, names, alias: undefined, address };
}

/** Subject, and who has asked for the call (RFC 3892 §2.3). */
function headersOf({ room, by, referredBy, replaces }: Invitation): readonly HeaderLine[] {
  const subject = room.conference.subject ?? room.conference.settings.displayText;
  const asked = isOpenly(room, by) ? (referredBy ?? `<${by}>`) : undefined;
  return [
    ...(subject === undefined ? [] : [{ name: 'Subject', value: subject.replace(/[\r\n\0]+/g, ' ') }]),
    ...(asked === undefined ? [] : [{ name: 'Referred-By', value: asked }]),
    ...(replaces === undefined ? [] : [{ name: 'Replaces', value: replaces }]),
  ];
}

/** Our offer, with the list of those called where there is one (RFC 5366 §5: recipient-list-history). */
function contentOf(
  offer: { readonly contentType?: string; readonly body?: Uint8Array | string },
  together: readonly Recipient[] = [],
): { readonly contentType: string; readonly body: Uint8Array | string } {
  const { contentType = 'application/sdp', body = '' } = offer;
  if (!together.some(({ copyControl }) => copyControl !== 'bcc')) return { contentType, body };
  return formatMultipart('mixed', [
    { contentType, body },
    {
      contentType: 'application/resource-lists+xml',
      disposition: 'recipient-list-history;handling=optional',
      body: formatRecipientHistory(together),
    },
  ]);
}

function statusOf(outcome: Outcome): { readonly status: number; readonly reason: string } {
  if (outcome.is === 'failed') return outcome;
  const { status, reason } = outcome.response;
  return { status, reason };
}

/** As the roster tells it (RFC 4575 §5.7.6). */
function failureOf(outcome: Outcome): LegEnd {
  const { status, reason } = statusOf(outcome);
  const busy = status === 486 || status === 600;
  const text = reason.replace(/["\\\p{Cc}]/gu, ' ').trim();
  return { method: busy ? 'busy' : 'failed', reason: `SIP;cause=${String(status)};text="${text}"` };
}
