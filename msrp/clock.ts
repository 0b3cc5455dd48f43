/** Time as the core sees it; tests bring their own. */
export interface Clock {
  /** Milliseconds, never going backwards. */
  now(): number;
  /** Calls `run` every `milliseconds` until the returned function is called. Keeps no process alive. */
  every(milliseconds: number, run: () => void): () => void;
}

/**
 * Runs `run` once, soon, after the work of the current turn: what a connection has to say is gathered until then and
 * written at once. Given as an option, since the best one differs by platform (`setImmediate` on Node).
 */
export type TurnScheduler = (run: () => void) => void;

/** The platform's own clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  every(milliseconds, run) {
    const timer: unknown = setInterval(run, milliseconds);
    if (hasUnref(timer)) timer.unref();
    return () => {
      clearInterval(timer as ReturnType<typeof setInterval>);
    };
  },
};

function hasUnref(timer: unknown): timer is { unref(): void } {
  return typeof timer === 'object' && timer !== null && 'unref' in timer;
}
