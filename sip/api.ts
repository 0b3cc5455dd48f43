import type { HeaderLine } from './errors.ts';
import type { NameAddr, TokenWithParams } from './fields.ts';
import type { Log } from './log.ts';
import type { SipRequest, SipResponse } from './message.ts';
import type { ParserLimits } from './parser.ts';
import type { BaseTimers, Clock } from './timers.ts';
import type { Flow, TransportHandlers, TransportLayer } from './transport/flow.ts';
import type { SipUri, Uri } from './uri.ts';

/*
 * What an application sees of the user agent: its options and handlers, and the things that handlers are given.
 * Types only; `UserAgent` and the classes behind these interfaces live in their own files.
 */

/** Headers and body that the application adds to a message. What the library writes itself (Via … CSeq) does not belong here. */
export interface Content {
  readonly headers?: readonly HeaderLine[];
  /** Content-Type of `body`, e.g. `application/sdp`. */
  readonly contentType?: string;
  /** The bytes are kept by reference until sent. */
  readonly body?: Uint8Array | string;
}

/** The answer to a request: exactly one is given to each. */
export interface Answer extends Content {
  /** 200–699. */
  readonly status: number;
  /** Default: the usual phrase of the status. */
  readonly reason?: string;
}

/** An answer now, or after something that really has to be awaited (the log, credentials). */
export type Answering = Answer | Promise<Answer>;

/** An answer to OPTIONS. With a Contact it tells where what was asked about is reached. */
export interface OptionsAnswer extends Answer {
  readonly contact?: ContactParts;
}

/** A request that is answered with one response: MESSAGE, OPTIONS, INFO, … */
export interface IncomingRequest {
  readonly request: SipRequest;
  readonly flow: Flow;
  /** The session whose dialog it came in; `undefined` outside of dialogs. */
  readonly session: InviteSession | undefined;
}

/**
 * What the application does with requests. A handler that throws `SipError` has its request answered with that error;
 * anything else it throws is logged (`Log.error`, with its stack) and answered 500. The same holds for every function
 * that is given to this library, here and in calls and sessions: what it throws is logged, and nobody else notices.
 * Absent optional handlers: as said at each.
 */
export interface UserAgentHandlers {
  /** An INVITE outside of dialogs. After the time in its Expires it gets 487 (RFC 3261 §13.3.1). Answer it through `invite`; it may also stay unanswered while something is awaited. */
  onInvite(invite: IncomingInvite): void | Promise<void>;
  /** A SUBSCRIBE that makes a new subscription to an event package named in the options, in or out of a dialog. */
  onSubscribe(subscribe: IncomingSubscribe): void | Promise<void>;
  /** A REFER, in or out of a dialog. Absent: 405. */
  onRefer?(refer: IncomingRefer): void | Promise<void>;
  /** A MESSAGE outside of dialogs, or inside one whose session has no `onMessage`. Absent: 405. */
  onMessage?(incoming: IncomingRequest): Answering;
  /** OPTIONS in or out of dialogs. Absent: 200. Allow, Accept, Supported and Allow-Events are added to every 200. */
  onOptions?(incoming: IncomingRequest): OptionsAnswer | Promise<OptionsAnswer>;
  /** INFO outside of dialogs, or inside one whose session has no `onInfo`. Absent: 405. */
  onInfo?(incoming: IncomingRequest): Answering;
  /** Any other method outside of dialogs (REGISTER, PUBLISH, …). Absent: 501, or 405 where the library knows the method. */
  onRequest?(incoming: IncomingRequest): Answering;
}

/** Bounds of everything a peer can make us keep. What exceeds one is refused (503, 486) or dropped with one log line. */
export interface Limits {
  /** Server transactions alive at once (default 200,000); above: 503 without state. */
  readonly serverTransactions: number;
  /** Bytes that server transactions remember in all: keys and responses (default 256 MiB); above: 503 without state. */
  readonly serverTransactionBytes: number;
  /** Client transactions, and requests that look for their way, at once (default 200,000); above: requests fail with 503. */
  readonly clientTransactions: number;
  /** Dialogs (default 50,000); above: 503 to what would make one. */
  readonly dialogs: number;
  /** Dialogs and unanswered INVITEs of one peer address (default 5,000). */
  readonly dialogsPerAddress: number;
  /** INVITEs that were not answered yet (default 5,000); above: 503. */
  readonly pendingInvites: number;
  /** INVITEs of one peer address that were not answered yet (default 1,000); above: 503. */
  readonly pendingInvitesPerAddress: number;
  /** Subscriptions (default 50,000); above: 503. */
  readonly subscriptions: number;
  /** Subscriptions in one dialog, told apart by their ids (default 8); above: 503. */
  readonly subscriptionsPerDialog: number;
  /** Branches of one forked INVITE of ours in which anything is sent: PRACK, ACK, BYE (default 32); above: not answered. */
  readonly branches: number;
  /** Requests of ours that wait for their turn in one dialog (default 64); above: they fail with 503. */
  readonly queuedPerDialog: number;
  /**
   * How often one request of ours is sent again because the peer wants something else in it: credentials (401, 407) or
   * a longer session interval (422) (default 8); above, that answer is final.
   */
  readonly repeats: number;
  /**
   * NOTIFYs wait while so many bytes wait for their flow (default 262144): a proxy's connection carries the subscriptions
   * of all who come through it.
   */
  readonly notifyBacklog: number;
  /** Bytes, header lines and Via values of one message. */
  readonly parser: ParserLimits;
}

/** An event package that this user agent notifies (RFC 6665 §5.4); durations in seconds. */
export interface EventPackage {
  /** Its name as in Event and Allow-Events, e.g. `conference`. */
  readonly name: string;
  /** Duration of a subscription whose SUBSCRIBE has no Expires. */
  readonly defaultExpires: number;
  /** Shorter ones are refused 423 with Min-Expires (RFC 6665 §4.2.1.1); 0 is a fetch or the end and always allowed. */
  readonly minExpires: number;
  /** Longer ones are shortened to this. */
  readonly maxExpires: number;
  /** Least time between two NOTIFYs of one subscription, in milliseconds (RFC 6665 §4.2.2 pacing); changes are collected meanwhile. */
  readonly pacing: number;
  /** The content types it can send: when Accept allows none of them the answer is 406. */
  readonly contentTypes: readonly string[];
}

/** Session timers (RFC 4028); seconds. */
export interface SessionTimerOptions {
  /** Interval that we ask for; at least 90. Default 1800. */
  readonly interval: number;
  /** Smallest interval that we accept (422 below); at least 90. Default 90. */
  readonly min: number;
}

/** Name and password to answer a challenge of `realm` with; `undefined`: none, the 401/407 is final. */
export type CredentialsFor = (realm: string) => { readonly username: string; readonly password: string } | undefined;

/** What a user agent is made with. */
export interface UserAgentOptions<T extends TransportLayer = TransportLayer> {
  /** Makes the transport; it is given the handlers by which it tells what comes in. Afterwards it is `agent.transport`. */
  readonly transport: (handlers: TransportHandlers) => T;
  readonly log?: Log;
  /** Value of Server and User-Agent. */
  readonly product?: string;
  readonly events?: readonly EventPackage[];
  /** Option tags that the application implements, besides those of the library (`timer`, `norefersub`). */
  readonly supported?: readonly string[];
  /**
   * Content types for Accept: what INVITE, UPDATE and PRACK may bring, besides multiparts of them; any other body is
   * refused 415, unless its handling is optional (RFC 3261 §8.2.3). Default `application/sdp`. For MESSAGE and the like
   * call `inspectBody`.
   */
  readonly accept?: readonly string[];
  /** Further methods for Allow (those that `onRequest` serves). */
  readonly allow?: readonly string[];
  /** Whether we go through a proxy: the route that requests outside of dialogs take first (RFC 3261 §8.1.2). */
  readonly outboundRoute?: readonly NameAddr[];
  readonly sessionTimer?: Partial<SessionTimerOptions> | false;
  readonly limits?: Partial<Limits>;
  readonly timers?: Partial<BaseTimers>;
  readonly clock?: Clock;
}

/** What became of a request that we sent. */
export type Outcome =
  /** A final response; for a challenged request the one after the credentials were sent. */
  | { readonly is: 'response'; readonly response: SipResponse }
  /** None came: 408 after timer B or F, 503 when no transport could take it or a limit was hit (RFC 3261 §8.1.3.1). */
  | { readonly is: 'failed'; readonly status: 408 | 503; readonly reason: string };

// ------------------------------------------------------------------------------------------------ requests we send

/** Who speaks to whom, in requests outside of dialogs. */
export interface OutgoingParts extends Content {
  /** Request-URI. */
  readonly uri: Uri;
  /** Without tag. */
  readonly from: NameAddr;
  /** Without tag. Default: the Request-URI. */
  readonly to?: NameAddr;
  /** Contact; for INVITE default: `<sip:user-of-from@advertised address of the flow>`. MESSAGE has none (RFC 3428 §4). */
  readonly contact?: ContactParts;
  /** Route set to start with. Default: the user agent's `outboundRoute`. */
  readonly route?: readonly NameAddr[] | undefined;
  /** Goes out by this flow while it is open, whatever the URI says: the way to a client that no address leads to. */
  readonly flow?: Flow | undefined;
  readonly credentials?: CredentialsFor;
}

/** Our Contact. */
export interface ContactParts {
  /** Default: user part of our own URI (Request-URI or From) at the flow's advertised address. */
  readonly uri?: Uri;
  /** Another user part than that of our own URI, at the same address. */
  readonly user?: string;
  /** Header parameters, e.g. `isfocus`, `message`. */
  readonly params?: Readonly<Record<string, string | number | true>>;
}

/** A request of ours outside of dialogs. */
export interface OutgoingRequestParts extends OutgoingParts {
  readonly method: string;
}

/** An INVITE of ours. */
export interface OutgoingInviteParts extends OutgoingParts {
  /**
   * Its session description, where `body` has more in it: brought alone to who refuses the body as a whole (415, RFC 3261
   * §7.4.1, §8.1.3.5), and by what refreshes the session.
   */
  readonly description?: Required<Pick<Content, 'contentType' | 'body'>>;
  /** Ends it by CANCEL when no final response has come, in milliseconds. Default 180,000. */
  readonly ringing?: number;
  /**
   * How many addresses that a 3xx names are tried, best first (RFC 3261 §8.1.3.4); what the last one answered counts.
   * A `flow` leads to the first address only. Default 0: the 3xx is final.
   */
  readonly redirects?: number;
  readonly session?: SessionHandlers;
  readonly sessionTimer?: Partial<SessionTimerOptions> | false;
}

/** The way to an address that a 3xx has named. */
export type RedirectWay = Pick<OutgoingParts, 'uri' | 'route' | 'flow'>;

/** What the caller hears of an INVITE of ours. */
export interface OutgoingInviteHandlers {
  /**
   * A 3xx has named this address, and it is the next to be tried (RFC 3261 §8.1.3.4): the way there; undefined: it is not
   * to be called, and the next one is looked at. Whatever early answers there were are void. Default: every address is
   * called, by the `route` of the first.
   */
  onRedirect?(uri: SipUri): RedirectWay | undefined;
  /** A 3xx has named this address, too, which is not asked about by `onRedirect` for this reason. */
  onPassedOver?(uri: Uri, why: string): void;
  /**
   * A provisional response other than 100. A reliable one (RFC 3262) may carry the answer to our offer, which the 2xx
   * then need not repeat.
   */
  onProgress?(response: SipResponse): void;
  /** A reliable provisional response that carries an offer: the content of its PRACK, the answer. */
  onEarlyOffer?(response: SipResponse): Content;
  /**
   * An UPDATE with an offer before the 2xx (RFC 3311 §5.2), when the exchange before it is complete: by an answer in a
   * reliable provisional response, or in our PRACK. Its 200 is the answer. Absent: 488.
   */
  onEarlyUpdate?(update: EarlyDescription): Answering;
  /**
   * 2xx. The content returned goes into the ACK: the answer, when the 2xx brought the offer (RFC 3264 in RFC 3261
   * §13.2.1). A refusal of that offer is `session.close()`.
   */
  onAccepted(session: InviteSession, response: SipResponse): Content | undefined;
  /** The INVITE has come to nothing: a final response ≥ 300, 408, 503; after `cancel` 487. Comes once. */
  onFailed(outcome: Outcome): void;
}

/** How far an INVITE of ours has come. */
export type OutgoingInviteState =
  | { readonly is: 'calling' }
  | { readonly is: 'proceeding'; readonly response: SipResponse }
  | { readonly is: 'accepted'; readonly session: InviteSession }
  | { readonly is: 'cancelling' }
  | { readonly is: 'failed'; readonly outcome: Outcome };

/** An INVITE of ours on its way. */
export interface OutgoingInvite {
  readonly state: OutgoingInviteState;
  /**
   * Gives up: CANCEL once a provisional response has come (RFC 3261 §9.1). A 2xx that crosses it is acknowledged and
   * ended by BYE. `onFailed` follows. Does nothing after a final response.
   */
  cancel(): void;
}

// ---------------------------------------------------------------------------------------------------------- INVITE

/** How far an INVITE to us has come. */
export type InviteState =
  /** Not answered: `ring`, `accept` and `refuse` work. */
  | { readonly is: 'pending' }
  | { readonly is: 'accepted'; readonly session: InviteSession }
  | { readonly is: 'refused'; readonly status: number }
  /** By CANCEL, or because the user agent closes. The 487 has been sent. */
  | { readonly is: 'cancelled' };

/** An INVITE outside of dialogs, until it has its final response. The library sends the 100. */
export interface IncomingInvite {
  readonly request: SipRequest;
  readonly flow: Flow;
  /** To be looked at again after each `await`. */
  readonly state: InviteState;
  /** Aborts when the invite is cancelled: for whatever the application waits for. */
  readonly signal: AbortSignal;
  /**
   * A provisional response 101–199 with our tag; repeated every minute (RFC 3261 §13.3.1.1). Sent reliably when the
   * peer requires it, or supports it and the response has a body (RFC 3262). To an INVITE without offer the first
   * reliable one has to carry ours (§5): where the peer requires reliability, one without a body is not sent.
   * @param onDescription hears of what the caller says of the session from now on, until there is one: the answer to our
   *   offer, or a new offer. Default: that of the `ring` before; where there is none, a new offer is refused 488
   */
  ring(answer: Answer | 180 | 181 | 182 | 183, onDescription?: (said: EarlyDescription) => Answering): void;
  /**
   * 200, repeated until its ACK comes. `undefined` when the invite is no longer pending: it was cancelled meanwhile, or
   * cannot be accepted and has been refused with what is wrong with it (400, 422).
   */
  accept(parts: AcceptParts): InviteSession | undefined;
  /** A final response 300–699. Does nothing when no longer pending. */
  refuse(answer: Answer): void;
}

/** A PRACK (RFC 3262 §5) or an UPDATE (RFC 3311) with a session description, before the 2xx. */
export interface EarlyDescription {
  readonly request: SipRequest;
  /** It offers something new, which its 200 answers; else it answers what the provisional response has offered. */
  readonly offer: boolean;
}

/** The 200 to an INVITE and what follows. */
export interface AcceptParts extends Content {
  readonly contact?: ContactParts;
  readonly session?: SessionHandlers;
  readonly sessionTimer?: Partial<SessionTimerOptions> | false;
}

/** Why a session has ended. */
export type SessionEnd =
  /** The peer's BYE. */
  | { readonly why: 'bye'; readonly request: SipRequest }
  /** Our `close`. */
  | { readonly why: 'closed' }
  /** No ACK came for 64*T1 (RFC 3261 §13.3.1.4): BYE was sent. */
  | { readonly why: 'no ACK' }
  /** A request of ours in the dialog got 481 or 408, or no response (RFC 3261 §12.2.1.2). */
  | { readonly why: 'gone'; readonly status: number; readonly reason: string }
  /** Not refreshed in time (RFC 4028 §10): BYE was sent. */
  | { readonly why: 'expired' };

/** A re-INVITE or UPDATE of the peer. */
export interface IncomingOffer {
  readonly request: SipRequest;
  /** Whether it carries a body of type application/sdp (alone or in a multipart); a session refresh often has none. */
  readonly offer: boolean;
}

/** What the application does within one session. All are optional. */
export interface SessionHandlers {
  /** A request of the peer's has come in the dialog, whatever it is but ACK, CANCEL and BYE. Told before it is looked at. */
  onHeard?(request: SipRequest): void;
  /** ACK of the 200 (once): the session is confirmed. The ACK carries the answer when the offer was in our 200. */
  onAck?(ack: SipRequest): void;
  /**
   * A re-INVITE, or an UPDATE with a body. The 200's content: the answer, or the offer when a re-INVITE has none.
   * Absent: an offer is refused 488; without one the last description of ours is sent again.
   */
  onOffer?(incoming: IncomingOffer): Answering;
  /** ACK to the 200 of a re-INVITE: carries the answer when the offer was in our 200. */
  onOfferAck?(ack: SipRequest): void;
  /** MESSAGE in the dialog. Absent: `UserAgentHandlers.onMessage`. */
  onMessage?(incoming: IncomingRequest): Answering;
  /** INFO in the dialog. Absent: `UserAgentHandlers.onInfo`. */
  onInfo?(incoming: IncomingRequest): Answering;
  /** REFER in the dialog. Absent: `UserAgentHandlers.onRefer`. */
  onRefer?(refer: IncomingRefer): void | Promise<void>;
  /** NOTIFY of a subscription that a REFER of ours made in this dialog. Absent: 481. */
  onNotify?(incoming: IncomingRequest): Answering;
  /** The session is over; comes exactly once, also after `close`. */
  onEnded?(end: SessionEnd): void;
}

/** How far a session has come. */
export type SessionState =
  /** We sent 2xx and wait for ACK. */
  'accepted' | 'confirmed' | 'ended';

/** An INVITE session from its 2xx on, and the dialog it lives in (RFC 3261 §12–15). */
export interface InviteSession {
  readonly dialog: Dialog;
  readonly state: SessionState;
  /** Whether the peer's last Allow lists the method; `undefined` when it sent none. */
  allows(method: string): boolean | undefined;
  /**
   * Sends a re-INVITE; its turn comes after one that runs (RFC 3261 §14.1), 491 is repeated after the time that the
   * RFC gives. `ack` makes the body of the ACK out of a 200 that carries an offer.
   */
  reInvite(
    content: Content,
    done: (outcome: Outcome) => void,
    ack?: (response: SipResponse) => Content | undefined,
  ): void;
  /**
   * Sends an UPDATE (RFC 3311). Like a re-INVITE it takes its turn, when no offer is without answer, and 491 is
   * repeated.
   */
  update(content: Content, done: (outcome: Outcome) => void): void;
  /**
   * Any other request in the dialog: MESSAGE, INFO, REFER, OPTIONS. They leave in the order of the calls; over UDP each
   * waits for a response to the one before it, or it might overtake it. Fails with 503 when the session has ended or
   * too many wait.
   */
  request(method: string, content: Content, done: (outcome: Outcome) => void, credentials?: CredentialsFor): void;
  /** Ends it by BYE (when the ACK has come, RFC 3261 §15); `headers` for example Reason. Does nothing when ended. */
  close(headers?: readonly HeaderLine[]): void;
}

/** A dialog (RFC 3261 §12), shared by a session and the subscriptions made in it. */
export interface Dialog {
  readonly callId: string;
  readonly localTag: string;
  /** '' for a peer of RFC 2543 (§12.1.1). */
  readonly remoteTag: string;
  /** Our URI. */
  readonly localUri: Uri;
  /** The peer's URI. */
  readonly remoteUri: Uri;
  /** The peer's latest Contact (target refresh, §12.2). */
  readonly remoteTarget: Uri;
  readonly routeSet: readonly NameAddr[];
  /** All hops are TLS (§12.1.1). */
  readonly secure: boolean;
  /** The flow that the peer's latest request came by; it may be closed. */
  readonly flow: Flow | undefined;
}

// ------------------------------------------------------------------------------------------- SUBSCRIBE and NOTIFY

/** A SUBSCRIBE that asks for a new subscription. The library has answered 489, 423 and 406 where they apply. */
export interface IncomingSubscribe {
  readonly request: SipRequest;
  readonly flow: Flow;
  /** The session whose dialog it came in. */
  readonly session: InviteSession | undefined;
  readonly event: TokenWithParams;
  /** Duration it will have, in seconds; 0: a fetch. */
  readonly expires: number;
  /**
   * 200 with Contact and Expires; then the first NOTIFY is made from `content`. `undefined` when already answered, or
   * refused now because it cannot be read.
   */
  accept(parts: SubscriptionParts): Subscription | undefined;
  refuse(answer: Answer): void;
}

/** Why a NOTIFY is due. */
export type NotifyCause =
  /** The first one, or the only one of a fetch: the whole state. */
  | 'subscribed'
  /** After a refresh: the whole state (RFC 6665 §4.2.1.2). */
  | 'refreshed'
  /** `changed` was called since the last one. */
  | 'changed'
  /** A NOTIFY failed in a way that the subscription survives: the peer may have missed the last one. */
  | 'repeated'
  /** The last one of this subscription. */
  | 'terminated';

/** Why a subscription has ended, in the words of RFC 6665 §4.1.3, or how its end was found out. */
export type SubscriptionEnd =
  | TerminatedReason
  /** The peer ended it by Expires 0, or it was a fetch. */
  | 'unsubscribed'
  /** A NOTIFY got 481 or another final failure, or no answer. */
  | 'gone';

/** `reason` of Subscription-State (RFC 6665 §4.1.3). */
export type TerminatedReason =
  'deactivated' | 'probation' | 'rejected' | 'timeout' | 'giveup' | 'noresource' | 'invariant';

/** How a subscription is served. */
export interface SubscriptionParts {
  /** What is subscribed to, for `UserAgent.changed(package, resource)`. */
  readonly resource: string;
  readonly contact?: ContactParts;
  /** Further headers of the 200. */
  readonly headers?: readonly HeaderLine[];
  /** `pending` until `activate`: NOTIFYs then carry what `content` gives, often nothing (RFC 6665 §4.2.1.1). Default active. */
  readonly pending?: boolean;
  /** The content of the next NOTIFY, asked for when it is about to be sent. `undefined` with cause `changed`: nothing to say. */
  content(cause: NotifyCause): Content | undefined;
  /**
   * A SUBSCRIBE that would prolong it. An answer, 403 say, refuses that, and the subscription ends as `rejected` (RFC 6665
   * §4.1.3). Default: it is prolonged.
   */
  mayRefresh?(request: SipRequest): Answer | undefined;
  /** It is over; comes exactly once. */
  onEnded?(end: SubscriptionEnd): void;
}

/** A subscription that we notify (RFC 6665 §4.2). */
export interface Subscription {
  readonly dialog: Dialog;
  readonly event: TokenWithParams;
  readonly resource: string;
  readonly state: 'pending' | 'active' | 'terminated';
  /** Seconds left. */
  readonly remaining: number;
  /** There is something new to tell; `content` will be called as soon as pacing and the NOTIFY under way let it. */
  changed(): void;
  /** From pending to active (RFC 6665 §4.2.2). */
  activate(): void;
  /** Last NOTIFY with Subscription-State terminated; `retryAfter` in seconds. */
  terminate(reason: TerminatedReason, retryAfter?: number): void;
}

// ----------------------------------------------------------------------------------------------------------- REFER

/** A REFER (RFC 3515). The library has answered 400 to one without exactly one Refer-To. */
export interface IncomingRefer {
  readonly request: SipRequest;
  readonly flow: Flow;
  readonly session: InviteSession | undefined;
  /** Where to; the `method` parameter, inside or outside of the brackets, is in `method`. */
  readonly referTo: NameAddr;
  /** INVITE when none is named. */
  readonly method: string;
  readonly referredBy: NameAddr | undefined;
  /**
   * 200, and an implicit subscription whose NOTIFYs tell the progress (first one: 100 Trying, sent at once); or 200
   * with `Refer-Sub: false` and no subscription when the peer asked so (RFC 4488). `undefined` when already answered,
   * or refused now because it cannot be read.
   */
  accept(parts?: {
    readonly contact?: ContactParts;
    readonly headers?: readonly HeaderLine[];
  }): ReferProgress | undefined;
  refuse(answer: Answer): void;
}

/** Tells a referrer how the reference fares (RFC 3515 §2.4.4); does nothing when it did not want to know. */
export interface ReferProgress {
  /** The status line of the referenced request; 200 and above is the last. */
  report(status: number, reason?: string): void;
}

// ------------------------------------------------------------------------------------------------------- user agent

/** What is alive in a user agent; for metrics. */
export interface UserAgentCounts {
  readonly serverTransactions: number;
  readonly clientTransactions: number;
  readonly dialogs: number;
  readonly subscriptions: number;
  readonly pendingInvites: number;
}

/** The user agent as the application calls it; made by `new UserAgent(options, handlers)`. */
export interface SipUserAgent {
  /** Sends a request outside of dialogs: MESSAGE, OPTIONS, REFER with `Refer-Sub: false`, … `done` comes exactly once. */
  request(parts: OutgoingRequestParts, done: (outcome: Outcome) => void): void;
  /** Calls somebody. */
  invite(parts: OutgoingInviteParts, handlers: OutgoingInviteHandlers): OutgoingInvite;
  /** The state of a resource has changed: its subscriptions of that package get a NOTIFY, as pacing allows. */
  changed(eventPackage: string, resource: string): void;
  /** The subscriptions to a resource. */
  subscriptions(eventPackage: string, resource: string): Iterable<Subscription>;
  readonly counts: UserAgentCounts;
  /**
   * Ends what is alive: pending invites get 503, sessions BYE, subscriptions a last NOTIFY (`deactivated`, RFC 6665
   * §4.1.3: come again), then, when their answers are here or `grace` milliseconds are over, the transport is closed. What
   * could not be said or was not answered is told in one line. `first` may end some of it before, in words of its own.
   */
  close(grace?: number, first?: () => void): Promise<void>;
}
