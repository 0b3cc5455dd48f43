import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { isIP } from 'node:net';
import type { AudioBridge, AudioLine, AudioPeer } from '../audio.ts';
import { isPort, PACKET_MS, portAfter, reportInterval, RtpReceiver, RtpSender } from '../rtp.ts';

/** Where the silent audio lines live. */
export interface SilenceOptions {
  /** Addresses to bind, each a literal with what is printed of it in SDP for a peer that reaches us at `local`. */
  readonly places: readonly AudioPlace[];
  /** First port of the range (even; rounded up if not). */
  readonly firstPort: number;
  /** Last port of the range: each call takes two. */
  readonly lastPort: number;
}

/** An address where audio can be had. */
export interface AudioPlace {
  readonly host: string;
  readonly advertised: (local: string) => string;
}

/** No more packets than this are sent at once to make up for a late timer; a longer gap stays a gap. */
const MAX_CATCH_UP = 5;

/**
 * Sends real RTP that carries silence, with RTCP (RFC 3550), so that a telephone without a mixer behind it sees a call
 * that lives. One timer serves all calls.
 */
export class SilenceBridge implements AudioBridge {
  readonly #options: SilenceOptions;
  readonly #lines = new Set<SilentLine>();
  readonly #taken = new Set<number>();
  #next: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SilenceOptions) {
    this.#options = options;
    this.#next = evenAtLeast(options.firstPort);
  }

  reaches(host: string): boolean {
    return this.#options.places.some((place) => isSameFamily(place.host, host));
  }

  async open(local: string, peer = local): Promise<AudioLine | undefined> {
    const { places } = this.#options;
    const near = places.filter(({ host }) => isSameFamily(host, peer));
    const among = near.length > 0 ? near : places;
    const place = among.find(({ host }) => host === local) ?? among[0];
    if (place === undefined) return undefined;
    const pairs = Math.floor((this.#options.lastPort - evenAtLeast(this.#options.firstPort) + 1) / 2);
    for (let tries = 0; tries < pairs; tries += 1) {
      const port = this.#takePort();
      if (this.#taken.has(port)) continue;
      this.#taken.add(port);
      const sockets = await bindPair(place.host, port);
      if (sockets !== undefined) return this.#start(place, local, port, sockets);
      this.#taken.delete(port);
    }
    return undefined;
  }

  close(): void {
    for (const line of [...this.#lines]) line.close();
  }

  #takePort(): number {
    const port = this.#next;
    this.#next = port + 3 > this.#options.lastPort ? evenAtLeast(this.#options.firstPort) : port + 2;
    return port;
  }

  #start(place: AudioPlace, local: string, port: number, sockets: readonly [Socket, Socket]): AudioLine {
    const line = new SilentLine(place, place.advertised(local), port, sockets, () => {
      this.#lines.delete(line);
      this.#taken.delete(port);
      if (this.#lines.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    });
    this.#lines.add(line);
    this.#timer ??= setInterval(() => {
      const now = Date.now();
      for (const each of this.#lines) each.tick(now);
    }, PACKET_MS);
    return line;
  }
}

class SilentLine implements AudioLine {
  readonly host: string;
  readonly port: number;
  readonly #place: AudioPlace;
  readonly #rtp: Socket;
  readonly #rtcp: Socket;
  readonly #onClose: () => void;
  readonly #sender = new RtpSender();
  readonly #receiver = new RtpReceiver();
  readonly #cname = `${randomBytes(9).toString('base64url')}@focus`;
  /** Where the peer has said that it is. */
  #said: AudioPeer | undefined;
  /** Where it is, and whether it can be sent to there. */
  #peer: AudioPeer | undefined;
  #isReached = false;
  /** SSRC of the stream by which the peer is followed; unknown until one is heard. */
  #source: number | undefined;
  #open = true;
  #sentUntil = 0;
  #reportAt = 0;

  constructor(place: AudioPlace, host: string, port: number, sockets: readonly [Socket, Socket], onClose: () => void) {
    this.#place = place;
    this.host = host;
    this.port = port;
    [this.#rtp, this.#rtcp] = sockets;
    this.#onClose = onClose;
    // RFC 768: a datagram may come from port 0, to which nothing can be sent.
    this.#rtp.on('message', (packet, from) => {
      if (!isPort(from.port)) return;
      const source = this.#receiver.receive(packet, Date.now());
      if (source !== undefined) this.#follow(source, from.address, from.port);
    });
    this.#rtcp.on('message', (packet, from) => {
      if (isPort(from.port) && this.#receiver.receiveReport(packet, Date.now())) {
        this.#followReports(from.address, from.port);
      }
    });
  }

  reaches(host: string): boolean {
    return isSameFamily(this.#place.host, host);
  }

  direct(peer: AudioPeer): void {
    const { host, port, rtcpPort } = this.#peer ?? peer;
    const before = this.#said;
    const stays = before?.host === peer.host && before.port === peer.port && before.rtcpPort === peer.rtcpPort;
    this.#said = peer;
    this.#turnTo(stays ? { ...peer, host, port, rtcpPort } : peer);
    if (!stays) this.#source = undefined;
    const now = Date.now();
    this.#sentUntil = now;
    // The first report waits half the interval (RFC 3550 §6.2).
    if (this.#reportAt === 0) this.#reportAt = now + reportInterval(Math.random()) / 2;
  }

  /** Looked at once, not with each packet. */
  #turnTo(peer: AudioPeer): void {
    this.#peer = peer;
    this.#isReached = this.reaches(peer.host);
  }

  tick(now: number): void {
    const peer = this.#peer;
    if (peer === undefined) return;
    if (now - this.#sentUntil > MAX_CATCH_UP * PACKET_MS) this.#sentUntil = now - PACKET_MS;
    const isSentTo = this.#isReached && (peer.direction === 'sendrecv' || peer.direction === 'sendonly');
    while (this.#sentUntil + PACKET_MS <= now) {
      this.#sentUntil += PACKET_MS;
      if (isSentTo) {
        this.#rtp.send(this.#sender.next(peer.payloadType, peer.codec.silence), peer.port, peer.host);
      } else {
        this.#sender.skip();
      }
    }
    if (now < this.#reportAt || !this.#isReached) return;
    this.#reportAt = now + reportInterval(Math.random());
    const report = this.#sender.report(now, this.#cname, this.#receiver.report(now));
    if (peer.rtcpPort !== undefined) this.#rtcp.send(report, peer.rtcpPort, peer.host);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    const now = Date.now();
    const peer = this.#peer;
    this.#rtp.close();
    this.#onClose();
    if (peer?.rtcpPort === undefined || !this.#isReached) {
      this.#rtcp.close();
      return;
    }
    const bye = this.#sender.goodbye(now, this.#cname, this.#receiver.report(now));
    this.#rtcp.send(bye, peer.rtcpPort, peer.host, () => {
      this.#rtcp.close();
    });
  }

  /**
   * A telephone behind an address translator is reached where its packets come from (symmetric RTP, RFC 4961). Its stream
   * is the first that is heard, or what comes from where it is: a stranger's packet must not take our stream away from it,
   * nor lead it to somebody who has asked for none.
   */
  #follow(source: number, host: string, port: number): void {
    const peer = this.#peer;
    if (peer === undefined) return;
    const isThere = peer.host === host && peer.port === port;
    if (isThere) this.#source = source;
    this.#source ??= source;
    if (isThere || source !== this.#source) return;
    this.#turnTo({ ...peer, host, port, rtcpPort: portAfter(port) });
  }

  /** An address translator gives RTCP a port of its own, which need not be next to that of RTP. */
  #followReports(host: string, rtcpPort: number): void {
    const peer = this.#peer;
    if (this.#source === undefined || peer?.host !== host || peer.rtcpPort === rtcpPort) return;
    this.#turnTo({ ...peer, rtcpPort });
  }
}

async function bindPair(host: string, port: number): Promise<readonly [Socket, Socket] | undefined> {
  const rtp = await bind(host, port);
  if (rtp === undefined) return undefined;
  const rtcp = await bind(host, port + 1);
  if (rtcp !== undefined) return [rtp, rtcp];
  rtp.close();
  return undefined;
}

function bind(host: string, port: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    socket.once('error', () => {
      socket.close();
      resolve(undefined);
    });
    socket.bind(port, host, () => {
      socket.removeAllListeners('error');
      // An unreachable peer (ICMP) is no fault of ours, and the call's signalling will notice it.
      socket.on('error', () => undefined);
      resolve(socket);
    });
  });
}

/** Both are literals of one family: what only looks like one would be looked up as a name for each packet. */
function isSameFamily(one: string, other: string): boolean {
  return isIP(one) === isIP(other);
}

function evenAtLeast(port: number): number {
  return port + (port % 2);
}
