/** Who is writing at the moment (RFC 3994 §3.3): until told otherwise, or heard from, or silent for too long. */
export class Writers {
  readonly #timers = new Map<string, { readonly name: string; readonly timer: NodeJS.Timeout }>();
  readonly #changed: (names: readonly string[]) => void;

  /** `changed` gets the names of all who write. */
  constructor(changed: (names: readonly string[]) => void) {
    this.#changed = changed;
  }

  /** Somebody writes, for so many seconds unless he tells again. */
  begin(uri: string, name: string, refresh: number): void {
    clearTimeout(this.#timers.get(uri)?.timer);
    const timer = setTimeout(() => this.end(uri), Math.min(refresh, 3600) * 1000).unref();
    this.#timers.set(uri, { name, timer });
    this.#tell();
  }

  /** Somebody has stopped, or has said it. */
  end(uri: string): void {
    const known = this.#timers.get(uri);
    if (known === undefined) return;
    clearTimeout(known.timer);
    this.#timers.delete(uri);
    this.#tell();
  }

  #tell(): void {
    this.#changed([...this.#timers.values()].map(({ name }) => name));
  }
}
