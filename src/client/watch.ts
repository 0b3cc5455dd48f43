import type { UserAgent } from 'sip.js';
import { ConferenceView } from '../conference/view.ts';
import type { ClientOptions, Watch, WatchHandlers } from './contract.ts';
import { type ClientError } from './errors.ts';
import { changeBetween, type Roster, rosterOf } from './roster.ts';
import { ConferenceSubscription } from './subscription.ts';
import { type Call, newUserAgent, planCall, startUserAgent, stopUserAgent } from './user-agent.ts';

/**
 * Looks at a room from outside: subscribes to its conference document (RFC 4575) and tells every change. Resolves with
 * the first document. Rejects with a `ClientError`.
 */
export async function watchRoom(address: string, options: ClientOptions, handlers: WatchHandlers): Promise<Watch> {
  const watch = new OpenWatch(planCall(address, options), options, handlers);
  await watch.begin();
  return watch;
}

class OpenWatch implements Watch {
  readonly #call: Call;
  readonly #handlers: WatchHandlers;
  readonly #userAgent: UserAgent;
  #subscription: ConferenceSubscription | undefined;
  #roster: Roster | undefined;
  #state: 'beginning' | 'open' | 'closed' = 'beginning';
  #fail: (why: ClientError) => void = () => undefined;

  constructor(call: Call, options: ClientOptions, handlers: WatchHandlers) {
    this.#call = call;
    this.#handlers = handlers;
    this.#userAgent = newUserAgent(
      call,
      options,
      (why) => this.#end(why),
      () => {
        throw new Error('a watcher has no media');
      },
    );
  }

  get view(): ConferenceView {
    return this.#subscription?.view ?? new ConferenceView();
  }

  get roster(): Roster {
    return this.#roster ?? new Map();
  }

  async begin(): Promise<void> {
    try {
      await startUserAgent(this.#userAgent);
      await this.#subscribed();
    } catch (fault) {
      this.#state = 'closed';
      await this.#close();
      throw fault;
    }
  }

  async stop(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    await this.#close();
  }

  /** Resolves with the first document. */
  #subscribed(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      this.#subscription = new ConferenceSubscription(this.#userAgent, this.#call.room, {
        changed: (view) => {
          this.#state = 'open';
          resolve();
          this.#changed(view);
        },
        ended: (why) => this.#end(why),
      });
    });
  }

  #changed(view: ConferenceView): void {
    const before = this.#roster;
    this.#roster = rosterOf(view);
    this.#handlers.roster(this.#roster, before && changeBetween(before, this.#roster), view);
  }

  #end(why: ClientError): void {
    if (this.#state === 'beginning') this.#fail(why);
    if (this.#state !== 'open') return;
    this.#state = 'closed';
    void this.#close();
    this.#handlers.closed(why);
  }

  async #close(): Promise<void> {
    await stopUserAgent(this.#userAgent, this.#subscription?.close() ?? Promise.resolve());
    this.#subscription?.abandon();
  }
}
