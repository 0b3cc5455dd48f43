/**
 * The HTTP side of the service: health and metrics for whoever runs it, and `/ws`, where SIP (RFC 7118) and MSRP
 * (RFC 7977) come in over WebSocket. What a WebSocket carries is none of its business.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { type AddressInfo, BlockList, isIP, type Socket } from 'node:net';
import { Server } from 'node:tls';
import fastify, { type FastifyError, type FastifyInstance } from 'fastify';
import { WebSocketServer, type WebSocket } from 'ws';
import { type ApiRoute, serveApi } from './api.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';

/** What may be spoken over `/ws`. */
export type SubProtocol = 'sip' | 'msrp';

/** The two ends of a WebSocket, as far as TCP shows them. */
export interface WebSocketPeer {
  readonly address: string;
  readonly port: number;
  readonly local: { readonly address: string; readonly port: number };
  /** Whether TLS protects it: here, or up to a proxy that says so (`X-Forwarded-Proto: https`). */
  readonly secure: boolean;
  /** It comes from a proxy that does not say whether it came to it by TLS, or from a program of this machine. */
  readonly proxied: boolean;
}

/** Where and how the server listens, and what it bears. */
export interface HttpOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** PEM certificate chain and key: https and wss instead of http and ws. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** Web pages that may open a WebSocket besides those of this very host: their origins, or `*`. Default none. */
  readonly origins?: readonly string[];
  /** Open WebSockets from one address. Default 1000. */
  readonly webSocketsPerAddress?: number;
  /**
   * Addresses and networks that may be a proxy's: that bound does not apply to them, and what they say of TLS counts. Default:
   * `THIS_MACHINE`.
   */
  readonly proxies?: readonly string[];
  /**
   * Whether a proxy says whose a WebSocket is: the last address in `X-Forwarded-For` that is no proxy's is then its peer's.
   * A proxy that passes on what clients write there would let them choose. Default false.
   */
  readonly forwardedFor?: boolean;
  /** Largest WebSocket message in octets; a larger one closes the WebSocket (1009). Default 64 KiB and 11 MiB. */
  readonly maxMessageBytes?: Readonly<Record<SubProtocol, number>>;
  /** What a request to the API must show. Default: none can be made. */
  readonly apiToken?: string;
  /** A WebSocket that has not answered a ping for so many milliseconds is ended. Default 30,000. */
  readonly pingInterval?: number;
}

/** Whether the service does its work; if not, why not. */
export type Health = { readonly well: true } | { readonly well: false; readonly reason: string };

/** What the server asks of the service, and hands to it. */
export interface HttpHandlers {
  health(): Health;
  /** What the API can do. */
  readonly api?: readonly ApiRoute[];
  /** A WebSocket has been opened for this sub-protocol and is the handler's from here on. */
  webSocket(protocol: SubProtocol, socket: WebSocket, peer: WebSocketPeer): void;
}

/** Where a proxy is that runs beside the service. */
export const THIS_MACHINE: readonly string[] = ['127.0.0.0/8', '::1'];

const STATUS = { 400: 'Bad Request', 403: 'Forbidden', 404: 'Not Found', 503: 'Service Unavailable' } as const;

/** What a peer is told instead of an upgrade. */
interface UpgradeRefusal {
  readonly status: keyof typeof STATUS;
  readonly reason: string;
}

/** The server. It owns its listening socket and the WebSockets that it has opened. */
export class HttpServer {
  readonly #options: Required<Omit<HttpOptions, 'tls' | 'apiToken'>>;
  readonly #proxies: BlockList;
  readonly #handlers: HttpHandlers;
  readonly #log: Logger;
  readonly #http: FastifyInstance;
  readonly #webSockets: Readonly<Record<SubProtocol, WebSocketServer>>;
  readonly #open = new Map<WebSocket, { answered: boolean }>();
  /** How many of them there are from each address. */
  readonly #openFrom = new Map<string, number>();
  readonly #secure: boolean;
  #pings: NodeJS.Timeout | undefined;
  #closing = false;

  constructor(options: HttpOptions, handlers: HttpHandlers, metrics: Metrics, log: Logger) {
    const { tls, apiToken, ...rest } = options;
    this.#options = {
      origins: [],
      webSocketsPerAddress: 1000,
      proxies: THIS_MACHINE,
      forwardedFor: false,
      maxMessageBytes: { sip: 64 * 1024, msrp: 11 * 1024 * 1024 },
      pingInterval: 30_000,
      ...rest,
    };
    this.#proxies = networksOf(this.#options.proxies);
    this.#handlers = handlers;
    this.#log = log;
    this.#secure = tls !== undefined;
    this.#webSockets = { sip: this.#webSocketServer('sip'), msrp: this.#webSocketServer('msrp') };
    this.#http = tls === undefined ? fastify() : fastify({ https: { cert: tls.certificate, key: tls.key } });
    this.#http.server.on('upgrade', (request, socket: Socket, head) => this.#upgrade(request, socket, head));
    this.#http.setErrorHandler((fault: FastifyError, request, reply) => {
      const status = fault.statusCode ?? 500;
      if (status >= 500) log.error('a request has failed', { url: request.url, fault: fault.stack ?? fault.message });
      return reply.code(status).send({ reason: reasonOf(status, fault) });
    });
    this.#http.get('/health', (_request, reply) => {
      const health = handlers.health();
      return reply
        .code(health.well ? 200 : 503)
        .send(health.well ? { status: 'well' } : { status: 'ill', reason: health.reason });
    });
    this.#http.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()));
    this.#http.get('/ws', (_request, reply) =>
      reply.code(426).header('Upgrade', 'websocket').send({ reason: 'WebSocket with sub-protocol sip or msrp' }),
    );
    if (apiToken !== undefined) serveApi(this.#http, apiToken, handlers.api ?? []);
    metrics.gauge('websockets', 'Open WebSockets', () => this.#open.size);
  }

  /** Starts to listen and gives the address. Rejects with the system's error, such as EADDRINUSE. */
  async listen(): Promise<{ readonly address: string; readonly port: number }> {
    const { host, port, pingInterval } = this.#options;
    await this.#http.listen({ host, port });
    this.#http.server.on('error', ({ message }) => {
      this.#log.warn('a connection could not be accepted', { reason: message });
    });
    this.#pings = setInterval(() => {
      // After what has arrived is read: when we were held up, that is no fault of the peers'.
      setImmediate(() => this.#ping());
    }, pingInterval).unref();
    const bound = this.#http.server.address() as AddressInfo;
    return { address: bound.address, port: bound.port };
  }

  /** Takes another certificate for connections to come; only where there was one before. */
  renew(certificate: { readonly cert: string; readonly key: string }): void {
    if (this.#http.server instanceof Server) this.#http.server.setSecureContext(certificate);
  }

  /** Ends the WebSockets (1001), then the server. What does not answer the goodbye within a second is cut off. */
  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#pings);
    const cut = setTimeout(() => {
      for (const socket of this.#open.keys()) socket.terminate();
    }, 1000);
    await Promise.all(
      [...this.#open.keys()].map(
        (socket) =>
          new Promise((resolve) => {
            socket.once('close', resolve);
            socket.close(1001, 'the service is stopping');
          }),
      ),
    );
    clearTimeout(cut);
    await this.#http.close();
  }

  #webSocketServer(protocol: SubProtocol): WebSocketServer {
    const server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: this.#options.maxMessageBytes[protocol],
      handleProtocols: () => protocol,
    });
    // RFC 7977 §7: the page is told that it is one of those that are welcome.
    server.on('headers', (lines, { headers: { origin } }) => {
      if (protocol === 'msrp' && origin !== undefined) lines.push(`Access-Control-Allow-Origin: ${origin}`);
    });
    return server;
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const address = this.#addressOf(request);
    const chosen = this.#choose(request, address);
    if (typeof chosen !== 'string') {
      this.#log.info('WebSocket refused', { peer: address, status: chosen.status, reason: chosen.reason });
      refuse(socket, chosen);
      return;
    }
    this.#webSockets[chosen].handleUpgrade(request, socket, head, (webSocket) =>
      this.#opened(chosen, webSocket, request, address),
    );
  }

  /** The sub-protocol to speak, the first that the peer names and we know; or why there is none. */
  #choose(request: IncomingMessage, address: string): SubProtocol | UpgradeRefusal {
    if (this.#closing) return { status: 503, reason: 'the service is stopping' };
    if (request.url?.split('?')[0] !== '/ws') return { status: 404, reason: 'WebSockets are opened at /ws' };
    if (!this.#welcomes(request)) {
      return { status: 403, reason: 'pages of this origin may not open a WebSocket here (http.origins)' };
    }
    const open = this.#openFrom.get(address) ?? 0;
    if (!this.#isProxy(address) && open >= this.#options.webSocketsPerAddress) {
      return { status: 503, reason: 'too many WebSockets from this address' };
    }
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
    const known = offered.find((name) => name === 'sip' || name === 'msrp');
    return known ?? { status: 400, reason: 'the sub-protocol must be sip or msrp' };
  }

  /** Browsers let any page open a WebSocket to anywhere and say which page it was: only our own host's is welcome. */
  #welcomes({ headers }: IncomingMessage): boolean {
    const { origins } = this.#options;
    const { origin, host } = headers;
    if (origin === undefined || origins.includes('*') || origins.includes(origin)) return true;
    return URL.canParse(origin) && new URL(origin).host === host;
  }

  #opened(protocol: SubProtocol, webSocket: WebSocket, { socket, headers }: IncomingMessage, address: string): void {
    const { remoteAddress = '', remotePort = 0, localAddress = '', localPort = 0 } = socket;
    const forwarded = this.#isProxy(remoteAddress) ? forwardedBy(headers) : 'directly';
    const state = { answered: true };
    this.#open.set(webSocket, state);
    this.#count(address, 1);
    webSocket.on('pong', () => (state.answered = true));
    webSocket.on('close', () => {
      this.#open.delete(webSocket);
      this.#count(address, -1);
    });
    webSocket.on('error', (error) =>
      this.#log.info('WebSocket fault', { peer: address, protocol, reason: error.message }),
    );
    this.#handlers.webSocket(protocol, webSocket, {
      address,
      port: remotePort,
      local: { address: localAddress, port: localPort },
      // Deviation: RFC 7977 §5.1 wants `wss:` alone. On one machine, and where the operator says so, `ws:` harms nobody.
      secure: this.#secure || forwarded === 'https',
      proxied: forwarded === undefined,
    });
  }

  /** Whose a request is: a proxy adds the address of its peer at the end. */
  #addressOf({ socket: { remoteAddress = '' }, headers }: IncomingMessage): string {
    if (!this.#options.forwardedFor || !this.#isProxy(remoteAddress)) return remoteAddress;
    const said = String(headers['x-forwarded-for'] ?? '')
      .split(',')
      .map((each) => each.trim());
    const last = said.findLast((each) => isIP(each) === 0 || !this.#isProxy(each));
    return last === undefined || isIP(last) === 0 ? remoteAddress : last;
  }

  #isProxy(address: string): boolean {
    return this.#proxies.check(address, familyOf(address));
  }

  #count(address: string, more: 1 | -1): void {
    const open = (this.#openFrom.get(address) ?? 0) + more;
    if (open === 0) this.#openFrom.delete(address);
    else this.#openFrom.set(address, open);
  }

  /** Ends those who have not answered since the last round, and asks the others. */
  #ping(): void {
    for (const [socket, state] of this.#open) {
      if (!state.answered) socket.terminate();
      state.answered = false;
      if (socket.readyState === socket.OPEN) socket.ping();
    }
  }
}

/** The scheme by which a request came to the first proxy that says so; undefined: none does. */
function forwardedBy({ 'x-forwarded-proto': said = '' }: IncomingHttpHeaders): string | undefined {
  return /^[^\s,]+/.exec(String(said).trim())?.[0].toLowerCase();
}

/** Addresses, and networks such as 10.0.0.0/8; an IPv4 address is known in its form as IPv6, too. */
function networksOf(texts: readonly string[]): BlockList {
  const networks = new BlockList();
  for (const text of texts) {
    const [address = '', bits] = text.split('/');
    if (bits === undefined) networks.addAddress(address, familyOf(address));
    else networks.addSubnet(address, Number(bits), familyOf(address));
  }
  return networks;
}

function reasonOf(status: number, fault: FastifyError): string {
  if (status >= 500) return 'a fault of ours: the log tells more';
  // What curl sends by itself says that it is a form.
  return status === 415 ? 'what is sent has to be JSON, and to say so: Content-Type: application/json' : fault.message;
}

const familyOf = (address: string): 'ipv4' | 'ipv6' => (address.includes(':') ? 'ipv6' : 'ipv4');

/** Answers an upgrade with an HTTP error instead. */
function refuse(socket: Socket, { status, reason }: UpgradeRefusal): void {
  const body = `${reason}\n`;
  socket.on('error', () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${status} ${STATUS[status]}\r\nContent-Type: text/plain; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
