import type { Limits, Outcome, SessionTimerOptions } from './api.ts';
import { type HeaderLine, SipError } from './errors.ts';
import { includesToken } from './grammar.ts';
import type { SipRequest, SipResponse } from './message.ts';
import type { Clock, Timer } from './timers.ts';

/** The least interval that RFC 4028 §4 allows, in seconds. */
export const LEAST_INTERVAL = 90;
/** What is asked for and accepted by default, in seconds. */
export const DEFAULT_SESSION_TIMER: SessionTimerOptions = { interval: 1800, min: LEAST_INTERVAL };

/** The session timer of one session: that of the user agent, or what the session wants otherwise. */
export function timerOptions(
  ofUserAgent: SessionTimerOptions | undefined,
  ofSession: Partial<SessionTimerOptions> | false | undefined,
): SessionTimerOptions | undefined {
  if (ofSession === undefined) return ofUserAgent;
  return ofSession === false ? undefined : { ...DEFAULT_SESSION_TIMER, ...ofUserAgent, ...ofSession };
}

/** Who repeats the request in time: the sender of the INVITE or UPDATE that was answered last, or its receiver. */
export type Refresher = 'uac' | 'uas';

/** What a request and its 2xx have agreed on. */
export interface SessionInterval {
  /** Seconds. */
  readonly interval: number;
  readonly refresher: Refresher;
}

/** What a server answers about the session timer: its 2xx headers, and what is agreed; nothing where there is no timer. */
export interface TimerAnswer {
  readonly agreed: SessionInterval | undefined;
  readonly headers: readonly HeaderLine[];
}

/**
 * The answer of a server to an INVITE or UPDATE (RFC 4028 §9, Table 2). A client that knows the extension and does not
 * say who shall refresh does it itself; for one that does not know it we do.
 * @throws SipError 422 when the interval asked for is too small.
 */
export function answerTimer(request: SipRequest, options: SessionTimerOptions | undefined): TimerAnswer {
  const asked = request.sessionExpires;
  const knows = includesToken([...request.supported, ...request.require], 'timer');
  if (options === undefined) return { agreed: undefined, headers: [] };
  // §9: 422 only to those who know what it means; for the others a proxy has asked, and its value is taken.
  if (asked !== undefined && asked.seconds < options.min && knows)
    throw new SipError(422, 'session interval too small', [{ name: 'Min-SE', value: String(options.min) }]);
  const ours = Math.max(options.interval, request.minSe ?? 0);
  // Deviation: §9 forbids to raise what was asked for. Less than 90 s can only come from an element that breaks §4, and
  // would make us flood the dialog.
  const interval = Math.max(Math.min(asked?.seconds ?? ours, ours), LEAST_INTERVAL);
  const refresher: Refresher = !knows || asked?.params.get('refresher') === 'uas' ? 'uas' : 'uac';
  const headers: HeaderLine[] = [{ name: 'Session-Expires', value: `${String(interval)};refresher=${refresher}` }];
  if (knows) headers.push({ name: 'Require', value: 'timer' });
  return { agreed: { interval, refresher }, headers };
}

/**
 * The headers by which our INVITE or UPDATE asks for a session timer (RFC 4028 §7.1, §7.4).
 * @param refresher who refreshes so far, seen from this request; undefined in the first one: the peer may choose
 */
export function askTimer(options: SessionTimerOptions | undefined, refresher?: Refresher): readonly HeaderLine[] {
  if (options === undefined) return [];
  const who = refresher === undefined ? '' : `;refresher=${refresher}`;
  return [
    { name: 'Session-Expires', value: `${String(options.interval)}${who}` },
    { name: 'Min-SE', value: String(options.min) },
  ];
}

/**
 * What the 2xx to a request of ours has agreed on (RFC 4028 §7.2). A peer that does not know the extension leaves the
 * refreshes to us: they find out when it is gone.
 * @param asked the interval that the request asked for
 */
function readTimer(response: SipResponse, asked: number): SessionInterval {
  const expires = response.sessionExpires;
  if (expires === undefined) return { interval: asked, refresher: 'uac' };
  // §4, §9: no less than 90 s, and no more than we have asked for, whatever the peer says.
  const interval = Math.max(Math.min(expires.seconds, asked), LEAST_INTERVAL);
  return { interval, refresher: expires.params.get('refresher') === 'uas' ? 'uas' : 'uac' };
}

/** After a 422: what to ask for next (RFC 4028 §7.3); undefined when the peer did not say. */
export function raised(options: SessionTimerOptions, response: SipResponse): SessionTimerOptions | undefined {
  const { minSe } = response;
  if (minSe === undefined || minSe <= options.min) return undefined;
  return { min: minSe, interval: Math.max(options.interval, minSe) };
}

/** What becomes of the session when the timer says so. */
export interface TimedSession {
  /** Half of the interval is over, and it is on us to refresh: by a request with the headers of `ask`. */
  refresh(): void;
  /** Nobody has refreshed: it is time to send BYE. */
  expired(): void;
}

/** The session timer of one session (RFC 4028 §7.4, §10). */
export class SessionTimer {
  readonly #clock: Clock;
  readonly #options: SessionTimerOptions | undefined;
  readonly #session: TimedSession;
  #end: Timer | undefined;
  #endsAt = 0;
  #next: Timer | undefined;
  #refreshes = false;
  /** The interval that holds, or that was asked for last. */
  #interval: number;
  /** The largest Min-SE that this dialog has seen (§7.4). */
  #least: number;
  /** What the last refresh was refused with. */
  #refusal: number | undefined;
  /** How often a longer interval was wanted since the last refresh that succeeded. */
  #prolonged = 0;
  readonly #repeats: number;

  /** @param options none: no timer ever runs */
  constructor(
    { clock, limits }: { readonly clock: Clock; readonly limits: Pick<Limits, 'repeats'> },
    options: SessionTimerOptions | undefined,
    session: TimedSession,
  ) {
    this.#clock = clock;
    this.#repeats = limits.repeats;
    this.#options = options;
    this.#session = session;
    this.#interval = options?.interval ?? 0;
    this.#least = options?.min ?? LEAST_INTERVAL;
  }

  /** The headers of a request of ours: the interval and the refresher stay as they are (§7.4). */
  ask(): readonly HeaderLine[] {
    if (this.#options === undefined) return [];
    this.#interval = Math.max(this.#interval, this.#least);
    const refresher = this.#end === undefined ? undefined : this.#refreshes ? 'uac' : 'uas';
    return askTimer({ interval: this.#interval, min: this.#least }, refresher);
  }

  /**
   * What we answer to a request of the peer; it counts when `agree` is called.
   * @throws SipError 422 when the interval asked for is too small
   */
  answer(request: SipRequest): TimerAnswer {
    return answerTimer(request, this.#options);
  }

  /** A request of the peer gets its 2xx. */
  agree(request: SipRequest): void {
    this.#least = Math.max(this.#least, request.minSe ?? 0);
    this.#start(this.answer(request).agreed, 'uas');
  }

  /** A request of ours got its 2xx. */
  agreed(response: SipResponse): void {
    if (this.#options !== undefined) this.#start(readTimer(response, this.#interval), 'uac');
  }

  /**
   * A refresh of ours was refused, and the session goes on. It is tried again (§10): at once with the longer interval
   * that a 422 wants; else once for the same status, after its Retry-After, or after half of the time that is left when
   * the fault is the server's. When that does not help either, the session expires.
   */
  refused(outcome: Outcome): void {
    const status = outcome.is === 'response' ? outcome.response.status : outcome.status;
    const { minSe, retryAfter } = outcome.is === 'response' ? outcome.response : {};
    if (status === 422 && minSe !== undefined && minSe > this.#least) {
      if (++this.#prolonged > this.#repeats) return;
      this.#least = minSe;
      this.#session.refresh();
      return;
    }
    if (this.#end === undefined || status === this.#refusal) return;
    this.#refusal = status;
    const left = this.#endsAt - this.#clock.now();
    const wait = retryAfter === undefined ? left / 2 : retryAfter.seconds * 1000;
    if (wait < left && (retryAfter !== undefined || Math.floor(status / 100) === 5)) this.#refreshAfter(wait);
  }

  /** Starts anew with what was agreed; `ours` is our role in that request. */
  #start(agreed: SessionInterval | undefined, ours: Refresher): void {
    this.stop();
    if (agreed === undefined) return;
    const { interval, refresher } = agreed;
    this.#interval = interval;
    this.#refreshes = refresher === ours;
    this.#refusal = undefined;
    this.#prolonged = 0;
    // A refresh that succeeds starts anew; one that fails leaves the end where it was.
    const end = (interval - Math.min(32, interval / 3)) * 1000;
    this.#endsAt = this.#clock.now() + end;
    this.#end = this.#clock.after(end, () => {
      this.#session.expired();
    });
    if (this.#refreshes) this.#refreshAfter(interval * 500);
  }

  #refreshAfter(ms: number): void {
    this.#next = this.#clock.after(ms, () => {
      this.#session.refresh();
    });
  }

  stop(): void {
    this.#end?.stop();
    this.#end = undefined;
    this.#next?.stop();
  }
}
