import type { Core, URI, UserAgent } from 'sip.js';
import { ConferenceInfoError, parseConferenceInfo } from '../conference/parse-document.ts';
import { ConferenceView } from '../conference/view.ts';
import { ClientError } from './errors.ts';
import { refusalText } from './refusal.ts';

/** What a subscription tells. */
export interface SubscriptionHandlers {
  /** The view has changed by a NOTIFY. */
  changed(view: ConferenceView): void;
  /**
   * No more NOTIFYs will come: refused, or ended by the server with this reason (RFC 6665 §4.1.3). `again`: by one for
   * which it wants to be asked once more.
   */
  ended(why: ClientError, again: boolean): void;
}

const CONFERENCE_INFO = 'application/conference-info+xml';

/** A subscription to a room's conference event package (RFC 4575), kept alive by sip.js until `close`. */
export class ConferenceSubscription {
  readonly view = new ConferenceView();
  readonly #handlers: SubscriptionHandlers;
  readonly #request: Core.OutgoingSubscribeRequest;
  readonly #gone: Promise<void>;
  #leave: () => void = () => undefined;
  #dialog: Core.Subscription | undefined;
  #state: 'open' | 'closed' = 'open';

  constructor(userAgent: UserAgent, room: URI, handlers: SubscriptionHandlers, expires = 600) {
    this.#handlers = handlers;
    this.#gone = new Promise((resolve) => {
      this.#leave = resolve;
    });
    const core = userAgent.userAgentCore;
    const headers = [
      'Event: conference',
      `Accept: ${CONFERENCE_INFO}`,
      `Expires: ${expires}`,
      `Contact: ${userAgent.contact.toString()}`,
    ];
    const { aor } = core.configuration;
    const message = core.makeOutgoingRequestMessage('SUBSCRIBE', room, aor, room, {}, headers);
    this.#request = core.subscribe(message, {
      onNotify: ({ request, subscription }) => {
        this.#begin(subscription);
        this.#receive(request);
      },
      onNotifyTimeout: () => this.#end(new ClientError('lost', 'the server sends no conference document')),
      onRedirect: ({ message: response }) => this.#refused(response),
      onReject: ({ message: response }) => this.#refused(response),
    });
  }

  /** Unsubscribes; nothing is told any more. Resolves when the last NOTIFY has come (RFC 6665 §4.1.2.3). */
  close(): Promise<void> {
    if (this.#state === 'open') {
      this.#state = 'closed';
      this.#unsubscribe();
    }
    return this.#gone;
  }

  /** Waits for nothing any more: after the connection has gone, or patience. */
  abandon(): void {
    this.#state = 'closed';
    this.#request.waitNotifyStop();
    this.#leave();
  }

  #unsubscribe(): void {
    if (this.#dialog === undefined) return;
    this.#dialog.unsubscribe().delegate = { onReject: () => this.#leave() };
  }

  #begin(dialog: Core.Subscription | undefined): void {
    if (dialog === undefined) return;
    this.#dialog = dialog;
    dialog.autoRefresh = true;
    dialog.delegate = {
      onNotify: (request) => this.#receive(request),
      onTerminated: () => {
        this.#leave();
        this.#end(new ClientError('lost', 'the subscription has ended'));
      },
    };
    if (this.#state === 'closed') this.#unsubscribe();
  }

  #receive(request: Core.IncomingNotifyRequest): void {
    void request.accept();
    const { message } = request;
    const type = message.getHeader('content-type')?.split(';', 1)[0]?.trim().toLowerCase();
    if (type === CONFERENCE_INFO && message.body !== '' && this.#state === 'open') this.#read(message.body);
    const state = message.getHeader('subscription-state') ?? '';
    if (/^\s*terminated/i.test(state)) {
      const { why, again } = endOf(state);
      this.#end(why, again);
    }
  }

  #read(body: string): void {
    try {
      const received = this.view.receive(parseConferenceInfo(body));
      // RFC 4575 §4.6: a refresh brings the full state.
      if (received === 'gap') this.#dialog?.refresh();
      if (received === 'applied' || received === 'ended') this.#handlers.changed(this.view);
    } catch (fault) {
      // What cannot be read changes nothing; the next document may be better.
      if (!(fault instanceof ConferenceInfoError)) throw fault;
    }
  }

  #refused(response: Core.IncomingResponseMessage): void {
    const text = `the room's roster is refused: ${refusalText(response)}`;
    this.#end(new ClientError('refused', text, response.statusCode ?? 0));
  }

  #end(why: ClientError, again = false): void {
    this.#leave();
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#handlers.ended(why, again);
  }
}

/** What the Subscription-State of a last NOTIFY means for who is subscribed (RFC 6665 §4.1.3). */
function endOf(state: string): { readonly why: ClientError; readonly again: boolean } {
  const reason = /;\s*reason\s*=\s*([^;\s]+)/i.exec(state)?.[1]?.toLowerCase() ?? '';
  const seconds = /;\s*retry-after\s*=\s*(\d{1,6})\s*(?:;|$)/i.exec(state)?.[1];
  switch (reason) {
    case 'noresource':
    case 'invariant':
      return { why: new ClientError('over', 'the conference is over'), again: false };
    case 'rejected':
      return { why: new ClientError('dismissed', 'the roster is not shown to you any more'), again: false };
    case 'deactivated':
    case 'timeout':
      // A time to wait has no meaning for these.
      return { why: new ClientError('lost', 'the server has ended the subscription'), again: true };
    default: {
      const text = `the server has ended the subscription${reason === '' ? '' : ` (${reason})`}`;
      const retryAfter = seconds === undefined ? undefined : Number(seconds);
      return { why: new ClientError('lost', text, undefined, retryAfter), again: false };
    }
  }
}
