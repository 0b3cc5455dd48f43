import type { Outcome } from './api.ts';
import { tell } from './callbacks.ts';
import type { ClientTransaction } from './client-transaction.ts';
import type { Core } from './core.ts';
import type { LiveDialog } from './dialog.ts';
import type { DigestClient } from './digest-client.ts';
import type { HeaderLine } from './errors.ts';
import { CALL_ID, CONTACT, CSEQ, FROM, type NameAddr, ROUTE, TO, type Via, VIA } from './fields.ts';
import { Headers } from './headers.ts';
import { createVia, newBranch, SipRequest, type SipResponse } from './message.ts';
import type { Flow, NextHop, Target } from './transport/flow.ts';
import { formatMessage } from './write.ts';

/** What a Via of ours adds to a message at most, in bytes. */
const VIA_BYTES = 150;

/** A request and the ways it may take. */
export interface Sending {
  /** All but Via, and Contact where `contact` makes it; the sender changes it. */
  readonly request: SipRequest;
  /** Taken while it is open. */
  readonly flow: Flow | undefined;
  /** Looked up when there is no such flow. */
  readonly hop: NextHop | undefined;
  /** The dialog it belongs to. */
  readonly dialog: LiveDialog | undefined;
  /** Makes the Contact for the flow that is taken; none: the request has none. */
  readonly contact: ((flow: Flow) => NameAddr) | undefined;
  /** The number of the request that repeats this one with credentials. */
  readonly nextSeq: () => number;
  /** Answers challenges; none: a 401 or 407 is final. */
  readonly digest: DigestClient | undefined;
}

/** What the sender of a request hears. */
export interface SendingUser {
  /** A provisional or final response; several 2xx to INVITE (RFC 6026 §7.2). */
  onResponse(response: SipResponse): void;
  /** There will be no final response. */
  onFailed(outcome: Extract<Outcome, { is: 'failed' }>): void;
}

/**
 * One request of ours on its way: finds a flow, runs a client transaction on it, and tries the next address when one
 * fails (RFC 3263 §4.3); answers challenges (RFC 3261 §22.2).
 */
export class OutgoingRequest {
  readonly #core: Core;
  readonly #sending: Sending;
  readonly #user: SendingUser;
  #targets: readonly Target[] = [];
  #transaction: ClientTransaction | undefined;
  /** The addresses were looked up: there are no others. */
  #located = false;
  #over = false;
  /** It was given up; called when the CANCEL leaves. */
  #cancelled: (() => void) | undefined;
  #cancelSent = false;
  #challenged = 0;

  constructor(core: Core, sending: Sending, user: SendingUser) {
    this.#core = core;
    this.#sending = sending;
    this.#user = user;
  }

  /** The flow it was sent by. */
  get flow(): Flow | undefined {
    return this.#transaction?.flow;
  }

  /** The request as it was sent last. */
  get request(): SipRequest {
    return this.#sending.request;
  }

  /** Sends it. What fails at once is told at once. */
  start(): void {
    const { flow } = this.#sending;
    const { transactions, seeking, limits } = this.#core;
    if (transactions.clients + seeking.size >= limits.clientTransactions)
      this.#fail(503, 'limit of client transactions');
    else if (flow?.open === true && !this.#tooLarge(flow)) this.#attempt(flow);
    else this.#locate();
  }

  /**
   * The peer of its dialog is heard from by that flow: what it has not answered goes there, if it can stay the same
   * transaction there: with our sent-by. The transport in its Via may be another, as when a telephone goes from UDP to TCP.
   */
  follow(flow: Flow): void {
    const known = this.flow;
    if (known === undefined || this.#tooLarge(flow)) return;
    const [here, there] = [known.advertised, flow.advertised];
    if (here.host !== there.host || here.port !== there.port) return;
    this.#transaction?.move(flow, () => {
      const { request } = this;
      topVia(request, createVia(flow.transport, there.host, there.port, request.branch ?? newBranch()));
      return formatMessage(request);
    });
  }

  /** Stops waiting for a final response; nothing more is told. */
  abandon(): void {
    this.#over = true;
    this.#core.seeking.delete(this);
    this.#transaction?.drop();
  }

  /**
   * Gives the INVITE up (RFC 3261 §9.1): CANCEL as soon as a provisional response to its latest attempt is here. The next
   * final response counts, whatever it is: no other address and no credentials are tried.
   * @param sent the CANCEL leaves
   */
  cancel(sent: () => void): void {
    this.#targets = [];
    this.#cancelled = sent;
    if (this.#transaction === undefined) this.#fail(503, 'cancelled');
    else if (this.#transaction.state === 'proceeding') this.#sendCancel();
  }

  /** By the same branch and the same way. */
  #sendCancel(): void {
    const flow = this.flow;
    if (flow === undefined || this.#cancelSent) return;
    this.#cancelSent = true;
    this.#cancelled?.();
    const cancel = derived('CANCEL', this.request);
    const { name, value } = this.#core.capabilities.supported;
    cancel.headers.add(name, value); // RFC 4028 §7.1
    const branch = cancel.branch ?? '';
    const user = { onResponse: () => undefined, onFailure: () => undefined, ackFor: () => new Uint8Array(0) };
    this.#core.transactions.request(user, flow, branch, 'CANCEL', formatMessage(cancel)).start();
  }

  #tooLarge(flow: Flow): boolean {
    const { dialog, request } = this.#sending;
    if (flow.reliable || dialog?.mayUseTcp !== true) return false;
    const most = this.#core.transport.maxUdpRequestBytes;
    return request.body.length > most || formatMessage(request).length + VIA_BYTES > most;
  }

  #locate(): void {
    const { hop, request } = this.#sending;
    if (hop === undefined) {
      this.#fail(503, `no way to ${request.requestUri}`);
      return;
    }
    this.#located = true;
    this.#core.seeking.add(this);
    this.#core.transport.locate(hop, formatMessage(request).length + VIA_BYTES, (found) => {
      if (this.#over) return;
      if ('failed' in found) {
        // Where nothing leads but the connection that the peer had opened, its end is the reason.
        const gone = this.#sending.dialog?.flow?.open === false;
        this.#fail(503, gone ? 'the connection has ended' : found.reason);
      } else {
        this.#targets = found;
        this.#next('no address');
      }
    });
  }

  /** The next address, or the end for that reason. */
  #next(reason: string, status: 408 | 503 = 503): void {
    const [target, ...rest] = this.#targets;
    if (target === undefined) {
      this.#fail(status, reason);
      return;
    }
    this.#targets = rest;
    this.#core.seeking.add(this);
    this.#core.transport.connect(target, (flow) => {
      if (this.#over) return;
      if (this.#cancelled !== undefined) {
        this.#fail(503, 'cancelled');
        return;
      }
      if (!('failed' in flow)) {
        this.#attempt(flow);
        return;
      }
      const { dialog } = this.#sending;
      // Where it is only we who have too many connections, the peer may take TCP the next time.
      const refused = target.transport === 'TCP' && flow.failed !== 'limit';
      if (dialog !== undefined && refused && rest[0]?.transport === 'UDP') dialog.udpOnly = true;
      this.#next(flow.reason);
    });
  }

  #attempt(flow: Flow, credentials?: readonly HeaderLine[]): void {
    this.#core.seeking.delete(this);
    const { request, contact, digest } = this.#sending;
    const { host, port } = flow.advertised;
    const branch = newBranch();
    topVia(request, createVia(flow.transport, host, port, branch));
    if (contact !== undefined) request.headers.write(CONTACT, [contact(flow)]);
    if (digest !== undefined) {
      request.headers.delete('Authorization');
      request.headers.delete('Proxy-Authorization');
      for (const { name, value } of credentials ?? digest.authorize(request)) request.headers.add(name, value);
    }
    const user = {
      onResponse: (response: SipResponse) => {
        this.#receive(response);
      },
      onFailure: (failure: 'timeout' | 'transport error') => {
        this.#transactionFailed(failure, flow);
      },
      ackFor: (response: SipResponse) => formatMessage(derived('ACK', request, response)),
    };
    this.#transaction = this.#core.transactions.request(user, flow, branch, request.method, formatMessage(request));
    this.#transaction.start();
  }

  #receive(response: SipResponse): void {
    if (this.#over) return;
    if (response.status < 200 && this.#cancelled !== undefined) this.#sendCancel();
    // Deviation: RFC 3261 §21.5.4 has all others kept from that server for its Retry-After. Of a proxy it may be one callee
    // that is meant, and those of a whole domain would not be reached.
    if (response.status === 503 && this.#targets.length > 0) this.#next('503');
    else if (!this.#answersChallenge(response)) this.#user.onResponse(response);
  }

  /** Once more with credentials (RFC 3261 §22.2), by the flow that the challenge came by; false when there are none. */
  #answersChallenge(response: SipResponse): boolean {
    const { digest, request, nextSeq } = this.#sending;
    const flow = this.#transaction?.flow;
    if (digest === undefined || flow === undefined || this.#cancelled !== undefined) return false;
    if (response.status !== 401 && response.status !== 407) return false;
    if (++this.#challenged > this.#core.limits.repeats) return false;
    const lines = tell(this.#core.log, () => digest.answer(request, response), { callId: request.callId });
    if (lines === undefined) return false;
    request.headers.write(CSEQ, { seq: nextSeq(), method: request.method });
    this.#attempt(flow, lines);
    return true;
  }

  #transactionFailed(failure: 'timeout' | 'transport error', flow: Flow): void {
    if (this.#over) return;
    if (failure === 'timeout') {
      this.#next('no response', 408);
      return;
    }
    const { hop, flow: preferred } = this.#sending;
    // The flow that stood for the address is gone: now the address itself.
    if (flow === preferred && hop !== undefined && !this.#located) this.#locate();
    else this.#next(`${flow.id} failed`);
  }

  #fail(status: 408 | 503, reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#core.seeking.delete(this);
    this.#core.requestFailed(this.#sending.request, reason);
    this.#user.onFailed({ is: 'failed', status, reason });
  }
}

/** Sets our Via, before all other headers: proxies read from the top (RFC 3261 §7.3.1). */
function topVia(request: SipRequest, via: Via): void {
  request.headers.delete('Via');
  request.pushVia(via);
}

/**
 * The ACK to a failure response (RFC 3261 §17.1.1.3) or the CANCEL (§9.1) of an INVITE: its Request-URI, top Via,
 * Route, From, Call-ID and number; To is that of the response.
 */
function derived(method: 'ACK' | 'CANCEL', invite: SipRequest, response?: SipResponse): SipRequest {
  const headers = new Headers();
  headers.write(VIA, [invite.topVia]);
  headers.add('Max-Forwards', '70');
  if (invite.route.length > 0) headers.write(ROUTE, invite.route);
  headers.write(FROM, invite.from);
  headers.write(TO, (response ?? invite).to);
  headers.write(CALL_ID, invite.callId);
  headers.write(CSEQ, { seq: invite.cseq.seq, method });
  return new SipRequest(method, invite.uri, headers, undefined, invite.requestUri);
}

/**
 * Sends a request that has no transaction, the ACK to a 2xx (RFC 3261 §13.2.2.4), by its flow or the first address
 * that takes it. Then calls `done`, with what sends it again; with nothing where no way was found.
 */
export function sendAck(
  core: Core,
  ack: Pick<Sending, 'request' | 'flow' | 'hop'>,
  done: (again: (() => void) | undefined) => void,
): void {
  const { request, flow, hop } = ack;
  const by = (chosen: Flow): void => {
    const { host, port } = chosen.advertised;
    topVia(request, createVia(chosen.transport, host, port));
    const bytes = formatMessage(request);
    chosen.send(bytes);
    core.seeking.delete(ack);
    done(() => chosen.send(bytes));
  };
  if (flow?.open === true) {
    by(flow);
    return;
  }
  const failed = (reason: string): void => {
    core.log.warn(`ACK failed: ${reason}`, { callId: request.callId, to: request.requestUri });
    core.seeking.delete(ack);
    done(undefined);
  };
  if (hop === undefined) {
    failed('no SIP URI');
    return;
  }
  const tryFirst = ([target, ...rest]: readonly Target[]): void => {
    if (target === undefined) failed('no address takes it');
    else
      core.transport.connect(target, (connected) => {
        if ('failed' in connected) tryFirst(rest);
        else by(connected);
      });
  };
  core.seeking.add(ack);
  core.transport.locate(hop, formatMessage(request).length + VIA_BYTES, (found) => {
    if ('failed' in found) failed(found.reason);
    else tryFirst(found);
  });
}
