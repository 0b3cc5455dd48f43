import type { Content } from './api.ts';
import type { Core } from './core.ts';
import { LiveDialog, type SessionUsage } from './dialog.ts';
import type { DigestClient } from './digest-client.ts';
import { sendInDialog } from './in-dialog.ts';
import type { Incoming } from './incoming.ts';
import type { SipRequest, SipResponse } from './message.ts';
import { hasDescription } from './multipart.ts';
import type { Flow } from './transport/flow.ts';

/**
 * A request in a dialog whose INVITE has no final response yet. An UPDATE without an offer renews the target. All else is
 * asked to come again once there is a session: a second INVITE (RFC 3261 §14.2) and an offer in an UPDATE (RFC 3311 §5.2)
 * because the first offer is not answered.
 */
export function answerEarly(dialog: LiveDialog, incoming: Incoming): void {
  const { request, flow } = incoming;
  if (request.method !== 'UPDATE' || hasDescription(request)) {
    incoming.comeAgain();
    return;
  }
  dialog.refresh(request);
  incoming.respond(200, { contact: dialog.contactFor(flow) });
}

/** Nothing but the end of waiting happens to the session of an early dialog on our side. */
function early(dialog: LiveDialog): SessionUsage {
  return {
    session: undefined,
    receive: (incoming) => {
      answerEarly(dialog, incoming);
    },
    receiveAck: () => undefined,
    close: () => undefined,
    drop: () => undefined,
  };
}

interface EarlyDialog {
  readonly dialog: LiveDialog;
  rseq: number;
}

/** The early dialogs of one INVITE of ours: those in which provisional responses are acknowledged (RFC 3262 §4). */
export class EarlyDialogs {
  readonly #core: Core;
  readonly #byTag = new Map<string, EarlyDialog>();

  constructor(core: Core) {
    this.#core = core;
  }

  /**
   * Whether a provisional response is to be processed: not when it is reliable and comes again or out of order. A
   * reliable one is acknowledged by PRACK, with the content that `answer` gives.
   */
  take(
    response: SipResponse,
    sent: { readonly request: SipRequest; readonly flow: Flow | undefined; readonly chosen: boolean },
    digest: DigestClient | undefined,
    answer: () => Content,
  ): boolean {
    const { rseq, toTag } = response;
    if (rseq === undefined || toTag === undefined || !response.require.includes('100rel')) return true;
    const known = this.#byTag.get(toTag);
    if (known !== undefined && rseq !== known.rseq + 1) return false;
    if (known === undefined && this.#byTag.size >= this.#core.limits.branches) return true;
    const branch = known ?? this.#open(response, sent, toTag);
    branch.rseq = rseq;
    const content = answer();
    const rack = { name: 'RAck', value: `${String(rseq)} ${String(response.cseq.seq)} INVITE` };
    const prack = { method: 'PRACK', content: { ...content, headers: [rack, ...(content.headers ?? [])] }, digest };
    sendInDialog(this.#core, branch.dialog, prack, { onResponse: () => undefined, onFailed: () => undefined });
    return true;
  }

  /** The early dialog that a 2xx confirms; it is no longer one of these. */
  confirm(response: SipResponse): LiveDialog | undefined {
    const tag = response.toTag ?? '';
    const early = this.#byTag.get(tag);
    this.#byTag.delete(tag);
    early?.dialog.confirm(response);
    return early?.dialog;
  }

  /** The INVITE has its final response: the branches that were not taken are over (RFC 3261 §12.3). */
  end(): void {
    for (const { dialog } of this.#byTag.values()) {
      dialog.session = undefined;
      this.#core.dialogs.sweep(dialog);
    }
    this.#byTag.clear();
  }

  #open(
    response: SipResponse,
    {
      request,
      flow,
      chosen,
    }: { readonly request: SipRequest; readonly flow: Flow | undefined; readonly chosen: boolean },
    tag: string,
  ): EarlyDialog {
    const dialog = LiveDialog.asClient(request, response, flow, chosen);
    dialog.session = early(dialog);
    this.#core.dialogs.add(dialog, flow?.remote.address ?? '');
    const opened = { dialog, rseq: 0 };
    this.#byTag.set(tag, opened);
    return opened;
  }
}
