/** Seconds after which readers are told once more that somebody still writes (RFC 3994 §3.2); as `Room.composing` announces. */
const REFRESH = 60;

/** Seconds without a keystroke after which he has stopped. */
const IDLE = 15;

/** Tells a room when we write, and when we have stopped (RFC 3994 §3.2). */
export class Composing {
  readonly #tell: (active: boolean) => void;
  #active = false;
  /** Runs out when nothing more is written. */
  #idle: NodeJS.Timeout | undefined;
  /** Runs out when readers are to be told again; undefined then. */
  #fresh: NodeJS.Timeout | undefined;

  constructor(tell: (active: boolean) => void) {
    this.#tell = tell;
  }

  /** The line is this by now. An order is nothing that is said to others. */
  typed(line: string): void {
    if (line === '' || line.startsWith('/')) {
      this.#stop();
      return;
    }
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#stop(), IDLE * 1000).unref();
    if (this.#active && this.#fresh !== undefined) return;
    this.#active = true;
    this.#fresh = setTimeout(() => (this.#fresh = undefined), REFRESH * 1000).unref();
    this.#tell(true);
  }

  /** It was said, which tells by itself that it is written no more. */
  said(): void {
    this.#active = false;
    clearTimeout(this.#idle);
    clearTimeout(this.#fresh);
  }

  #stop(): void {
    if (!this.#active) return;
    this.said();
    this.#tell(false);
  }
}
