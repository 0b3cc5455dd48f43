/**
 * Where time comes from: the system's clock in service, a test's own clock under test. Milliseconds everywhere.
 * The default reads `Date` and `setTimeout` at each call, so `mock.timers` of node:test rules it too.
 */
export interface Clock {
  now(): number;
  /** Calls `fire` once after `ms`. */
  after(ms: number, fire: () => void): Timer;
}

/** A timer that runs. Stopping one that has fired or was stopped does nothing. */
export interface Timer {
  stop(): void;
}

/** The longest time that `setTimeout` can wait for, in milliseconds; it fires at once when asked for more. */
const LONGEST = 2 ** 31 - 1;

class SystemTimer implements Timer {
  #timeout: NodeJS.Timeout;

  constructor(ms: number, fire: () => void) {
    this.#timeout = this.#wait(ms, fire);
  }

  #wait(ms: number, fire: () => void): NodeJS.Timeout {
    if (ms <= LONGEST) return setTimeout(fire, ms);
    return setTimeout(() => {
      this.#timeout = this.#wait(ms - LONGEST, fire);
    }, LONGEST);
  }

  stop(): void {
    clearTimeout(this.#timeout);
  }
}

/** The clock of this process. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after: (ms, fire) => new SystemTimer(ms, fire),
};

/** The three base values of RFC 3261 §17.1.1.1 and Table 4, in milliseconds. */
export interface BaseTimers {
  /** Estimate of the round-trip time. */
  readonly T1: number;
  /** Longest time between two retransmissions of a non-INVITE request or an INVITE response. */
  readonly T2: number;
  /** Longest time that a message may stay in the network. */
  readonly T4: number;
}

/** The defaults of RFC 3261. */
export const defaultTimers: BaseTimers = { T1: 500, T2: 4000, T4: 5000 };

/** The timers of the transactions: A–K of RFC 3261 Table 4, L and M of RFC 6026. */
export type TimerName = 'A' | 'B' | 'D' | 'E' | 'F' | 'G' | 'H' | 'I' | 'J' | 'K' | 'L' | 'M';

/** First value of each timer by transport; 0 fires at once, `undefined` never runs there. */
export type TimerTable = Readonly<Record<TimerName, number | undefined>>;

/**
 * RFC 3261 Table 4 with RFC 6026 §8.11, once for unreliable and once for reliable transports.
 * A, E and G are the retransmissions: their next value is `nextRetransmission`.
 */
export function timerTable({ T1, T4 }: BaseTimers, reliable: boolean): TimerTable {
  return {
    A: reliable ? undefined : T1, // INVITE request retransmission, §17.1.1.2
    B: 64 * T1, //                   INVITE transaction timeout, §17.1.1.2
    D: reliable ? 0 : 32_000, //     wait for response retransmissions, §17.1.1.2 (32 s whatever T1 is)
    E: reliable ? undefined : T1, // non-INVITE request retransmission, §17.1.2.2
    F: 64 * T1, //                   non-INVITE transaction timeout, §17.1.2.2
    G: reliable ? undefined : T1, // INVITE response retransmission, §17.2.1
    H: 64 * T1, //                   wait for ACK, §17.2.1
    I: reliable ? 0 : T4, //         wait for ACK retransmissions, §17.2.1
    J: reliable ? 0 : 64 * T1, //    wait for non-INVITE request retransmissions, §17.2.2
    K: reliable ? 0 : T4, //         wait for response retransmissions, §17.1.2.2
    L: 64 * T1, //                   wait for retransmissions of an accepted INVITE, RFC 6026 §8.7
    M: 64 * T1, //                   wait for 2xx retransmissions and other branches, RFC 6026 §8.4
  };
}

/** The times that all transactions of a user agent go by. */
export interface TransactionTimes {
  readonly clock: Clock;
  readonly base: BaseTimers;
  readonly reliable: TimerTable;
  readonly unreliable: TimerTable;
}

/** The timers of one transaction: one that repeats a message, and one that ends its present state. */
export class TransactionTimers<Name extends TimerName> {
  readonly #times: TransactionTimes;
  #table: TimerTable;
  readonly #fire: (name: Name) => void;
  #repeating: Timer | undefined;
  #interval = 0;
  #ending: Timer | undefined;

  constructor(times: TransactionTimes, reliable: boolean, fire: (name: Name) => void) {
    this.#times = times;
    this.#table = reliable ? times.reliable : times.unreliable;
    this.#fire = fire;
  }

  /** Starts a timer of repetitions, by default at its first value; not over a transport that has none. */
  repeat(name: Name, ms = this.#table[name] ?? 0): void {
    if (ms === 0) return;
    this.#interval = ms;
    this.#repeating = this.#times.clock.after(ms, () => {
      this.#fire(name);
    });
  }

  /** The next repetition, after twice the time of the last one, but no more than `most`. */
  again(name: Name, most = Infinity): void {
    this.repeat(name, Math.min(this.#interval * 2, most));
  }

  /** The transaction goes on by another flow: its repetitions begin anew, or end where the transport has none. */
  carriedBy(reliable: boolean, name: Name): void {
    this.#table = reliable ? this.#times.reliable : this.#times.unreliable;
    this.#repeating?.stop();
    this.repeat(name);
  }

  /** Starts the timer that ends the state; one of 0 fires at once. */
  end(name: Name): void {
    const ms = this.#table[name] ?? 0;
    if (ms === 0) this.#fire(name);
    else
      this.#ending = this.#times.clock.after(ms, () => {
        this.#fire(name);
      });
  }

  /** Stops both. */
  stop(): void {
    this.#repeating?.stop();
    this.#ending?.stop();
    this.#repeating = undefined;
    this.#ending = undefined;
  }
}

/** After this time an INVITE that nobody has answered gets its 100 (RFC 3261 §17.2.1), in milliseconds. */
export const TRYING_INVITE = 200;

/**
 * After this time a non-INVITE request that nobody has answered gets its 100: the time in which a client's timer E
 * reaches T2 (RFC 4320 §4.1); 3.5 s with the default values.
 */
export function tryingNonInvite({ T1, T2 }: BaseTimers): number {
  let elapsed = 0;
  for (let e = T1; e < T2; e *= 2) elapsed += e;
  return elapsed;
}
