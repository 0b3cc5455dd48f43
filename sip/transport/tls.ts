import { isIP } from 'node:net';
import { checkServerIdentity, connect, createServer } from 'node:tls';
import type { PeerCertificate, Server, TLSSocket } from 'node:tls';
import type { FlowContext } from './connection.ts';
import type { Target, TransportFailure } from './flow.ts';
import { settleDial } from './tcp.ts';
import type { Dialling } from './tcp.ts';

/** Our own certificate, PEM. */
export interface TlsCertificate {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
}

/** How we look at the certificates of servers that we connect to. */
export interface TlsDialOptions {
  /** Whether the chain and the name are verified. Default true; false only for laboratories. */
  readonly verify?: boolean;
  /** Certificates of trusted authorities, PEM, instead of the well-known ones. */
  readonly ca?: string | Buffer;
}

const certificateFault = /CERT|SELF_SIGNED|UNABLE_TO|ALTNAME|ISSUER/;

/**
 * A TLS server without a socket of its own: connections are given to it by `emit('connection', socket)`, after the
 * limits have been looked at. It asks for no client certificate: SIP clients authenticate by digest (RFC 5922 §7.4).
 */
export function tlsServer(
  certificate: TlsCertificate,
  { limits, log }: FlowContext,
  secured: (socket: TLSSocket) => void,
): Server {
  const handshakeTimeout = limits.firstMessageTimeout;
  const server = createServer({ ...certificate, handshakeTimeout, allowHalfOpen: true, minVersion: 'TLSv1.2' });
  server.on('secureConnection', secured);
  server.on('tlsClientError', (error, socket) => {
    log.warn(`TLS handshake failed: ${error.message}`, { peer: socket.remoteAddress });
    socket.destroy();
  });
  return server;
}

/** Opens a TLS connection and verifies that the certificate names the domain (RFC 5922 §7.3). */
export function dialTls(
  target: Target,
  options: TlsDialOptions,
  timeout: number,
  done: (result: TLSSocket | TransportFailure) => void,
): Dialling {
  const socket = connect({
    host: target.remote.address,
    port: target.remote.port,
    // An address is no name that SNI could carry (RFC 6066 §3).
    ...(isIP(target.serverName) === 0 ? { servername: target.serverName } : {}),
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    rejectUnauthorized: options.verify ?? true,
    checkServerIdentity: (_host, certificate) => checkSipIdentity(target.serverName, certificate),
    minVersion: 'TLSv1.2',
  });
  return settleDial(socket, 'secureConnect', timeout, done, (error) =>
    'code' in error && certificateFault.test(String(error.code)) ? 'certificate' : 'refused',
  );
}

/**
 * RFC 5922 §7.1, §7.2: whether a certificate stands for a SIP domain: by its `sip:` URIs without a user part, where
 * there are none by its DNS names, compared whole and without wildcards. An address is looked for among the IP
 * addresses. Gives the fault, or undefined if it fits.
 */
export function checkSipIdentity(domain: string, certificate: PeerCertificate): Error | undefined {
  const names = (certificate.subjectaltname ?? '').split(', ');
  if (isIP(domain) !== 0) return checkServerIdentity(domain, certificate);
  const uris = valuesOf(names, /^URI:sip:([^@;?:]+)(?::\d+)?(?:[;?].*)?$/i);
  const common: unknown = certificate.subject.CN;
  const byCommonName = certificate.subjectaltname === undefined && typeof common === 'string' ? [common] : [];
  const identities = uris.length > 0 ? uris : [...valuesOf(names, /^DNS:(.+)$/), ...byCommonName];
  const wanted = domain.toLowerCase();
  if (identities.some((identity) => identity.toLowerCase() === wanted)) return undefined;
  const fault = new Error(`the certificate is for ${identities.join(', ') || 'nobody'}, not for ${domain}`);
  return Object.assign(fault, { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
}

function valuesOf(names: readonly string[], pattern: RegExp): string[] {
  return names.flatMap((name) => pattern.exec(name)?.[1] ?? []);
}
