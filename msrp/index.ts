/**
 * MSRP (RFC 4975, 4976, 6135, 6714, 7701, 7977) for any JavaScript platform: the protocol without sockets, and a flow
 * over a given WebSocket. `grouptextchat/msrp/node` adds TCP and TLS.
 */
export { ownText } from './bytes.ts';
export { systemClock, type Clock, type TurnScheduler } from './clock.ts';
export type {
  CloseReason,
  LocalAddress,
  MsrpSession,
  OutgoingStream,
  PeerManners,
  Queued,
  SessionHandlers,
  SessionOptions,
} from './contract.ts';
export { MsrpError, type FaultStatus } from './errors.ts';
export { isMessageId, newMessageId, newSessionId } from './ids.ts';
export type {
  AuthRequest,
  Incoming,
  IncomingMessage,
  MessageOpening,
  MessageSink,
  NicknameRequest,
  OtherRequest,
  Reception,
  Report,
} from './incoming.ts';
export type {
  ByteRange,
  ContinuationFlag,
  FailureReport,
  Head,
  Header,
  MessageId,
  ReportStatus,
  RequestHead,
  ResponseHead,
} from './message.ts';
export type { MessageOptions, Outcome, Outgoing, StreamOptions, StreamSource } from './outgoing.ts';
export { PreparedMessage, prepare } from './prepare.ts';
export { STATUS_COMMENT, type Refusal, type RefusalStatus, type StatusCode } from './status.ts';
export type { Dialer, DialTarget, Flow, FlowHandlers, PeerAddress } from './transport/flow.ts';
export { AcceptedTypes, type ContentType, formatContentType, parameterOf, parseContentType } from './content-type.ts';
export * from './cpim.ts';
export * from './cpim-format.ts';
export { htmlToText } from './html-text.ts';
export type { FileDates, FileDescription, FileHash, FileRange, FileSelector } from './file-selector.ts';
export * from './imdn.ts';
export * from './imdn-aggregate.ts';
export * from './iscomposing.ts';
export { partsOf, partsToRead } from './multipart.ts';
export * from './sdp.ts';
export * from './uri.ts';
export { Assembler, type AssemblerOptions } from './assembler.ts';
export { newEndpoint, type EndpointOptions, type MsrpEndpoint } from './endpoint.ts';
export { webSocketFlow, type WebSocketLike } from './transport/websocket.ts';
export type { EndpointLimits } from './limits.ts';
export type { Log } from './log.ts';
