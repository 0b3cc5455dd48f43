import type { EndpointLimits } from '../../msrp/node.ts';
import {
  type BaseTimers,
  defaultTransportLimits,
  DEFAULT_PARSER_LIMITS,
  type Limits,
  type TransportLimits,
} from '../../sip/index.ts';
import type { Config } from '../config/schema.ts';
import type { RosterOptions } from '../focus/event-package.ts';
import type { LegOptions } from '../focus/leg-maker.ts';

/** What the SIP user agent may be made to keep. */
export function userAgentLimits({ sip, roster }: Config): Partial<Limits> {
  return {
    serverTransactions: sip.transactions,
    clientTransactions: sip.transactions,
    dialogs: sip.dialogs,
    dialogsPerAddress: sip.dialogs_per_address,
    pendingInvites: sip.pending_invites,
    pendingInvitesPerAddress: sip.pending_invites_per_address,
    subscriptions: roster.subscriptions,
    parser: { ...DEFAULT_PARSER_LIMITS, messageBytes: sip.message_bytes, headerLine: sip.header_line },
  };
}

/** What one call may make us hold, and how long it is waited for. */
export function legOptions({ audio, msrp }: Config): LegOptions {
  return {
    audio: audio.mode,
    grace: msrp.grace,
    bindTimeout: msrp.bind_timeout,
    collected: msrp.stream_above,
    chunkTimeout: msrp.chunk_timeout,
    congestedFor: msrp.congested_for,
    maxQueuedBytes: msrp.queue_bytes,
    relayedChunkBytes: msrp.relayed_chunk,
    filesAtOnce: msrp.files_at_once,
  };
}

/** How long a subscription lasts, in seconds, and how often its document is sent, in ms. */
export function rosterTimes({ roster }: Config): RosterOptions {
  const { expires, expires_minimum, interval } = roster;
  return { expires: expires / 1000, expiresMinimum: expires_minimum / 1000, interval };
}

/** RFC 3261 §17.1.1.1. */
export function sipTimers({ sip }: Config): BaseTimers {
  return { T1: sip.t1, T2: sip.t2, T4: sip.t4 };
}

/** What the SIP sockets bear. */
export function sipTransportLimits({ sip }: Config): Partial<TransportLimits> {
  return {
    maxHeadBytes: Math.min(defaultTransportLimits.maxHeadBytes, sip.message_bytes),
    maxBodyBytes: sip.message_bytes,
    maxConnectionsPerAddress: sip.connections_per_address,
  };
}

/** What MSRP peers can make us hold. */
export function msrpLimits({ msrp }: Config): Partial<EndpointLimits> {
  return {
    wholeBodyBytes: msrp.stream_above,
    maxSessionsPerConnection: msrp.sessions_per_connection,
    maxUnboundPerAddress: msrp.unbound_per_address,
    unboundTimeout: msrp.bind_timeout,
    idleTimeout: msrp.idle_timeout,
  };
}

/** The largest WebSocket message of either protocol: RFC 7118 §5 has one SIP message in it, RFC 7977 §5.1 one chunk. */
export function webSocketBytes({ sip, msrp }: Config): { readonly sip: number; readonly msrp: number } {
  const head = 64 * 1024;
  return { sip: sip.message_bytes, msrp: msrp.max_message + head };
}
