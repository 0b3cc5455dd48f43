import type { NameAddr, Via } from './fields.ts';
import { Params } from './params.ts';
import type { NextHop, ViaAddress } from './transport/flow.ts';
import type { SipUri, Uri } from './uri.ts';

/** A request on its route: what its request line and Route headers say, and where it goes first. */
export interface Routed {
  readonly requestUri: Uri;
  readonly route: readonly NameAddr[];
  /** `undefined` when the URI to go to is no SIP URI. */
  readonly hop: NextHop | undefined;
}

/** Applies a route set to a request for `target` (RFC 3261 §12.2.1.1, with the strict router of RFC 2543 at its top). */
export function applyRoute(target: Uri, routeSet: readonly NameAddr[]): Routed {
  const [top, ...rest] = routeSet;
  const secure = target.kind === 'sip' && target.scheme === 'sips';
  if (top === undefined) return { requestUri: target, route: [], hop: hopOf(target, secure) };
  if (top.uri.kind === 'sip' && !top.uri.params.has('lr')) {
    const requestUri = inRequestLine(top.uri);
    return { requestUri, route: [...rest, nameAddr(target)], hop: hopOf(requestUri, secure) };
  }
  return { requestUri: target, route: routeSet, hop: hopOf(top.uri, secure) };
}

/** RFC 3261 §12.2.1.1: "stripping any parameters that are not allowed in a Request-URI" (§19.1.1, Table 1). */
function inRequestLine(uri: SipUri): SipUri {
  return { ...uri, params: uri.params.without('method'), headers: [] };
}

function nameAddr(uri: Uri): NameAddr {
  return { uri, params: Params.none };
}

/** Where RFC 3263 begins for a URI. */
export function hopOf(uri: Uri, secure = false): NextHop | undefined {
  if (uri.kind !== 'sip') return undefined;
  return {
    secure: secure || uri.scheme === 'sips',
    host: uri.params.get('maddr') ?? uri.host,
    port: uri.port,
    transport: uri.params.get('transport')?.toLowerCase(),
  };
}

/** What leads a response back (RFC 3261 §18.2.2). */
export function viaAddress({ transport, host, port, params }: Via): ViaAddress {
  const rport = Number(params.get('rport'));
  return {
    transport,
    host,
    port,
    maddr: params.get('maddr'),
    received: params.get('received'),
    rport: Number.isInteger(rport) && rport > 0 ? rport : undefined,
  };
}
