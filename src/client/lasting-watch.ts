import { ConferenceView } from '../conference/view.ts';
import { ComingBack, type Persistence } from './coming-back.ts';
import type { ClientOptions, Watch, WatchHandlers } from './contract.ts';
import type { ClientError } from './errors.ts';
import { changeBetween, type Roster } from './roster.ts';
import { watchRoom } from './watch.ts';

/** What a watcher is told who comes back by himself. */
export interface LastingWatchHandlers extends WatchHandlers {
  /** The subscription or the connection is lost; coming back is tried from now on. */
  away?(why: ClientError): void;
  /** The first document after a time away has come. */
  back?(): void;
}

/** RFC 6665 §4.1.3: after `deactivated` a new subscription is tried at once. */
const PAUSES = [0, 500, 1_000, 2_000, 5_000, 10_000, 30_000] as const;

/**
 * `watchRoom`, and subscribed anew whenever subscription or connection is lost. `closed` is told when the conference is
 * over, when watching is not allowed any more, or when patience has an end.
 */
export async function keepWatching(
  address: string,
  options: ClientOptions & Persistence,
  handlers: LastingWatchHandlers,
): Promise<Watch> {
  const watch = new LastingWatch(address, options, handlers);
  await watch.enter();
  return watch;
}

class LastingWatch implements Watch {
  readonly #address: string;
  readonly #options: ClientOptions;
  readonly #handlers: LastingWatchHandlers;
  readonly #comingBack: ComingBack;
  #watch: Watch | undefined;
  #roster: Roster | undefined;
  #stopped = false;

  constructor(address: string, options: ClientOptions & Persistence, handlers: LastingWatchHandlers) {
    this.#address = address;
    this.#options = options;
    this.#handlers = handlers;
    this.#comingBack = new ComingBack(
      { pauses: PAUSES, ...options },
      {
        again: () => this.enter(),
        back: () => {
          if (!this.#stopped) this.#handlers.back?.();
        },
        gaveUp: (why) => this.#end(why),
      },
    );
  }

  get view(): ConferenceView {
    return this.#watch?.view ?? new ConferenceView();
  }

  get roster(): Roster {
    return this.#roster ?? new Map();
  }

  async enter(): Promise<void> {
    const watch = await watchRoom(this.#address, this.#options, {
      roster: (roster, _change, view) => {
        const before = this.#roster;
        this.#roster = roster;
        // Compared with what was shown last, also over a time away.
        if (!this.#stopped) this.#handlers.roster(roster, before && changeBetween(before, roster), view);
      },
      closed: (why) => this.#lost(why),
    });
    this.#watch = watch;
    if (this.#stopped) await watch.stop();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#comingBack.stop();
    await this.#watch?.stop();
  }

  #lost(why: ClientError): void {
    if (this.#stopped) return;
    if (why.fault !== 'lost') {
      this.#end(why);
      return;
    }
    this.#handlers.away?.(why);
    this.#comingBack.begin(why);
  }

  #end(why: ClientError): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#handlers.closed(why);
  }
}
