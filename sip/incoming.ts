import type { Answer } from './api.ts';
import { type HeaderLine, SipError } from './errors.ts';
import { createResponse, newTag, type ResponseParts, type SipRequest } from './message.ts';
import type { ServerTransaction } from './server-transaction.ts';
import type { Log, LogFields } from './log.ts';
import { reasonPhrase } from './status.ts';
import { type BaseTimers, type Clock, type Timer, TRYING_INVITE, tryingNonInvite } from './timers.ts';
import type { Flow } from './transport/flow.ts';
import { formatUri } from './uri.ts';
import { formatMessage } from './write.ts';

/** What answering needs of the core. */
export interface AnsweringCore {
  readonly clock: Clock;
  readonly log: Log;
  readonly transactions: { readonly base: BaseTimers };
  /** The Server line of responses. */
  readonly capabilities: { readonly server: readonly HeaderLine[] };
}

/** What a line of the log says about a way to a peer. */
export function aboutFlow({ id, remote }: Flow): LogFields {
  return { flow: id, peer: `${remote.address} ${String(remote.port)}` };
}

/** Most octets of a URI in a line of the log. */
const URI_SHOWN = 100;

/** What a line of the log says about a request: who asks whom, and by which way. */
export function aboutRequest(request: SipRequest, flow: Flow): LogFields {
  return {
    ...aboutFlow(flow),
    callId: request.callId,
    method: request.method,
    from: formatUri(request.from.uri).slice(0, URI_SHOWN),
    to: request.requestUri.slice(0, URI_SHOWN),
  };
}

/** One request with its transaction, being answered. Sends its 100 by itself when the answer takes time. */
export class Incoming {
  readonly #core: AnsweringCore;
  readonly request: SipRequest;
  readonly flow: Flow;
  readonly transaction: ServerTransaction;
  readonly #came: number;
  #trying: Timer | undefined;
  #provisional = false;

  constructor(core: AnsweringCore, request: SipRequest, flow: Flow, transaction: ServerTransaction) {
    this.#core = core;
    this.request = request;
    this.flow = flow;
    this.transaction = transaction;
    this.#came = core.clock.now();
  }

  /** Our tag: that of To, else one that all responses to this request will have (RFC 3261 §8.2.6.2). */
  get localTag(): string {
    return this.request.toTag ?? (this.transaction.tag ??= newTag());
  }

  get answered(): boolean {
    return this.transaction.answered;
  }

  /** Sends a response; returns its bytes. Whatever comes after a final one is not sent. A refusal leaves a line in the log. */
  respond(status: number, parts: ResponseParts = {}): Buffer {
    if (isRefusal(status) && !this.answered) {
      const reason = parts.reason ?? reasonPhrase(status);
      const warning = parts.headers?.find(({ name }) => name === 'Warning')?.value;
      this.#core.log.info(`refused ${String(status)}: ${warning ?? reason}`, this.#fields);
    }
    return this.#send(status, parts);
  }

  /** Asks for the request again, after 0 to 10 s by lot (RFC 3261 §14.2, RFC 3311 §5.2). */
  comeAgain(): void {
    const seconds = Math.floor(Math.random() * 11);
    this.respond(500, { headers: [{ name: 'Retry-After', value: String(seconds) }] });
  }

  get #fields(): LogFields {
    return aboutRequest(this.request, this.flow);
  }

  #send(status: number, parts: ResponseParts): Buffer {
    this.#provisional = true;
    if (status >= 200) this.#trying?.stop();
    const headers: readonly HeaderLine[] = [...this.#core.capabilities.server, ...(parts.headers ?? [])];
    const response = createResponse(this.request, status, {
      ...parts,
      headers,
      ...(status > 100 ? { toTag: this.localTag } : { delay: this.#core.clock.now() - this.#came }),
    });
    const bytes = formatMessage(response);
    this.transaction.respond(status, bytes);
    return bytes;
  }

  /** The answer that an error asks for: a `SipError` of the peer's fault, or 500 for a bug of ours; it is logged. */
  fail(error: unknown): void {
    const { log } = this.#core;
    const fields = this.#fields;
    if (!(error instanceof SipError)) {
      log.error(`a handler threw: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`, fields);
      if (!this.answered) this.#send(500, {});
      return;
    }
    if (!ORDINARY.has(error.status)) log.warn(`refused ${String(error.status)}: ${error.message}`, fields);
    if (!this.answered) this.#send(error.status, { reason: error.reason, headers: error.headers });
  }

  /**
   * Does what an application that has been given the request asks for. It answers when it likes, so it is not the one to
   * hear what the peer did wrong: that goes to `failed`, by default `fail`.
   */
  orFail<T>(
    answer: () => T,
    failed: (error: SipError) => void = (error) => {
      this.fail(error);
    },
  ): T | undefined {
    try {
      return answer();
    } catch (error) {
      if (!(error instanceof SipError)) throw error;
      failed(error);
      return undefined;
    }
  }

  /** Answers with what a handler returns, now or later. */
  settle<A extends Answer>(
    handler: () => A | Promise<A>,
    send: (answer: A) => void = (answer) => this.respond(answer.status, answer),
    failed?: (error: unknown) => void,
  ): void {
    this.run(() => {
      const answering = handler();
      if (!(answering instanceof Promise)) {
        send(answering);
        return undefined;
      }
      return answering.then(send);
    }, failed);
  }

  /** Runs a handler that answers by itself, now or later; what it throws goes to `failed`, by default `fail`. */
  run(
    handler: () => void | Promise<void>,
    failed: (error: unknown) => void = (error) => {
      this.fail(error);
    },
  ): void {
    try {
      const running = handler();
      if (running instanceof Promise) running.catch(failed);
    } catch (error) {
      failed(error);
    }
    if (!this.answered && !this.#provisional) this.#awaitAnswer();
  }

  #awaitAnswer(): void {
    const { clock, transactions } = this.#core;
    const invite = this.request.method === 'INVITE';
    const soon = invite ? TRYING_INVITE : tryingNonInvite(transactions.base);
    this.#trying = clock.after(soon, () => {
      if (!this.answered && !this.#provisional) this.respond(100);
      if (invite) return;
      // RFC 4320 §4.2: once the client has given up, nothing is said any more, not even 408.
      this.#trying = clock.after(64 * transactions.base.T1 - soon, () => {
        this.#giveUp();
      });
    });
  }

  #giveUp(): void {
    if (this.answered) return;
    const { method, callId } = this.request;
    this.#core.log.warn('no answer in time', { flow: this.flow.id, callId, method });
    this.transaction.drop();
  }
}

/** Steps of an ordinary exchange (challenges, merged, gone, cancelled, glare), which nobody has to look into. */
const ORDINARY: ReadonlySet<number> = new Set([401, 407, 481, 482, 487, 491]);

/** Whether the peer is told no for good; a 5xx is told of by whoever meets the limit or the fault. */
function isRefusal(status: number): boolean {
  return status >= 400 && (status < 500 || status >= 600) && !ORDINARY.has(status);
}
