import { randomBytes } from 'node:crypto';

/**
 * Samples in one packet: 20 ms at 8 kHz (RFC 3551 §4.2 and §4.5). Deviation: RFC 3264 §6.1 asks for the `ptime` of the peer;
 * of silence 20 ms are as good as any.
 */
export const SAMPLES_PER_PACKET = 160;
/** Milliseconds of sound in one packet. */
export const PACKET_MS = 20;

const RTP_VERSION = 0x80;
const RTP_HEAD = 12;
const SENDER_REPORT = 200;
const RECEIVER_REPORT = 201;
const SOURCE_DESCRIPTION = 202;
const GOODBYE = 203;
const CNAME = 1;
/** Seconds between 1900 (NTP) and 1970 (RFC 3550 §4). */
const NTP_EPOCH = 2_208_988_800;

/** Whether there is such a port. */
export function isPort(port: number): boolean {
  return port > 0 && port <= 0xffff;
}

/** The port on which RTCP goes with RTP at this one (RFC 3550 §11); undefined after the last there is. */
export function portAfter(port: number): number | undefined {
  return isPort(port + 1) ? port + 1 : undefined;
}

/**
 * One outgoing RTP stream: sequence number, timestamp and the counts that its sender reports give (RFC 3550 §5.1, §6.4.1).
 * Start values are random, as §5.1 asks.
 */
export class RtpSender {
  readonly ssrc = randomBytes(4).readUInt32BE();
  #sequence = randomBytes(2).readUInt16BE();
  #timestamp = randomBytes(4).readUInt32BE();
  #packets = 0;
  #octets = 0;

  /** Builds the next packet of a constant sound. */
  next(payloadType: number, octet: number): Buffer {
    const packet = Buffer.alloc(RTP_HEAD + SAMPLES_PER_PACKET, octet);
    packet[0] = RTP_VERSION;
    packet[1] = (this.#packets === 0 ? 0x80 : 0) | payloadType;
    packet.writeUInt16BE(this.#sequence, 2);
    packet.writeUInt32BE(this.#timestamp, 4);
    packet.writeUInt32BE(this.ssrc, 8);
    this.#sequence = (this.#sequence + 1) & 0xffff;
    this.#timestamp = (this.#timestamp + SAMPLES_PER_PACKET) >>> 0;
    this.#packets += 1;
    this.#octets += SAMPLES_PER_PACKET;
    return packet;
  }

  /** Lets time pass without sending, so that the timestamp stays the clock of the stream. */
  skip(): void {
    this.#timestamp = (this.#timestamp + SAMPLES_PER_PACKET) >>> 0;
  }

  /** The compound RTCP packet due now: SR or RR, then SDES with our CNAME (RFC 3550 §6.1). */
  report(now: number, cname: string, heard: ReceptionReport | undefined): Buffer {
    const head = this.#packets > 0 ? this.#senderReport(now, heard) : receiverReport(this.ssrc, heard);
    return Buffer.concat([head, sourceDescription(this.ssrc, cname)]);
  }

  /** The compound packet that ends the stream: report, SDES, BYE (RFC 3550 §6.6). */
  goodbye(now: number, cname: string, heard: ReceptionReport | undefined): Buffer {
    const bye = Buffer.alloc(8);
    writeHead(bye, 1, GOODBYE);
    bye.writeUInt32BE(this.ssrc, 4);
    return Buffer.concat([this.report(now, cname, heard), bye]);
  }

  #senderReport(now: number, heard: ReceptionReport | undefined): Buffer {
    const packet = Buffer.alloc(28 + (heard === undefined ? 0 : 24));
    writeHead(packet, heard === undefined ? 0 : 1, SENDER_REPORT);
    packet.writeUInt32BE(this.ssrc, 4);
    packet.writeUInt32BE((Math.floor(now / 1000) + NTP_EPOCH) >>> 0, 8);
    packet.writeUInt32BE(Math.floor(((now % 1000) / 1000) * 2 ** 32) >>> 0, 12);
    packet.writeUInt32BE(this.#timestamp, 16);
    packet.writeUInt32BE(this.#packets >>> 0, 20);
    packet.writeUInt32BE(this.#octets >>> 0, 24);
    if (heard !== undefined) writeReception(packet, 28, heard);
    return packet;
  }
}

/** What a report block says about the one source we hear (RFC 3550 §6.4.1). */
export interface ReceptionReport {
  readonly ssrc: number;
  /** Share lost since the last report, in 1/256. */
  readonly fractionLost: number;
  readonly cumulativeLost: number;
  /** Sequence number cycles and highest number heard. */
  readonly highest: number;
  /** Interarrival jitter in timestamp units. */
  readonly jitter: number;
  /** Middle 32 bits of the NTP time of the last SR heard; 0 if none. */
  readonly lastReport: number;
  /** Since that SR, in 1/65536 s. */
  readonly delaySinceLastReport: number;
}

/** Follows the source that a peer sends to us and sums it up for report blocks (RFC 3550 §6.4.1, A.3, A.8). */
export class RtpReceiver {
  #ssrc: number | undefined;
  #base = 0;
  #highest = 0;
  #cycles = 0;
  #received = 0;
  #expectedPrior = 0;
  #receivedPrior = 0;
  #jitter = 0;
  #transit: number | undefined;
  #lastReport = 0;
  #lastReportAt = 0;

  /** Takes a datagram from the RTP port, and gives the source that it names; whatever is not RTP is ignored. */
  receive(packet: Buffer, now: number): number | undefined {
    if (packet.length < RTP_HEAD || ((packet[0] ?? 0) & 0xc0) !== RTP_VERSION) return undefined;
    const sequence = packet.readUInt16BE(2);
    const ssrc = packet.readUInt32BE(8);
    if (ssrc !== this.#ssrc) this.#restart(ssrc, sequence);
    if (sequence < this.#highest && this.#highest - sequence > 0x8000) {
      this.#cycles += 0x10000;
      this.#highest = sequence;
    } else if (sequence > this.#highest && sequence - this.#highest < 0x8000) {
      this.#highest = sequence;
    }
    this.#received += 1;
    this.#measure(packet.readUInt32BE(4), now);
    return ssrc;
  }

  /**
   * Takes a datagram from the RTCP port, and tells whether it is from the source that is heard. Only the time of a sender
   * report matters to us.
   */
  receiveReport(packet: Buffer, now: number): boolean {
    const isReport = packet[1] === SENDER_REPORT || packet[1] === RECEIVER_REPORT;
    if (packet.length < 8 || !isReport || packet.readUInt32BE(4) !== this.#ssrc) return false;
    if (packet[1] === SENDER_REPORT && packet.length >= 28) {
      this.#lastReport = packet.readUInt32BE(10);
      this.#lastReportAt = now;
    }
    return true;
  }

  /** The report block for what was heard since the last call; undefined while nothing was heard. */
  report(now: number): ReceptionReport | undefined {
    if (this.#ssrc === undefined) return undefined;
    const highest = (this.#cycles + this.#highest) >>> 0;
    const expected = this.#cycles + this.#highest - this.#base + 1;
    const expectedSince = expected - this.#expectedPrior;
    const lostSince = expectedSince - (this.#received - this.#receivedPrior);
    this.#expectedPrior = expected;
    this.#receivedPrior = this.#received;
    return {
      ssrc: this.#ssrc,
      fractionLost:
        expectedSince <= 0 || lostSince <= 0 ? 0 : Math.min(255, Math.floor((lostSince * 256) / expectedSince)),
      cumulativeLost: Math.max(-0x800000, Math.min(0x7fffff, expected - this.#received)),
      highest,
      jitter: Math.floor(this.#jitter),
      lastReport: this.#lastReport,
      delaySinceLastReport: this.#lastReport === 0 ? 0 : Math.floor(((now - this.#lastReportAt) * 65536) / 1000),
    };
  }

  #restart(ssrc: number, sequence: number): void {
    this.#ssrc = ssrc;
    this.#base = sequence;
    this.#highest = sequence;
    this.#cycles = 0;
    this.#received = 0;
    this.#expectedPrior = 0;
    this.#receivedPrior = 0;
    this.#jitter = 0;
    this.#transit = undefined;
    this.#lastReport = 0;
  }

  #measure(timestamp: number, now: number): void {
    const transit = now * 8 - timestamp;
    if (this.#transit !== undefined) this.#jitter += (Math.abs(transit - this.#transit) - this.#jitter) / 16;
    this.#transit = transit;
  }
}

/**
 * How long to wait for the next RTCP packet, in ms: 5 s for two parties, spread by 0.5 to 1.5 and corrected as
 * RFC 3550 §6.3.1 says. `random` is in 0..1.
 */
export function reportInterval(random: number): number {
  return (5000 * (0.5 + random)) / (Math.E - 1.5);
}

function writeHead(packet: Buffer, count: number, type: number): void {
  packet[0] = RTP_VERSION | count;
  packet[1] = type;
  packet.writeUInt16BE(packet.length / 4 - 1, 2);
}

function receiverReport(ssrc: number, heard: ReceptionReport | undefined): Buffer {
  const packet = Buffer.alloc(8 + (heard === undefined ? 0 : 24));
  writeHead(packet, heard === undefined ? 0 : 1, RECEIVER_REPORT);
  packet.writeUInt32BE(ssrc, 4);
  if (heard !== undefined) writeReception(packet, 8, heard);
  return packet;
}

function writeReception(packet: Buffer, at: number, heard: ReceptionReport): void {
  packet.writeUInt32BE(heard.ssrc, at);
  packet.writeUInt8(heard.fractionLost, at + 4);
  packet.writeIntBE(heard.cumulativeLost, at + 5, 3);
  packet.writeUInt32BE(heard.highest, at + 8);
  packet.writeUInt32BE(heard.jitter >>> 0, at + 12);
  packet.writeUInt32BE(heard.lastReport, at + 16);
  packet.writeUInt32BE(heard.delaySinceLastReport >>> 0, at + 20);
}

function sourceDescription(ssrc: number, cname: string): Buffer {
  const name = Buffer.from(cname).subarray(0, 255);
  // The items end with at least one zero octet and are padded to 32 bits (RFC 3550 §6.5).
  const items = 2 + name.length + 1;
  const packet = Buffer.alloc(8 + Math.ceil(items / 4) * 4);
  writeHead(packet, 1, SOURCE_DESCRIPTION);
  packet.writeUInt32BE(ssrc, 4);
  packet[8] = CNAME;
  packet[9] = name.length;
  name.copy(packet, 10);
  return packet;
}
