import type { Log, LogFields } from './log.ts';

/** How many lines a flood may become. */
export interface LogBounds {
  /** Lines in one interval. Default 50. */
  readonly lines?: number;
  /** Length of an interval in milliseconds. Default 1000. */
  readonly interval?: number;
  readonly now: () => number;
}

/**
 * Lets so many lines pass in each interval and counts the rest, which the first line after it tells: a flood of
 * messages must not become a flood of lines. Our own bugs (`error`) always pass.
 */
export class BoundedLog implements Log {
  readonly #log: Log;
  readonly #lines: number;
  readonly #interval: number;
  readonly #now: () => number;
  #since = -Infinity;
  #passed = 0;

  constructor(log: Log, bounds: LogBounds) {
    this.#log = log;
    this.#lines = bounds.lines ?? 50;
    this.#interval = bounds.interval ?? 1_000;
    this.#now = bounds.now;
  }

  /** Not bounded: it is written only where somebody looks for a fault. */
  debug(text: string, fields?: LogFields): void {
    this.#log.debug?.(text, fields);
  }

  info(text: string, fields?: LogFields): void {
    if (this.#pass()) this.#log.info(text, fields);
  }

  warn(text: string, fields?: LogFields): void {
    if (this.#pass()) this.#log.warn(text, fields);
  }

  error(text: string, fields?: LogFields): void {
    this.#log.error(text, fields);
  }

  #pass(): boolean {
    const now = this.#now();
    if (now - this.#since >= this.#interval) this.#turn(now);
    this.#passed += 1;
    return this.#passed <= this.#lines;
  }

  #turn(now: number): void {
    const leftOut = this.#passed - this.#lines;
    this.#since = now;
    this.#passed = 0;
    if (leftOut > 0) this.#log.warn(`${leftOut} more lines were left out`);
  }
}
