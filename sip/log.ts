/** What a log line carries besides its text: the flow, the Call-ID, the reason. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Where the SIP library writes its few lines; the service hands in its own (pino fits as `{warn: (t, f) => pino.warn(f, t)}`). */
export interface Log {
  /** What helps to understand a fault afterwards, and what anybody can cause as often as he likes. May be left out. */
  debug?(text: string, fields?: LogFields): void;
  /** Something an operator may want to know, in good order. */
  info(text: string, fields?: LogFields): void;
  /** A fault: the peer's, the network's or a limit reached. One line per fault. */
  warn(text: string, fields?: LogFields): void;
  /** Our own bug, or the application's: what a handler threw. */
  error(text: string, fields?: LogFields): void;
}

/** Writes nothing. */
export const silent: Log = { info: () => undefined, warn: () => undefined, error: () => undefined };
