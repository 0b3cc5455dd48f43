import type { ContactParts } from './api.ts';
import type { NameAddr } from './fields.ts';
import { Params } from './params.ts';
import type { Flow, TransportName } from './transport/flow.ts';
import type { SipUri, Uri } from './uri.ts';

/**
 * The `transport` parameter that leads back by the same transport; none for UDP, the default (RFC 3263 §4.1).
 *
 * Deviation: RFC 3261 §26.2.2 deprecates `transport=tls`, and RFC 5630 §3.1.4 makes no use of it. A sip Contact over TLS
 * carries it all the same: without it, a peer whose connection is gone would come back unencrypted, and what would be
 * said instead, sips, asks more of the peer (TLS on every hop) than it has offered. The grammar still has it.
 */
const TRANSPORT_PARAM: Readonly<Record<TransportName, string | undefined>> = {
  UDP: undefined,
  TCP: 'tcp',
  TLS: 'tls',
  WS: 'ws',
  WSS: 'ws', // RFC 7118 §7: `ws` for both; wss is told by sips
};

/**
 * The Contact for messages that leave by `flow`: the URI that the application chose, else the user part of `own` at
 * the flow's advertised address (RFC 3261 §8.1.1.8, §12.1.1).
 *
 * @param secure whether it must be a sips URI (§12.1.1: when Request-URI, top Record-Route or Contact of the request is)
 */
export function contactFor(parts: ContactParts | undefined, own: Uri, flow: Flow, secure: boolean): NameAddr {
  const named = parts?.user === undefined || own.kind !== 'sip' ? own : { ...own, user: parts.user };
  const uri = parts?.uri ?? contactUri(named, flow, secure);
  return { uri, params: parts?.params === undefined ? Params.none : Params.of(parts.params) };
}

function contactUri(own: Uri, flow: Flow, secure: boolean): SipUri {
  const { host, port } = flow.advertised;
  const transport = secure && flow.transport === 'TLS' ? 'tcp' : TRANSPORT_PARAM[flow.transport];
  return {
    kind: 'sip',
    scheme: secure ? 'sips' : 'sip',
    ...(own.kind === 'sip' && own.user !== undefined ? { user: own.user } : undefined),
    host: host.includes(':') && !host.startsWith('[') ? `[${host}]` : host,
    port,
    params: transport === undefined ? Params.none : Params.of({ transport }),
    headers: [],
  };
}
