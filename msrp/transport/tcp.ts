import { createHash, type X509Certificate } from 'node:crypto';
import { connect as connectTcp, createServer, isIP, type AddressInfo, type Socket } from 'node:net';
import {
  TLSSocket,
  connect as connectTls,
  createSecureContext,
  type ConnectionOptions,
  type SecureContext,
  type TlsOptions,
} from 'node:tls';
import { shownCertificate } from '../certificate.ts';
import type { Dialer, DialTarget, Flow, FlowHandlers, PeerAddress } from './flow.ts';

/** First octet of a TLS record that carries a handshake (RFC 8446 §5.1); MSRP begins with `M`. */
const TLS_HANDSHAKE = 0x16;

/**
 * Octets that a TLS connection may keep before we wait. OpenSSL tells only in the next turn of the event loop that it has
 * passed something on, so with less than this a peer that reads at once would be given one write a turn.
 */
const TLS_AHEAD = 256 * 1024;

/** What TLS is served with. */
interface Secured {
  readonly options: TlsOptions;
  readonly context: SecureContext;
}

/** A TCP connection, with or without TLS. */
class SocketFlow implements Flow {
  readonly framing = 'stream';
  readonly peer: PeerAddress;
  #socket: Socket;
  #handlers: FlowHandlers | undefined;
  #writing = false;
  #reason = 'closed';
  #certificate: X509Certificate | undefined;
  /** For TLS as a server, when the first octet asks for it. */
  readonly #context: (() => Secured) | undefined;

  constructor(socket: Socket, context?: () => Secured) {
    this.#socket = socket;
    this.#context = context;
    this.peer = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
  }

  get secure(): boolean {
    return this.#socket instanceof TLSSocket;
  }

  /** OpenSSL may take the octets later. */
  get keepsBytes(): boolean {
    return this.secure;
  }

  start(handlers: FlowHandlers): void {
    this.#handlers = handlers;
    if (this.#context === undefined) return this.#listen(this.#socket);
    const socket = this.#socket;
    const failed = (fault: Error) => (this.#reason = fault.message);
    const gone = () => handlers.closed(this.#reason);
    socket.on('error', failed).on('close', gone);
    socket.once('readable', () => {
      const first: unknown = socket.read();
      if (!(first instanceof Uint8Array)) return void socket.destroy();
      socket.unshift(first);
      socket.off('error', failed).off('close', gone);
      if (first[0] === TLS_HANDSHAKE) this.#socket = this.#secured(socket);
      this.#listen(this.#socket);
    });
  }

  #secured(socket: Socket): TLSSocket {
    const { options, context } = this.#context?.() ?? {};
    // RFC 8122 §6.2: a certificate is asked for; whose it is, the session knows that the first request names.
    const ask = { requestCert: true, rejectUnauthorized: false };
    return new TLSSocket(socket, { ...ask, ...options, isServer: true, ...(context && { secureContext: context }) });
  }

  #listen(socket: Socket): void {
    const handlers = this.#handlers;
    if (handlers === undefined) return;
    socket.on('data', (bytes: Uint8Array) => handlers.receive(bytes));
    socket.on('end', () => handlers.ended());
    socket.on('error', (fault) => (this.#reason = fault.message));
    socket.on('close', () => handlers.closed(this.#reason));
  }

  write(bytes: Uint8Array): boolean {
    this.#socket.write(bytes, this.#written);
    this.#writing = this.#socket.writableLength > this.#ahead;
    return !this.#writing;
  }

  get #ahead(): number {
    return this.secure ? TLS_AHEAD : 0;
  }

  readonly #written = (): void => {
    if (!this.#writing || this.#socket.writableLength > this.#ahead / 2) return;
    this.#writing = false;
    this.#handlers?.drained();
  };

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    // To end it again would make an error, with its stack, that nobody wants.
    if (!this.#socket.writableEnded) this.#socket.end();
    // What still comes is nobody's, but the end of it is awaited.
    this.#socket.resume();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  fingerprint(algorithm: string): string | undefined {
    // Asked once: Node takes the certificate out of the chain it reads, and would give its issuer's the next time.
    if (this.#socket instanceof TLSSocket) this.#certificate ??= this.#socket.getPeerX509Certificate();
    return this.#certificate && certificateDigest(this.#certificate.raw, algorithm);
  }
}

/**
 * The digest of a certificate in DER by `sha-1` to `sha-512`, in upper-case hexadecimal with colons, as `a=fingerprint` has
 * it (RFC 8122 §5); undefined for another hash function.
 */
export function certificateDigest(der: Uint8Array, algorithm: string): string | undefined {
  const [, bits] = /^sha-(1|224|256|384|512)$/i.exec(algorithm) ?? [];
  if (bits === undefined) return undefined;
  const digest = createHash(`sha${bits}`).update(der).digest('hex').toUpperCase();
  return digest.match(/../g)?.join(':');
}

/** Where and how to listen. */
export interface ListenOptions {
  /** Address to listen on. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** At `::`, leave the IPv4 addresses to another listener. */
  readonly ipv6Only?: boolean;
  /** Certificate and key: TLS and plain MSRP are then both served on the port, told apart by the first octet. */
  readonly tls?: TlsOptions;
  /** Connections at a time; 10,000 unless given. */
  readonly maxConnections?: number;
}

/** A listening socket. */
export interface TcpListener {
  readonly port: number;
  /** Replaces certificate and key for connections to come. */
  renew(tls: TlsOptions): void;
  /** Takes no further connection; resolves when the last one is gone. What is left after so many milliseconds is cut off. */
  close(cutOff?: number): Promise<void>;
}

/** Listens, and gives each connection to `accept`. Rejects when the port cannot be had. */
export function listenTcp(options: ListenOptions, accept: (flow: Flow) => void): Promise<TcpListener> {
  let secured = options.tls && securedBy(options.tls);
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    const current = secured;
    accept(new SocketFlow(socket, current && (() => current)));
  });
  server.maxConnections = options.maxConnections ?? 10_000;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const { port, host, ipv6Only = false } = options;
    server.listen({ port, host, ipv6Only }, () => {
      // What is told from now on is that one connection could not be accepted; the next may be.
      server.off('error', reject).on('error', () => undefined);
      resolve({
        port: portOf(server.address()),
        renew: (tls) => void (secured = securedBy(tls)),
        close: async (cutOff) => {
          const cut = () => {
            for (const socket of sockets) socket.destroy();
          };
          const late = cutOff === undefined ? undefined : setTimeout(cut, cutOff);
          await new Promise<void>((closed) => server.close(() => closed()));
          clearTimeout(late);
        },
      });
    });
  });
}

/** OpenSSL resumes no session in which a certificate was asked for, unless that has a context. */
function securedBy(tls: TlsOptions): Secured {
  return { options: tls, context: createSecureContext({ sessionIdContext: 'msrp', ...tls }) };
}

function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === 'string') throw new Error('a listener without a port');
  return address.port;
}

/** How to connect. */
export interface DialerOptions {
  /** For `msrps`: certificate authorities, own certificate, and the like. */
  readonly tls?: ConnectionOptions;
  /** Milliseconds for connection and TLS handshake; 10,000 unless given. */
  readonly timeout?: number;
}

/**
 * Connects by TCP; by TLS for `msrps` URIs, where the certificate must be valid and name the host (RFC 4975 §5.4), unless
 * the session description gave its fingerprint (§14.4) or `tls` says otherwise.
 */
export function tcpDialer(options: DialerOptions = {}): Dialer {
  return (target) =>
    new Promise((resolve, reject) => {
      if (target.transport !== 'tcp') throw new Error(`${target.host}: no dialer for transport ${target.transport}`);
      const socket = open(target, options);
      const fail = (reason: string) => {
        socket.destroy();
        reject(new Error(`${target.host}:${target.port}: ${reason}`));
      };
      const failed = (fault: Error) => fail(fault.message);
      const late = () => fail('no connection in time');
      // For good: TLS may have a second fault to tell after one, and one before anybody listens to the flow.
      socket.on('error', failed);
      socket.setTimeout(options.timeout ?? 10_000, late);
      socket.once(target.secure ? 'secureConnect' : 'connect', () => {
        socket.off('timeout', late).setTimeout(0);
        const flow = new SocketFlow(socket);
        const { fingerprints = [] } = target;
        const known = fingerprints.length === 0 || shownCertificate(flow, fingerprints) === 'announced';
        if (known) resolve(flow);
        else fail('the certificate is not the one announced');
      });
    });
}

function open({ host, port, secure, fingerprints = [] }: DialTarget, options: DialerOptions): Socket {
  const common = { host, port, noDelay: true, allowHalfOpen: true };
  if (!secure) return connectTcp(common);
  const name = isIP(host) === 0 ? { servername: host } : {};
  // RFC 4975 §14.4: a fingerprint from the session description stands for the certification authority.
  const trust = fingerprints.length > 0 ? { rejectUnauthorized: false } : {};
  return connectTls({ ...common, ...name, ...trust, ...options.tls });
}
