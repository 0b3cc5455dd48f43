import type { OutgoingParts, OutgoingRequestParts, Outcome } from './api.ts';
import { contactFor } from './contact.ts';
import type { Core } from './core.ts';
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
    headers: [...core.capabilities.userAgent, ...headers, ...(parts.headers ?? [])],
  });
  const secure = uri.kind === 'sip' && uri.scheme === 'sips';
  return {
    request,
    flow,
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
