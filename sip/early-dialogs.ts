import type { Answer, Answering, ContactParts, Content, EarlyDescription } from './api.ts';
import type { Core } from './core.ts';
import { LiveDialog, type SessionUsage } from './dialog.ts';
import type { DigestClient } from './digest-client.ts';
import { includesToken } from './grammar.ts';
import { sendInDialog } from './in-dialog.ts';
import type { Incoming } from './incoming.ts';
import type { SipRequest, SipResponse } from './message.ts';
import { hasDescription } from './multipart.ts';
import { NO_OFFER_TAKEN } from './offer-answer.ts';
import type { Flow } from './transport/flow.ts';

/**
 * How far offer and answer (RFC 3264) have come before the 2xx: nobody has offered anything, an offer of the peer's or
 * one of ours has no answer yet, or all is answered.
 */
export type EarlyExchange = 'none' | 'theirs' | 'ours' | 'done';

/**
 * A request in a dialog whose INVITE has no final response yet. An UPDATE renews the target; an offer in it is given to
 * `offered`, or refused while another one is open (RFC 3311 §5.2). All else is asked to come again once there is a
 * session, such as a second INVITE (RFC 3261 §14.2).
 */
export function answerEarly(
  dialog: LiveDialog,
  incoming: Incoming,
  exchange: EarlyExchange,
  offered: () => void,
): void {
  const { request } = incoming;
  if (request.method !== 'UPDATE') incoming.comeAgain();
  else if (!hasDescription(request)) answerUpdate(dialog, incoming, { status: 200 });
  else if (exchange === 'done') offered();
  else if (exchange === 'ours') incoming.respond(491);
  else incoming.comeAgain();
}

/** Answers an UPDATE; a 2xx renews the target and carries our Contact (RFC 3311 §5.2). */
export function answerUpdate(dialog: LiveDialog, incoming: Incoming, answer: Answer): void {
  const { request, flow } = incoming;
  const taken = answer.status < 300;
  if (taken) dialog.refresh(request);
  incoming.respond(answer.status, taken ? { ...answer, contact: dialog.contactFor(flow) } : answer);
}

/** An INVITE of ours as it went out last. */
interface SentInvite {
  readonly request: SipRequest;
  readonly flow: Flow | undefined;
  /** The application chose that flow. */
  readonly chosen: boolean;
  /** What our Contact says. */
  readonly contact: ContactParts | undefined;
}

interface EarlyDialog {
  readonly dialog: LiveDialog;
  rseq: number;
  exchange: EarlyExchange;
  /** What we have said of the session since the INVITE. */
  description: Content | undefined;
}

/** The early dialogs of one INVITE of ours: those in which provisional responses are acknowledged (RFC 3262 §4). */
export class EarlyDialogs {
  readonly #core: Core;
  readonly #onUpdate: (update: EarlyDescription) => Answering | undefined;
  readonly #byTag = new Map<string, EarlyDialog>();

  /** @param onUpdate answers an UPDATE with an offer; undefined: nobody does */
  constructor(core: Core, onUpdate: (update: EarlyDescription) => Answering | undefined) {
    this.#core = core;
    this.#onUpdate = onUpdate;
  }

  /**
   * Whether a provisional response is to be processed: not when it is reliable and comes again or out of order. A
   * reliable one is acknowledged by PRACK, with the content that `answer` gives where it carries an offer.
   */
  take(response: SipResponse, sent: SentInvite, digest: DigestClient | undefined, answer: () => Content): boolean {
    const { rseq, toTag } = response;
    if (rseq === undefined || toTag === undefined || !includesToken(response.require, '100rel')) return true;
    const known = this.#byTag.get(toTag);
    if (known !== undefined && rseq !== known.rseq + 1) return false;
    if (known === undefined && this.#byTag.size >= this.#core.limits.branches) return true;
    const branch = known ?? this.#open(response, sent, toTag);
    branch.rseq = rseq;
    const content = this.#describe(branch, response, answer);
    const rack = { name: 'RAck', value: `${String(rseq)} ${String(response.cseq.seq)} INVITE` };
    const prack = { method: 'PRACK', content: { ...content, headers: [rack, ...(content.headers ?? [])] }, digest };
    sendInDialog(this.#core, branch.dialog, prack, { onResponse: () => undefined, onFailed: () => undefined });
    return true;
  }

  /** RFC 3262 §5: a reliable response answers our offer, or it offers, and its PRACK answers. */
  #describe(branch: EarlyDialog, response: SipResponse, answer: () => Content): Content {
    if (!hasDescription(response)) return {};
    if (branch.exchange === 'ours') branch.exchange = 'done';
    if (branch.exchange !== 'none') return {};
    const content = answer();
    branch.exchange = content.body === undefined ? 'theirs' : 'done';
    branch.description = content;
    return content;
  }

  /** The early dialog that a 2xx confirms; it is no longer one of these. */
  confirm(response: SipResponse): Pick<EarlyDialog, 'dialog' | 'description'> | undefined {
    const tag = response.toTag ?? '';
    const early = this.#byTag.get(tag);
    this.#byTag.delete(tag);
    early?.dialog.confirm(response);
    return early;
  }

  /** The INVITE has its final response: the branches that were not taken are over (RFC 3261 §12.3). */
  end(): void {
    for (const { dialog } of this.#byTag.values()) {
      dialog.session = undefined;
      this.#core.dialogs.sweep(dialog);
    }
    this.#byTag.clear();
  }

  #open(response: SipResponse, { request, flow, chosen, contact }: SentInvite, tag: string): EarlyDialog {
    const dialog = LiveDialog.asClient(request, response, flow, chosen);
    dialog.contact = contact;
    const exchange = hasDescription(request) ? 'ours' : 'none';
    const opened: EarlyDialog = { dialog, rseq: 0, exchange, description: undefined };
    dialog.session = this.#usage(opened);
    this.#core.dialogs.add(dialog, flow?.remote.address ?? '');
    this.#byTag.set(tag, opened);
    return opened;
  }

  /** Nothing but the end of waiting happens to the session of an early dialog on our side. */
  #usage(branch: EarlyDialog): SessionUsage {
    return {
      session: undefined,
      receive: (incoming) => {
        answerEarly(branch.dialog, incoming, branch.exchange, () => {
          this.#takeOffer(branch, incoming);
        });
      },
      receiveAck: () => undefined,
      close: () => undefined,
      drop: () => undefined,
    };
  }

  #takeOffer(branch: EarlyDialog, incoming: Incoming): void {
    branch.exchange = 'theirs';
    incoming.settle(
      () => this.#onUpdate({ request: incoming.request, offer: true }) ?? NO_OFFER_TAKEN,
      (answer) => {
        branch.exchange = 'done';
        if (answer.status < 300) branch.description = answer;
        answerUpdate(branch.dialog, incoming, answer);
      },
      (error) => {
        branch.exchange = 'done';
        incoming.fail(error);
      },
    );
  }
}
