/** What can be stopped while its sender waits for admission. */
export interface Held {
  pause(): void;
  resume(): void;
}

/** Keeps what came before the log had taken its sender into the room, until it has. */
export class Admission {
  /** Undefined once the sender is in. */
  #early: (() => void)[] | undefined = [];

  /** Acts now, or when the sender is in; its session is not read from until then. */
  whenAdmitted(held: Held, act: () => void): void {
    if (this.#early === undefined) {
      act();
      return;
    }
    this.#early.push(act);
    // Only what has been read already can still come.
    held.pause();
  }

  /** The sender is in: what it says may be judged. */
  admit(held: Held): void {
    const early = this.#early;
    if (early === undefined) return;
    this.#early = undefined;
    for (const act of early) act();
    if (early.length > 0) held.resume();
  }
}
