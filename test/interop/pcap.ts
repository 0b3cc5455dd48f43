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
