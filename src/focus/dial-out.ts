import {
  type Answer,
  formatSdp,
  formatUri,
  type HeaderLine,
  type Outcome,
  type OutgoingInviteParts,
  Params,
  parseUri,
  formatMultipart,
  reasonPhrase,
  type RedirectWay,
  type SessionDescription,
  type SipUserAgent,
  type Uri,
  uriEquals,
} from '../../sip/index.ts';
import type { ConferenceHost } from '../chat/host.ts';
import type { Commander, Way } from '../chat/moderation.ts';
import type { ChatRoom } from '../chat/room.ts';
import type { Newcomer, Seat } from '../chat/rules.ts';
import { sipReason } from '../chat/sip-reason.ts';
import { personKey } from '../chat/domains.ts';
import { readIpAddress, type RoomUri, type UserUri } from '../conference/ids.ts';
import { formatRecipientHistory, type Recipient } from '../conference/resource-lists.ts';
import { isAtLeast } from '../policy/roles.ts';
import { callInfo } from './advertising.ts';
import { CallCounts, type CallLimits } from './call-counts.ts';
import { anonymous, type Caller } from './caller.ts';
import { FOCUS_CONTACT } from './contact.ts';
import type { Leg } from './leg.ts';
import type { LegMaker } from './leg-maker.ts';
import { type PeerTable, signsOf } from './peers.ts';
import { refusalAnswer } from './refusals.ts';
import type { LegEnd } from './roster-entry.ts';
import { readSdp } from './sdp-body.ts';
import type { Target, Targets } from './targets.ts';
import { shortTitleOf, titleOf } from './title.ts';

/** Bounds of what others can make the focus call. */
export interface DialOptions extends CallLimits {
  /** How long it rings, in ms. */
  readonly ring: number;
  /** Addresses tried that 3xx answers to one call name (RFC 3261 §8.1.3.4). */
  readonly redirects: number;
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
  /** What a group chat was called by who had it made. */
  readonly namesOf: (room: RoomUri) => readonly HeaderLine[];
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

/** Whom a URI means, and how he is reached. */
interface Called {
  readonly target: Target;
  readonly user: UserUri;
  /** A call of his that shows the way. */
  readonly known: Leg | undefined;
}

/** Branches of a fork whose early answers are kept (RFC 3261 §13.2.2.4). */
const BRANCHES = 20;

/** Who makes calls, and how many of them are under way. */
export class DialOut {
  readonly #parts: DialOutParts;
  readonly #counts: CallCounts;
  /** Who is being called where; the roster shows it only when the log has kept it. */
  readonly #called = new Set<string>();

  constructor(parts: DialOutParts) {
    this.#parts = parts;
    this.#counts = new CallCounts(parts.options);
  }

  /** Calls somebody into a room, if rules and bounds allow it; an `Answer` says why not, and nothing is reported then. */
  invite(invitation: Invitation): Answer | 'dialling' {
    const begun = this.#begin(invitation);
    const { by, way, room, target } = invitation;
    room.moderation.invited(by, formatUri(target), way, begun === 'dialling' ? undefined : why(begun));
    return begun;
  }

  #begin(invitation: Invitation): Answer | 'dialling' {
    const { room, by } = invitation;
    const called = this.#judge(invitation, invitation.target);
    if ('status' in called) return called;
    const { user } = called;
    const full = this.#counts.full(by, this.#parts.now());
    if (full !== undefined) return full;
    const seat = room.rules.join(newcomer(invitation, user));
    if ('refused' in seat) return refusalAnswer(seat);
    const counted = this.#counts.count(by);
    const call = callKey(room, user);
    this.#called.add(call);
    const done = (): void => {
      this.#called.delete(call);
      counted();
    };
    this.#dial(invitation, called, seat, done).catch((fault: unknown) => {
      const what = fault instanceof Error ? (fault.stack ?? fault.message) : String(fault);
      this.#parts.warn(`${room.uri}: the call to ${user} cannot be made: ${what}`);
      seat.free();
      done();
      invitation.report(500);
    });
    return 'dialling';
  }

  /**
   * Whom a URI means and how he is reached; an answer says why he is not called.
   * @param calling who is being called with this invitation already
   */
  #judge(invitation: Invitation, uri: Uri, calling?: UserUri): Called | Answer {
    const target = this.#parts.targets.judge(uri, invitation.room.uri);
    if ('status' in target) return target;
    const { user } = target;
    const { room, by } = invitation;
    const unwanted = room.moderation.mayInvite(by, user);
    if (unwanted !== undefined) return refusalAnswer(unwanted);
    const there = user === calling ? [] : room.conference.endpointsOf(user);
    const isCalled = user !== calling && this.#called.has(callKey(room, user));
    if (isCalled || there.some(({ status }) => status === 'dialing-out' || status === 'alerting')) {
      return { status: 491, reason: 'Is Being Called Already' };
    }
    if (there.length > 0) return { status: 486, reason: 'Is Here Already' };
    const known = this.#parts.legs().reaching(user);
    if (target.byFlowOnly && known === undefined) return NOT_CONNECTED;
    return { target, user, known };
  }

  async #dial(invitation: Invitation, called: Called, seat: Seat, done: () => void): Promise<void> {
    const { host, legs, peers } = this.#parts;
    const { room, by, roomUri = room.uri } = invitation;
    const { target, user, known } = called;
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
      await this.#call(invitation, called, leg, done);
    } finally {
      // Does nothing to one that is being called.
      leg.abandon();
    }
  }

  async #call(invitation: Invitation, called: Called, leg: Leg, done: () => void): Promise<void> {
    const { room, report, roomUri = room.uri } = invitation;
    const { options, userAgent, peers, namesOf, warn } = this.#parts;
    const offer = await leg.media.offer('calling');
    const from = parseUri(roomUri);
    const title = shortTitleOf(room);
    const first = wayTo(called);
    const tried = [first.uri];
    /** Addresses that a 3xx has named and that are not called. */
    const passed = new Passed();
    /** Answers that came before the 2xx, by the branch of a fork that has given them. */
    const early = new Map<string, SessionDescription>();
    const call = userAgent().invite(
      {
        ...first,
        to: { uri: called.target.uri, params: Params.none },
        from: { uri: from, params: Params.none, ...(title === undefined ? {} : { displayName: title }) },
        contact: FOCUS_CONTACT,
        ...contentOf(offer, invitation.together),
        headers: [...headersOf(invitation), ...callInfo(room.conference, from), ...namesOf(room.uri)],
        ringing: options.ring,
        redirects: options.redirects,
        session: leg,
      },
      {
        onProgress: (response) => {
          const description = readSdp(response);
          const branch = response.toTag ?? '';
          // RFC 3261 §13.2.1: the first description is the answer.
          const isFirst = !early.has(branch) && early.size < BRANCHES;
          if (description !== undefined && !('faults' in description) && isFirst) early.set(branch, description);
          if (response.status === 180) leg.alerting();
          report(response.status, response.reason);
        },
        onRedirect: (uri) => {
          early.clear();
          const way = this.#redirected(invitation, called.user, uri);
          const no =
            'status' in way ? why(way) : tried.some((one) => uriEquals(one, way.uri)) ? 'was called already' : way;
          if (typeof no === 'string') {
            passed.add(uri, no);
            return undefined;
          }
          tried.push(no.uri);
          return no;
        },
        onPassedOver: (uri, no) => {
          passed.add(uri, no);
        },
        onAccepted: (session, response) => {
          done();
          // Deviation: §13.2.1 has it ignored after an earlier one. Only gateways that play something before the answer
          // give another one here, and it is this one that they keep to.
          const answer = readSdp(response) ?? early.get(response.toTag ?? '');
          leg.accepted(session, answer, peers.profileOf(signsOf(response)));
          if (passed.any) warn(`${room.uri}: ${called.user} has answered elsewhere; passed over: ${passed.text}`);
          report(200);
          return undefined;
        },
        onFailed: (outcome) => {
          done();
          leg.unreached(failureOf(outcome));
          const { status, reason } = statusOf(outcome);
          const moved = status >= 300 && status < 400;
          if (moved || passed.any) {
            warn(
              `${room.uri}: ${called.user} is somewhere else (${String(status)}), and is not followed there: ${passed.text}`,
            );
          }
          report(status, moved ? `${reason}, Not Followed: ${passed.text}` : reason);
        },
      },
    );
    leg.dialling(call);
  }

  /**
   * The way to an address that a 3xx has named (RFC 3261 §8.1.3.4), judged as if it had been asked for; or why it is not
   * called. Whoever answers there is in the room as the one who was invited: nobody gets another's name by a 3xx.
   */
  #redirected(invitation: Invitation, invited: UserUri, uri: Uri): RedirectWay | Answer {
    const judged = this.#judge(invitation, uri, invited);
    if ('status' in judged) return judged;
    const { target, user } = judged;
    // It says where he is: a connection of his is the way only to a URI that leads nowhere else.
    const way = wayTo(target.byFlowOnly ? judged : { ...judged, known: undefined });
    if (user === invited) return way;
    const seat = invitation.room.rules.join(newcomer(invitation, user));
    // The place that is taken is the one of who was invited.
    if ('refused' in seat) return seat.refused === 'full' ? way : refusalAnswer(seat);
    seat.free();
    return way;
  }
}

/** Of the addresses passed over, how many are named, and with how many characters. */
const MAX_NAMED = 10;
const MAX_URI = 100;

/** The addresses that 3xx answers to one call have named in vain, for people to read. */
class Passed {
  readonly #named: string[] = [];
  #more = 0;

  add(uri: Uri, no: string): void {
    if (this.#named.length < MAX_NAMED) this.#named.push(`${formatUri(uri).slice(0, MAX_URI)}: ${no}`);
    else this.#more += 1;
  }

  get any(): boolean {
    return this.#named.length > 0;
  }

  get text(): string {
    if (!this.any) return 'it names no other address to call';
    return [...this.#named, ...(this.#more === 0 ? [] : [`+${String(this.#more)}`])].join('; ');
  }
}

/** Where a call goes: by a connection of his, else by our proxy, else to where the URI leads. */
function wayTo({ target, known }: Called): RedirectWay {
  const dialog = known?.session?.dialog;
  if (dialog?.flow === undefined)
    return { uri: target.uri, ...(target.route === undefined ? {} : { route: target.route }) };
  return { uri: dialog.remoteTarget, flow: dialog.flow, route: dialog.routeSet };
}

/** To who wants somebody called whom only a connection to this service would reach, and who has none. */
export const NOT_CONNECTED: Answer = { status: 404, reason: 'Not Reachable but through This Service' };

const callKey = (room: ChatRoom, user: UserUri): string => `${room.uri} ${user}`;

/** How somebody comes in who is called. */
function newcomer({ room, by }: Invitation, user: UserUri): Newcomer {
  return { user, invited: by === 'administrator' || isModerator(room, by) };
}

/** An answer as one reads it: `486 Is Here Already`. */
export function why({ status, reason = reasonPhrase(status) }: Answer): string {
  return `${String(status)} ${reason}`;
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
function calledAs(user: UserUri, { uri, route }: Target, { displayName, anonymize }: Invitation): Caller {
  const way = { address: readIpAddress(uri.host), proxied: route !== undefined, large: false };
  if (anonymize === true) return { ...anonymous(), user, proven: false, ...way };
  const names = new Set([user, formatUri(uri)].flatMap((name) => personKey(name) ?? []));
  return { user, proven: false, displayName, names, alias: undefined, ...way };
}

/** Subject, and who has asked for the call (RFC 3892 §2.3). */
function headersOf({ room, by, referredBy, replaces }: Invitation): readonly HeaderLine[] {
  const subject = titleOf(room);
  const asked = isOpenly(room, by) ? (referredBy ?? `<${by}>`) : undefined;
  return [
    ...(subject === undefined ? [] : [{ name: 'Subject', value: subject.replace(/[\r\n\0]+/g, ' ') }]),
    ...(asked === undefined ? [] : [{ name: 'Referred-By', value: asked }]),
    ...(replaces === undefined ? [] : [{ name: 'Replaces', value: replaces }]),
  ];
}

/** Our offer, with the list of those called where there is one (RFC 5366 §5: recipient-list-history). */
function contentOf(
  offer: SessionDescription,
  together: readonly Recipient[] = [],
): Pick<OutgoingInviteParts, 'contentType' | 'body' | 'description'> {
  const description = { contentType: 'application/sdp', body: formatSdp(offer) };
  if (!together.some(({ copyControl }) => copyControl !== 'bcc')) return description;
  const both = formatMultipart('mixed', [
    description,
    {
      contentType: 'application/resource-lists+xml',
      disposition: 'recipient-list-history;handling=optional',
      body: formatRecipientHistory(together),
    },
  ]);
  return { ...both, description };
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
  return { method: busy ? 'busy' : 'failed', reason: sipReason(status, reason) };
}
