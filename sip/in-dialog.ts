import type { Content, Outcome } from './api.ts';
import type { Core } from './core.ts';
import type { LiveDialog } from './dialog.ts';
import type { DigestClient } from './digest-client.ts';
import type { SipResponse } from './message.ts';
import { OutgoingRequest } from './outgoing.ts';
import type { Flow } from './transport/flow.ts';

/** A request of ours in a dialog. */
export interface InDialogRequest {
  readonly method: string;
  readonly content: Content;
  readonly digest?: DigestClient | undefined;
  /** Asked when its turn has come; false: it fails instead of being sent. */
  readonly stillWanted?: () => boolean;
}

/** What the sender of a request in a dialog hears. */
export interface InDialogUser {
  /** Provisional and final responses; of an INVITE several 2xx. */
  onResponse(response: SipResponse): void;
  onFailed(outcome: Extract<Outcome, { is: 'failed' }>): void;
  /** Its turn has come: it is being sent. */
  onSent?(outgoing: OutgoingRequest): void;
}

/** The methods that carry our Contact: those that renew it at the peer (RFC 3261 §12.2.1.1, RFC 3311, RFC 6665 §8.3). */
const WITH_CONTACT: ReadonlySet<string> = new Set(['INVITE', 'UPDATE', 'SUBSCRIBE', 'NOTIFY', 'REFER']);

/**
 * Sends a request in a dialog when its turn has come (see `LiveDialog.inTurn`). A BYE overtakes all that waits (that is
 * of no use any more), but not the ACK that is being made.
 */
export function sendInDialog(core: Core, dialog: LiveDialog, what: InDialogRequest, user: InDialogUser): void {
  const { method, content, digest, stillWanted } = what;
  const send = (heard: () => void): void => {
    // What is heard may be the end of the session: first of all, so that nothing more is sent into it.
    const then = (hear: () => void): void => {
      try {
        hear();
      } finally {
        heard();
      }
    };
    if (stillWanted?.() === false) {
      then(() => {
        user.onFailed({ is: 'failed', status: 503, reason: 'the session has ended' });
      });
      return;
    }
    // RFC 4028 §7.1: each request but ACK tells that session timers are understood.
    const { userAgent, supported } = core.capabilities;
    const outgoing = new OutgoingRequest(
      core,
      {
        ...dialog.createRequest(method, { ...content, headers: [...userAgent, supported, ...(content.headers ?? [])] }),
        dialog,
        contact: WITH_CONTACT.has(method) ? (by: Flow) => dialog.contactFor(by) : undefined,
        nextSeq: () => dialog.nextSeq(),
        digest,
      },
      {
        onResponse: (response) => {
          dialog.unanswered.delete(outgoing);
          then(() => {
            user.onResponse(response);
          });
        },
        onFailed: (outcome) => {
          dialog.unanswered.delete(outgoing);
          then(() => {
            user.onFailed(outcome);
          });
        },
      },
    );
    dialog.unanswered.add(outgoing);
    user.onSent?.(outgoing);
    outgoing.start();
  };
  if (method === 'BYE') {
    dialog.atOnce(() => {
      send(() => undefined);
    });
  } else if (!dialog.inTurn(send, core.limits.queuedPerDialog))
    user.onFailed({ is: 'failed', status: 503, reason: 'too many requests wait in the dialog' });
}
