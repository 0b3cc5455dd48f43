/** Where the library tells of faults: one line each, naming flow, session and reason. */
export interface Log {
  debug(line: string): void;
  warn(line: string): void;
}

/** Tells nobody. */
export const silent: Log = {
  debug: () => undefined,
  warn: () => undefined,
};
