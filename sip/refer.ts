import type {
  Answer,
  Content,
  ContactParts,
  EventPackage,
  IncomingRefer,
  InviteSession,
  ReferProgress,
  UserAgentHandlers,
} from './api.ts';
import type { Core } from './core.ts';
import type { LiveDialog } from './dialog.ts';
import type { HeaderLine } from './errors.ts';
import type { NameAddr } from './fields.ts';
import type { Incoming } from './incoming.ts';
import type { SipRequest } from './message.ts';
import { hasEnough, openSubscription } from './notifier.ts';
import { Params } from './params.ts';
import { reasonPhrase } from './status.ts';
import type { LiveSubscription } from './subscription.ts';
import type { Flow } from './transport/flow.ts';

/**
 * The implicit subscription of a REFER (RFC 3515 §3); it lasts as long as an INVITE may ring. One NOTIFY a second (§3.10).
 * Deviation: the first news and the end do not wait for that, since who refers looks on.
 */
const REFER_PACKAGE: EventPackage = {
  name: 'refer',
  defaultExpires: 240,
  minExpires: 1,
  maxExpires: 240,
  pacing: 1000,
  contentTypes: ['message/sipfrag'],
};

/** A REFER that is being answered (RFC 3515 §2.4.2). */
export class ServerRefer implements IncomingRefer {
  readonly referTo: NameAddr;
  readonly method: string;
  readonly session: InviteSession | undefined;
  readonly #core: Core;
  readonly #incoming: Incoming;
  readonly #dialog: LiveDialog | undefined;

  constructor(core: Core, incoming: Incoming, referTo: NameAddr, dialog: LiveDialog | undefined) {
    this.#core = core;
    this.#incoming = incoming;
    this.referTo = referTo;
    this.method = methodOf(referTo);
    this.session = dialog?.session?.session;
    this.#dialog = dialog;
  }

  get request(): SipRequest {
    return this.#incoming.request;
  }

  get flow(): Flow {
    return this.#incoming.flow;
  }

  get referredBy(): NameAddr | undefined {
    return this.request.referredBy;
  }

  accept(
    parts: { readonly contact?: ContactParts; readonly headers?: readonly HeaderLine[] } = {},
  ): ReferProgress | undefined {
    const { request } = this;
    if (this.#incoming.answered) return undefined;
    const headers = parts.headers ?? [];
    if (request.referSub === false) {
      // RFC 4488 §4: no subscription, and we say so.
      this.#incoming.respond(200, { headers: [{ name: 'Refer-Sub', value: 'false' }, ...headers] });
      return { report: () => undefined };
    }
    return this.#incoming.orFail(() => new Progress(this.#core, this.#incoming, this.#dialog, parts.contact, headers));
  }

  refuse(answer: Answer): void {
    if (!this.#incoming.answered) this.#incoming.respond(answer.status, answer);
  }
}

/** Met inside the brackets, as RFC 3515 §2.1 has it, and outside of them. */
function methodOf({ uri, params }: NameAddr): string {
  const inside = uri.kind === 'sip' ? uri.params.get('method') : undefined;
  return (inside ?? params.get('method') ?? 'INVITE').toUpperCase();
}

/** The implicit subscription of an accepted REFER: its state is the last status line. */
class Progress implements ReferProgress {
  readonly #subscription: LiveSubscription;
  #line = 'SIP/2.0 100 Trying';

  constructor(
    core: Core,
    incoming: Incoming,
    dialog: LiveDialog | undefined,
    contact: ContactParts | undefined,
    headers: readonly HeaderLine[],
  ) {
    const { seq } = incoming.request.cseq;
    // RFC 3515 §2.4.6: from the second REFER of a dialog on the number of the REFER tells its NOTIFYs apart.
    const params = dialog?.referred === true ? Params.of({ id: seq }) : Params.none;
    this.#subscription = openSubscription(core, incoming, {
      event: { value: REFER_PACKAGE.name, params },
      package: REFER_PACKAGE,
      parts: {
        resource: incoming.request.callId,
        ...(contact === undefined ? undefined : { contact }),
        content: (): Content => ({ contentType: 'message/sipfrag;version=2.0', body: `${this.#line}\r\n` }),
      },
      expires: REFER_PACKAGE.defaultExpires,
      dialog,
      status: 200, // RFC 7647 §5: no longer 202
      headers,
    });
    this.#subscription.dialog.referred = true;
  }

  report(status: number, reason: string = reasonPhrase(status)): void {
    this.#line = `SIP/2.0 ${String(status)} ${reason.replace(/[\r\n]+/g, ' ')}`;
    if (status >= 200) this.#subscription.terminate('noresource');
    else this.#subscription.changed();
  }
}

/** A REFER: with exactly one Refer-To (RFC 3515 §2.4.2) it goes to the handler. */
export function receiveRefer(
  core: Core,
  incoming: Incoming,
  dialog: LiveDialog | undefined,
  handlers: Pick<UserAgentHandlers, 'onRefer'>,
): void {
  const { request } = incoming;
  if (handlers.onRefer === undefined) {
    incoming.respond(405, { headers: [core.capabilities.allow] });
    return;
  }
  const { referTo } = request;
  if (referTo === undefined || request.headers.all('Refer-To').length !== 1) {
    incoming.respond(400, { reason: 'Bad Request - exactly one Refer-To is wanted' });
    return;
  }
  if (request.referSub !== false && hasEnough(core, incoming, dialog)) return;
  incoming.run(() => handlers.onRefer?.(new ServerRefer(core, incoming, referTo, dialog)));
}
