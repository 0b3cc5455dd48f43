import type { Log, LogFields } from '../log.ts';

/** Lets so many lines pass between two turns, and says how many it left out: a flood must not become a flood of lines. */
export class BoundedLog implements Log {
  readonly #log: Log;
  readonly #most: number;
  #passed = 0;

  constructor(log: Log, most: number) {
    this.#log = log;
    this.#most = most;
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

  /** Begins the next interval. */
  turn(): void {
    const leftOut = this.#passed - this.#most;
    this.#passed = 0;
    if (leftOut > 0) this.#log.warn(`${leftOut} lines like these were left out`);
  }

  #pass(): boolean {
    this.#passed += 1;
    return this.#passed <= this.#most;
  }
}
