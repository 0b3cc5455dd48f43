import type { Log, LogFields } from './log.ts';

/**
 * Calls what the application has given us. What it throws is a bug of the application's: it is logged with its stack,
 * and the work that called goes on, since a call half-done or a process ended would be paid for by everybody else.
 */
export function tell<T>(log: Log, handler: () => T, fields?: LogFields): T | undefined {
  const failed = (error: unknown): void => {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    log.error(`a handler threw: ${what}`, fields);
  };
  try {
    const result = handler();
    // Where a handler has nothing to return, an async function fits as well.
    if (result instanceof Promise) result.catch(failed);
    return result;
  } catch (error) {
    failed(error);
    return undefined;
  }
}

/** The same function, but what it throws is logged. */
export function telling<T>(log: Log, handler: (value: T) => void, fields?: LogFields): (value: T) => void {
  return (value) => {
    tell(
      log,
      () => {
        handler(value);
      },
      fields,
    );
  };
}
