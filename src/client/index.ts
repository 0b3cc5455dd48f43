/**
 * A chat client for browser and terminal: the user agent of sip.js and our MSRP, both over WebSocket. It uses no Node
 * module; Node's WebSocket is in `transport/node.ts`.
 */
export type {
  ChatMessage,
  ClientOptions,
  OutgoingFile,
  Receipt,
  Room,
  RoomHandlers,
  Said,
  Watch,
  WatchHandlers,
} from './contract.ts';
export { sameAddress } from './address.ts';
export { ClientError, type ClientFault } from './errors.ts';
export { type LastingHandlers, type LastingOptions, stayInRoom } from './lasting-room.ts';
export { keepWatching, type LastingWatchHandlers } from './lasting-watch.ts';
export { joinRoom } from './room.ts';
export { type Participant, type Roster, type RosterChange, userPart } from './roster.ts';
export { watchRoom } from './watch.ts';
export type { WebSocketLike, WebSocketMaker } from './web-socket.ts';
