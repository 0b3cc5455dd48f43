/** The front door of the SIP library (RFC 3261 and its extensions). */
export type * from './api.ts';
export * from './content-encoding.ts';
export * from './digest.ts';
export * from './digest-client.ts';
export * from './digest-server.ts';
export * from './errors.ts';
export * from './fields.ts';
export { type HeaderField, headerKey, type HeaderKind, Headers, type ReadableKind } from './headers.ts';
export * from './identity.ts';
export * from './inspect.ts';
export { type Log, type LogFields, silent } from './log.ts';
export * from './message.ts';
export * from './multipart.ts';
export * from './offer-answer.ts';
export { type Param, Params } from './params.ts';
export * from './parser.ts';
export * from './sdp.ts';
export * from './status.ts';
export { type BaseTimers, type Clock, defaultTimers, systemClock, type Timer } from './timers.ts';
export type { Dns, NaptrRecord, SrvRecord } from './resolver.ts';
export type { TraceEntry } from './transport/connection.ts';
export { type DnsOptions, systemDns } from './transport/dns.ts';
export type * from './transport/flow.ts';
export {
  type BindOptions,
  type Listening,
  type ListenOptions,
  SocketTransport,
  type SocketTransportOptions,
} from './transport/layer.ts';
export type { Advertise } from './transport/advertise.ts';
export type { WebSocketFacts } from './transport/connections.ts';
export { defaultTransportLimits, type TransportLimits } from './transport/limits.ts';
export type { TlsCertificate, TlsDialOptions } from './transport/tls.ts';
export type { WebSocketLike } from './transport/websocket.ts';
export * from './uri.ts';
export { UserAgent } from './user-agent.ts';
export * from './write.ts';
