import type { SessionTimerOptions } from './api.ts';
import { type HeaderLine, SipError } from './errors.ts';
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
  const knows = request.supported.includes('timer') || request.require.includes('timer');
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
 */
export function readTimer(
  response: SipResponse,
  options: SessionTimerOptions | undefined,
): SessionInterval | undefined {
  const expires = response.sessionExpires;
  if (options === undefined) return undefined;
  if (expires === undefined) return { interval: options.interval, refresher: 'uac' };
  // §4, §9: no less than 90 s, and no more than we have asked for, whatever the peer says.
  const interval = Math.max(Math.min(expires.seconds, options.interval), LEAST_INTERVAL);
  return { interval, refresher: expires.params.get('refresher') === 'uas' ? 'uas' : 'uac' };
}

/** After a 422: what to ask for next (RFC 4028 §7.3); undefined when the peer did not say. */
export function raised(options: SessionTimerOptions, response: SipResponse): SessionTimerOptions | undefined {
  const { minSe } = response;
  if (minSe === undefined || minSe <= options.min) return undefined;
  return { min: minSe, interval: Math.max(options.interval, minSe) };
}

/** The clock of one session (RFC 4028 §10). */
export class SessionTimer {
  readonly #clock: Clock;
  readonly #refresh: () => void;
  readonly #expired: () => void;
  #timer: Timer | undefined;
  #refreshes = false;

  /**
   * @param refresh half of the interval is over, and it is on us to refresh
   * @param expired nobody has refreshed: it is time to send BYE
   */
  constructor(clock: Clock, refresh: () => void, expired: () => void) {
    this.#clock = clock;
    this.#refresh = refresh;
    this.#expired = expired;
  }

  /** Whether we refresh; undefined while no timer runs. */
  get refreshes(): boolean | undefined {
    return this.#timer === undefined ? undefined : this.#refreshes;
  }

  /** Starts anew with what was agreed; `ours` is our role in that request. */
  start(agreed: SessionInterval | undefined, ours: Refresher): void {
    this.stop();
    if (agreed === undefined) return;
    const { interval, refresher } = agreed;
    this.#refreshes = refresher === ours;
    const end = (interval - Math.min(32, interval / 3)) * 1000;
    if (!this.#refreshes) {
      this.#timer = this.#clock.after(end, this.#expired);
      return;
    }
    this.#timer = this.#clock.after(interval * 500, () => {
      // A refresh that succeeds starts anew; one that fails leaves the end where it was.
      this.#timer = this.#clock.after(end - interval * 500, this.#expired);
      this.#refresh();
    });
  }

  stop(): void {
    this.#timer?.stop();
    this.#timer = undefined;
  }
}
