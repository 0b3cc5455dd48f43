/** A pcap file (libpcap format, raw IPv4 packets) in which each message is a datagram from and to port 5060. */
export function pcapOf(messages: readonly { readonly at: number; readonly message: Uint8Array }[]): Buffer {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b2c3d4, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(0x40000, 16);
  head.writeUInt32LE(101, 20);
  return Buffer.concat([head, ...messages.flatMap(({ at, message }) => packet(at, message))]);
}

const ipHead = 20;
const udpHead = 8;

function packet(at: number, message: Uint8Array): Buffer[] {
  const length = ipHead + udpHead + message.length;
  const record = Buffer.alloc(16);
  record.writeUInt32LE(Math.floor(at / 1000), 0);
  record.writeUInt32LE((at % 1000) * 1000, 4);
  record.writeUInt32LE(length, 8);
  record.writeUInt32LE(length, 12);
  const heads = Buffer.alloc(ipHead + udpHead);
  heads[0] = 0x45;
  heads.writeUInt16BE(length, 2);
  heads[8] = 64;
  heads[9] = 17;
  heads.writeUInt32BE(0x7f000001, 12);
  heads.writeUInt32BE(0x7f000001, 16);
  heads.writeUInt16BE(5060, ipHead);
  heads.writeUInt16BE(5060, ipHead + 2);
  heads.writeUInt16BE(udpHead + message.length, ipHead + 4);
  return [record, heads, Buffer.from(message)];
}

/** What went over one connection: who sent, the peer who connected or the server, and what. */
export interface Segment {
  readonly at: number;
  readonly from: 'client' | 'server';
  readonly bytes: Uint8Array;
}

/** A pcap file of TCP connections to ports of one server; each piece is a segment of its own. */
export function tcpPcapOf(
  connections: readonly { readonly port: number; readonly segments: readonly Segment[] }[],
): Buffer {
  const records = connections.flatMap(({ port, segments }, index) => {
    const next = { client: 1, server: 1 };
    return segments.map(({ at, from, bytes }) => {
      const [source, target] = from === 'client' ? [20_000 + index, port] : [port, 20_000 + index];
      const sequence = next[from];
      next[from] += bytes.length;
      const ack = next[from === 'client' ? 'server' : 'client'];
      return { at, bytes: tcpPacket(at, source, target, sequence, ack, bytes) };
    });
  });
  records.sort((one, other) => one.at - other.at);
  return Buffer.concat([pcapOf([]), ...records.map(({ bytes }) => bytes)]);
}

const tcpHead = 20;

function tcpPacket(
  at: number,
  source: number,
  target: number,
  sequence: number,
  ack: number,
  bytes: Uint8Array,
): Buffer {
  const length = ipHead + tcpHead + bytes.length;
  const packet = Buffer.alloc(16 + ipHead + tcpHead);
  packet.writeUInt32LE(Math.floor(at / 1000), 0);
  packet.writeUInt32LE((at % 1000) * 1000, 4);
  packet.writeUInt32LE(length, 8);
  packet.writeUInt32LE(length, 12);
  const ip = packet.subarray(16);
  ip[0] = 0x45;
  ip.writeUInt16BE(length, 2);
  ip[8] = 64;
  ip[9] = 6;
  ip.writeUInt32BE(0x7f000001, 12);
  ip.writeUInt32BE(0x7f000001, 16);
  const tcp = ip.subarray(ipHead);
  tcp.writeUInt16BE(source, 0);
  tcp.writeUInt16BE(target, 2);
  tcp.writeUInt32BE(sequence, 4);
  tcp.writeUInt32BE(ack, 8);
  tcp[12] = 5 << 4;
  tcp[13] = 0x18;
  tcp.writeUInt16BE(0xffff, 14);
  return Buffer.concat([packet, bytes]);
}
