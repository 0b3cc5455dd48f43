import { WebSocket } from 'ws';
import type { WebSocketMaker } from '../web-socket.ts';

/** Makes WebSockets in Node, whose older versions have none of their own. */
export const nodeWebSocket: WebSocketMaker = (url, subProtocol) =>
  new WebSocket(url, subProtocol, { perMessageDeflate: false });
