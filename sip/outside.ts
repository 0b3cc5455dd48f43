import type { OutgoingParts, OutgoingRequestParts, Outcome } from './api.ts';
import { contactFor } from './contact.ts';
import type { Core } from './core.ts';
import { isSips } from './dialog.ts';
import { DigestClient } from './digest-client.ts';
import type { HeaderLine } from './errors.ts';
import type { NameAddr } from './fields.ts';
import { createRequest, newCallId, newTag } from './message.ts';
import { OutgoingRequest, type Sending } from './outgoing.ts';
import { Params } from './params.ts';
import { applyRoute } from './routing.ts';

/** What a request has in common with the one it follows (RFC 3261 §8.1.3.4), and its number. */
export interface Same {
  readonly callId: string;
  readonly fromTag: string;
  readonly seq: number;
}

/**
 * A request outside of dialogs, with the ways it may take (RFC 3261 §8.1.1).
 * @param contact whether it carries a Contact also when the application names none
 */
export function outside(
  core: Core,
  method: string,
  parts: OutgoingParts,
  headers: readonly HeaderLine[],
  contact: boolean,
  same: Same = { callId: newCallId(), fromTag: newTag(), seq: 1 },
): Sending {
  const { uri, from, to, flow, credentials } = parts;
  const { requestUri, route, hop } = applyRoute(uri, parts.route ?? core.outboundRoute);
  // RFC 4028 §7.1: each request but ACK tells that session timers are understood.
  const { userAgent, supported } = core.capabilities;
  let { seq } = same;
  const request = createRequest({
    ...(parts.body === undefined ? undefined : { body: parts.body }),
    ...(parts.contentType === undefined ? undefined : { contentType: parts.contentType }),
    method,
    uri: requestUri,
    route,
    from: { ...from, params: from.params.with('tag', same.fromTag) },
    to: to ?? addressOf(parts),
    callId: same.callId,
    seq,
    headers: [...userAgent, supported, ...headers, ...(parts.headers ?? [])],
  });
  // RFC 3261 §8.1.1.8: a sips URI to call, or a sips hop to call by, wants a sips Contact.
  const secure = isSips(uri) || isSips((route[0] ?? { uri }).uri);
  return {
    request,
    // What goes to a sips URI takes no way without TLS (§8.1.2, §26.2.2).
    flow: secure && flow?.secure === false ? undefined : flow,
    hop,
    dialog: undefined,
    contact:
      contact || parts.contact !== undefined ? (by) => contactFor(parts.contact, from.uri, by, secure) : undefined,
    nextSeq: () => ++seq,
    digest: credentials && new DigestClient(credentials),
  };
}

function addressOf({ uri }: OutgoingParts): NameAddr {
  return { uri, params: Params.none };
}

/** Sends a request outside of dialogs and tells what became of it. */
export function sendOutside(core: Core, parts: OutgoingRequestParts, done: (outcome: Outcome) => void): void {
  const contact = parts.method !== 'MESSAGE';
  new OutgoingRequest(core, outside(core, parts.method, parts, [], contact), {
    onResponse: (response) => {
      if (response.status >= 200) done({ is: 'response', response });
    },
    onFailed: done,
  }).start();
}
