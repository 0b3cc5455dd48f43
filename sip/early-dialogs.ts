import type { Content } from './api.ts';
import type { Core } from './core.ts';
import { LiveDialog, type SessionUsage } from './dialog.ts';
import type { DigestClient } from './digest-client.ts';
import { sendInDialog } from './in-dialog.ts';
import type { SipRequest, SipResponse } from './message.ts';
import type { Flow } from './transport/flow.ts';

/** Nothing but the end of waiting happens to the session of an early dialog on our side. */
const EARLY: SessionUsage = {
  session: undefined,
  receive: (incoming) => {
    // RFC 3311 §5.2 for UPDATE; others are asked to come again once there is a session.
    incoming.respond(500, { headers: [{ name: 'Retry-After', value: '1' }] });
  },
  receiveAck: () => undefined,
  close: () => undefined,
  drop: () => undefined,
};

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
    const early = known ?? this.#open(response, sent, toTag);
    early.rseq = rseq;
    const content = answer();
    const rack = { name: 'RAck', value: `${String(rseq)} ${String(response.cseq.seq)} INVITE` };
    const prack = { method: 'PRACK', content: { ...content, headers: [rack, ...(content.headers ?? [])] }, digest };
    sendInDialog(this.#core, early.dialog, prack, { onResponse: () => undefined, onFailed: () => undefined });
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
    dialog.session = EARLY;
    this.#core.dialogs.add(dialog, flow?.remote.address ?? '');
    const early = { dialog, rseq: 0 };
    this.#byTag.set(tag, early);
    return early;
  }
}
