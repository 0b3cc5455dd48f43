import { WebSocket } from 'ws';
import type { WebSocketMaker } from '../web-socket.ts';

/** Octets of an answer that are read for the sentence in it. */
const MAX_SENTENCE = 500;

/** Makes WebSockets in Node, whose older versions have none of their own; a refusal is told in the server's words. */
export const nodeWebSocket: WebSocketMaker = (url, subProtocol) => {
  const socket = new WebSocket(url, subProtocol, { perMessageDeflate: false });
  socket.on('unexpected-response', (request, response) => {
    let text = '';
    const tell = (): void => {
      const [sentence = ''] = text.slice(0, MAX_SENTENCE).split(/[\r\n]/, 1);
      const status = `${String(response.statusCode)} ${response.statusMessage ?? ''}`.trim();
      socket.emit('error', new Error(sentence === '' ? status : `${status} (${sentence})`));
      request.destroy();
    };
    const isText = /^text\/plain\b/i.test(response.headers['content-type'] ?? '');
    if (!isText) {
      tell();
      return;
    }
    response.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
      if (text.length >= MAX_SENTENCE) response.destroy();
    });
    response.once('close', tell);
  });
  return socket;
};
