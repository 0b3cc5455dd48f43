import type {
  Content,
  EventPackage,
  NotifyCause,
  Outcome,
  Subscription,
  SubscriptionEnd,
  SubscriptionParts,
  TerminatedReason,
} from './api.ts';
import { tell } from './callbacks.ts';
import type { Core } from './core.ts';
import type { LiveDialog, SubscriptionUsage } from './dialog.ts';
import { type HeaderLine, SipError } from './errors.ts';
import { EVENT, type TokenWithParams } from './fields.ts';
import { checkLines } from './headers.ts';
import { sendInDialog } from './in-dialog.ts';
import type { Incoming } from './incoming.ts';
import type { SipResponse } from './message.ts';
import { Params } from './params.ts';
import { formatRates, type Rates, ratesOf } from './rates.ts';
import type { Timer } from './timers.ts';

/** What a subscription starts with. */
export interface SubscriptionStart {
  readonly core: Core;
  readonly dialog: LiveDialog;
  readonly event: TokenWithParams;
  readonly package: EventPackage;
  readonly parts: SubscriptionParts;
  /** Seconds; 0 is a fetch. */
  readonly expires: number;
  /** Called once, when it is no longer to be found. */
  readonly forget: (subscription: LiveSubscription) => void;
}

/** Responses to NOTIFY that end the subscription (RFC 6665 §4.2.2; 408 says what timer F says, RFC 3261 §12.2.1.2). */
const SUBSCRIPTION_IS_GONE: ReadonlySet<number> = new Set([
  404, 405, 408, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604,
]);

/** How often it is looked whether a flow has taken what waits for it, in milliseconds. */
const LOOK_AGAIN = 20;

/** Which cause says more: of several that are due only the greatest is told. */
const WEIGHT: Readonly<Record<NotifyCause, number>> = {
  changed: 0,
  repeated: 1,
  refreshed: 2,
  subscribed: 3,
  terminated: 4,
};

/** A subscription that we notify (RFC 6665 §4.2). One NOTIFY is under way at a time; what changes meanwhile is collected. */
export class LiveSubscription implements Subscription, SubscriptionUsage {
  readonly dialog: LiveDialog;
  readonly event: TokenWithParams;
  readonly package: EventPackage;
  readonly #core: Core;
  readonly #parts: SubscriptionParts;
  readonly #forget: (subscription: LiveSubscription) => void;
  #state: Subscription['state'];
  #expiresAt: number;
  #expiry: Timer | undefined;
  #due: NotifyCause | undefined;
  #underWay = false;
  /** Pacing: the next NOTIFY that only tells a change leaves not before. */
  #notBefore = 0;
  #pace: Timer | undefined;
  /** Runs while too much waits for the flow. */
  #backlog: Timer | undefined;
  /** When the last NOTIFY left. */
  #notifiedAt = 0;
  #rates: Rates = { least: undefined, longest: undefined };
  /** Runs while the subscriber wants to hear that nothing has happened. */
  #quiet: Timer | undefined;
  /** A NOTIFY failed and the subscription survived: the next one tells everything. */
  #missed = false;
  #farewell: { readonly reason: TerminatedReason; readonly retryAfter: number | undefined } | undefined;

  constructor(start: SubscriptionStart) {
    this.#core = start.core;
    this.dialog = start.dialog;
    this.event = start.event;
    this.package = start.package;
    this.#parts = start.parts;
    this.#forget = start.forget;
    this.#state = start.parts.pending === true ? 'pending' : 'active';
    this.#expiresAt = 0;
    this.dialog.subscriptions.set(usageKey(this.event), this);
    this.#lasts(start.expires);
    this.#rates = this.#ratesIn(start.event);
  }

  get resource(): string {
    return this.#parts.resource;
  }

  get state(): Subscription['state'] {
    return this.#state;
  }

  get remaining(): number {
    return Math.max(0, Math.ceil((this.#expiresAt - this.#core.clock.now()) / 1000));
  }

  /** The first NOTIFY; of a fetch (RFC 6665 §4.4.3) it is the last as well. Call it when the 200 has been sent. */
  begin(): void {
    if (this.remaining === 0) this.#finish('timeout', undefined, 'unsubscribed');
    else this.#mark('subscribed');
  }

  changed(): void {
    this.#mark(this.#missed ? 'repeated' : 'changed');
  }

  activate(): void {
    if (this.#state !== 'pending') return;
    this.#state = 'active';
    this.#mark('subscribed');
  }

  terminate(reason: TerminatedReason, retryAfter?: number): void {
    this.#finish(reason, retryAfter, reason);
  }

  /** A SUBSCRIBE that refreshes or ends it (RFC 6665 §4.2.1.4). */
  receive(incoming: Incoming): void {
    const { minExpires, maxExpires, defaultExpires } = this.package;
    const asked = incoming.request.expires ?? defaultExpires;
    if (asked > 0 && asked < minExpires) {
      incoming.respond(423, { headers: [{ name: 'Min-Expires', value: String(minExpires) }] });
      return;
    }
    const { request } = incoming;
    const about = { callId: this.dialog.callId, event: this.event.value };
    const refusal = asked === 0 ? undefined : tell(this.#core.log, () => this.#parts.mayRefresh?.(request), about);
    if (refusal !== undefined) {
      incoming.respond(refusal.status, refusal);
      this.terminate('rejected');
      return;
    }
    const expires = Math.min(asked, maxExpires);
    this.dialog.refresh(incoming.request);
    incoming.respond(200, {
      contact: this.dialog.contactFor(incoming.flow),
      headers: [{ name: 'Expires', value: String(expires) }, ...(this.#parts.headers ?? [])],
    });
    if (expires === 0) this.#finish('timeout', undefined, 'unsubscribed');
    else {
      this.#lasts(expires);
      this.#takeRates(incoming.request.event ?? this.event);
      this.#mark('refreshed');
    }
  }

  #ratesIn(event: TokenWithParams): Rates {
    return ratesOf(event, {
      pacing: this.package.pacing,
      remaining: Math.max(1, this.#expiresAt - this.#core.clock.now()),
    });
  }

  /** RFC 6446 §5.1: a SUBSCRIBE, or the Event of a 200 to a NOTIFY, says all the rates that hold from now on. */
  #takeRates(event: TokenWithParams): void {
    const before = this.#rates;
    this.#rates = this.#ratesIn(event);
    const { least } = this.#rates;
    if (least === before.least && this.#rates.longest === before.longest) return;
    this.#notBefore = this.#notifiedAt + (least ?? this.package.pacing);
    this.#pace?.stop();
    this.#pace = undefined;
    this.#watchQuiet();
    this.#pump();
  }

  /** RFC 6446 §6.2: the state is told again when nothing was told for so long. */
  #watchQuiet(): void {
    this.#quiet?.stop();
    const { longest } = this.#rates;
    if (longest === undefined || this.#state === 'terminated') return;
    const wait = Math.max(0, this.#notifiedAt + longest - this.#core.clock.now());
    this.#quiet = this.#core.clock.after(wait, () => {
      this.#mark('repeated');
    });
  }

  #lasts(seconds: number): void {
    const { clock } = this.#core;
    this.#expiresAt = clock.now() + seconds * 1000;
    this.#expiry?.stop();
    if (seconds > 0)
      this.#expiry = clock.after(seconds * 1000, () => {
        this.#finish('timeout', undefined, 'timeout');
      });
  }

  #mark(cause: NotifyCause): void {
    if (this.#state === 'terminated' && cause !== 'terminated') return;
    if (this.#due === undefined || WEIGHT[cause] > WEIGHT[this.#due]) this.#due = cause;
    this.#pump();
  }

  #pump(): void {
    const cause = this.#due;
    if (cause === undefined || this.#underWay || this.#waitsForFlow(cause)) return;
    const wait = this.#notBefore - this.#core.clock.now();
    if (wait > 0 && WEIGHT[cause] <= WEIGHT.repeated) {
      this.#pace ??= this.#core.clock.after(wait, () => {
        this.#pace = undefined;
        this.#pump();
      });
      return;
    }
    if (WEIGHT[cause] <= WEIGHT.repeated) this.#core.turns.take(this.#takeTurn);
    else this.#takeTurn();
  }

  /** What is said later says all that has happened until then; only a farewell does not wait. */
  #waitsForFlow(cause: NotifyCause): boolean {
    const { flow } = this.dialog;
    const waits = cause !== 'terminated' && flow?.open === true && flow.queued > this.#core.limits.notifyBacklog;
    if (waits) {
      this.#backlog ??= this.#core.clock.after(LOOK_AGAIN, () => {
        this.#backlog = undefined;
        this.#pump();
      });
    }
    return waits;
  }

  /** Says what is due at this moment, which may be more than when it took its place in the queue. */
  readonly #takeTurn = (): void => {
    const cause = this.#due;
    if (cause === undefined || this.#underWay || this.#waitsForFlow(cause)) return;
    this.#due = undefined;
    this.#core.notifier.told(this.package.name, this);
    const content = this.#content(cause);
    if (content !== undefined) this.#notify(cause, content);
  };

  /** What the application wants to say; undefined: nothing is sent now. */
  #content(cause: NotifyCause): Content | undefined {
    try {
      const content = this.#parts.content(cause);
      checkLines(content?.headers);
      return content ?? (cause === 'changed' ? undefined : {});
    } catch (error) {
      this.#core.log.error(`making a NOTIFY threw: ${String(error)}`, {
        callId: this.dialog.callId,
        event: this.event.value,
        resource: this.resource,
      });
      if (cause === 'terminated') return {};
      this.#finish('giveup', undefined, 'giveup');
      return undefined;
    }
  }

  #notify(cause: NotifyCause, content: Content): void {
    const headers: readonly HeaderLine[] = [
      { name: 'Event', value: eventOf(this.event) },
      { name: 'Subscription-State', value: this.#subscriptionState() },
      this.#core.capabilities.allow,
      ...this.#core.capabilities.allowEvents,
      ...(content.headers ?? []),
    ];
    this.#underWay = true;
    this.#missed = false;
    this.#notifiedAt = this.#core.clock.now();
    // A first change soon after the first NOTIFY is told at once, unless a rate is asked for; what follows it has to wait.
    const { least } = this.#rates;
    if (least !== undefined) this.#notBefore = this.#notifiedAt + least;
    else if (WEIGHT[cause] <= WEIGHT.repeated) this.#notBefore = this.#notifiedAt + this.package.pacing;
    this.#watchQuiet();
    sendInDialog(
      this.#core,
      this.dialog,
      { method: 'NOTIFY', content: { ...content, headers } },
      {
        onResponse: (response) => {
          if (response.status >= 200) this.#answered({ is: 'response', response });
        },
        onFailed: (outcome) => {
          this.#answered(outcome);
        },
      },
    );
    if (cause === 'terminated') this.#leaveDialog();
  }

  #subscriptionState(): string {
    if (this.#farewell === undefined) {
      return `${this.#state};expires=${String(this.remaining)}${formatRates(this.#rates)}`;
    }
    const { reason, retryAfter } = this.#farewell;
    return `terminated;reason=${reason}${retryAfter === undefined ? '' : `;retry-after=${String(retryAfter)}`}`;
  }

  #answered(outcome: Outcome): void {
    this.#underWay = false;
    if (this.#state === 'terminated') {
      this.#pump();
      return;
    }
    const status = outcome.is === 'failed' ? outcome.status : outcome.response.status;
    if (outcome.is === 'response' && status < 300) {
      this.dialog.refresh(outcome.response);
      const event = eventIn(outcome.response);
      if (event !== undefined) this.#takeRates(event);
      this.#pump();
    } else if (outcome.is === 'failed' || SUBSCRIPTION_IS_GONE.has(status)) {
      // A NOTIFY that could not be sent was told where that was found out.
      if (outcome.is === 'response') {
        this.#core.log.warn(`NOTIFY ${String(status)}: the subscription ends`, {
          callId: this.dialog.callId,
          flow: this.dialog.flow?.id,
          event: this.event.value,
          resource: this.resource,
        });
      }
      this.#gone();
    } else {
      this.#missed = true;
      const retryAfter = outcome.response.retryAfter?.seconds;
      if (retryAfter !== undefined) {
        this.#notBefore = this.#core.clock.now() + retryAfter * 1000;
        this.#mark('repeated');
      } else if (this.#due !== undefined) this.#mark('repeated'); // what has changed meanwhile is told all the same
    }
  }

  /** Tells the peer that it is over; nothing is told after that. */
  #finish(reason: TerminatedReason, retryAfter: number | undefined, end: SubscriptionEnd): void {
    if (this.#state === 'terminated') return;
    this.#farewell = { reason, retryAfter };
    this.#stop();
    this.#mark('terminated');
    this.#tellEnd(end);
  }

  #tellEnd(end: SubscriptionEnd): void {
    tell(this.#core.log, () => this.#parts.onEnded?.(end), { callId: this.dialog.callId, event: this.event.value });
  }

  /** The peer does not know it any more. */
  #gone(): void {
    this.#stop();
    this.#leaveDialog();
    this.#tellEnd('gone');
  }

  #stop(): void {
    this.#state = 'terminated';
    this.#due = undefined;
    this.#expiry?.stop();
    this.#pace?.stop();
    this.#backlog?.stop();
    this.#quiet?.stop();
    this.#forget(this);
  }

  #leaveDialog(): void {
    const { dialog } = this;
    if (dialog.subscriptions.get(usageKey(this.event)) !== this) return;
    dialog.subscriptions.delete(usageKey(this.event));
    this.#core.dialogs.sweep(dialog);
  }
}

/** The Event of a response (RFC 6446 §9.3); one that cannot be read asks for nothing. */
function eventIn(response: SipResponse): TokenWithParams | undefined {
  try {
    return response.headers.read(EVENT);
  } catch (fault) {
    if (fault instanceof SipError) return undefined;
    throw fault;
  }
}

/** The Event of a NOTIFY: what was asked besides package and id, such as rates, is no part of the name (RFC 6665 §8.2.1). */
function eventOf({ value, params }: TokenWithParams): string {
  const id = params.get('id');
  return id === undefined ? value : value + Params.none.with('id', id).toString();
}

/** What tells the subscriptions of one dialog apart: package and id (RFC 6665 §4.5.1). */
export function usageKey({ value, params }: TokenWithParams): string {
  return `${value};${params.get('id') ?? ''}`;
}
