import type { UserAgent } from 'sip.js';
import type { ConferenceView } from '../conference/view.ts';
import type { ClientOptions, Watch, WatchHandlers } from './contract.ts';
import { ClientError } from './errors.ts';
import { changeBetween, type Roster, rosterOf } from './roster.ts';
import { ConferenceSubscription } from './subscription.ts';
import { newUserAgent, planCall, startUserAgent, stopUserAgent } from './user-agent.ts';

/**
 * Looks at a room from outside: subscribes to its conference document (RFC 4575) and tells every change. Resolves with
 * the first document. Rejects with a `ClientError`.
 */
export async function watchRoom(address: string, options: ClientOptions, handlers: WatchHandlers): Promise<Watch> {
  const call = planCall(address, options);
  const watch = new OpenWatch(handlers);
  const userAgent = newUserAgent(
    call,
    options,
    { onDisconnect: () => watch.end(new ClientError('lost', 'the server has ended the connection')) },
    () => {
      throw new Error('a watcher has no media');
    },
  );
  try {
    await startUserAgent(userAgent);
    await watch.begin(
      userAgent,
      (changed, ended) => new ConferenceSubscription(userAgent, call.room, { changed, ended }),
    );
  } catch (fault) {
    await stopUserAgent(userAgent, Promise.resolve());
    throw fault;
  }
  return watch;
}

type Subscribe = (changed: (view: ConferenceView) => void, ended: (why: ClientError) => void) => ConferenceSubscription;

class OpenWatch implements Watch {
  readonly #handlers: WatchHandlers;
  #userAgent: UserAgent | undefined;
  #subscription: ConferenceSubscription | undefined;
  #roster: Roster | undefined;
  #state: 'beginning' | 'open' | 'closed' = 'beginning';
  #fail: (why: ClientError) => void = () => undefined;

  constructor(handlers: WatchHandlers) {
    this.#handlers = handlers;
  }

  get view(): ConferenceView {
    if (this.#subscription === undefined) throw new Error('not subscribed yet');
    return this.#subscription.view;
  }

  get roster(): Roster {
    return this.#roster ?? new Map();
  }

  begin(userAgent: UserAgent, subscribe: Subscribe): Promise<void> {
    this.#userAgent = userAgent;
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      const changed = (view: ConferenceView): void => {
        this.#state = 'open';
        resolve();
        this.#changed(view);
      };
      this.#subscription = subscribe(changed, (why) => this.end(why));
    });
  }

  end(why: ClientError): void {
    if (this.#state === 'beginning') this.#fail(why);
    if (this.#state !== 'open') return;
    this.#state = 'closed';
    if (this.#userAgent !== undefined) void stopUserAgent(this.#userAgent, Promise.resolve());
    this.#handlers.closed(why);
  }

  async stop(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    if (this.#userAgent !== undefined)
      await stopUserAgent(this.#userAgent, this.#subscription?.close() ?? Promise.resolve());
  }

  #changed(view: ConferenceView): void {
    const before = this.#roster;
    this.#roster = rosterOf(view);
    this.#handlers.roster(this.#roster, before && changeBetween(before, this.#roster), view);
  }
}
