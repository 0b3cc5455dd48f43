import { createSocket, Socket } from 'node:dgram';
import { EventEmitter } from 'node:events';
import t, { type Test } from 'tap';
import { SipPhone } from './sip-phone.ts';
import { join, messageSdp, raise, ROOM, type Stage } from './stage.ts';

/**
 * Ports for the audio of one test: below those that the system gives to whoever asks for any, and no other's.
 * @param nth the test
 */
function audioPorts(nth: number, count = 20): readonly string[] {
  const first = 32_000 + 20 * nth;
  return [`audio.first_port=${String(first)}`, `audio.last_port=${String(first + count - 1)}`];
}

/** A telephone's RTP and RTCP sockets. */
interface Ear {
  readonly rtp: Socket;
  readonly rtcp: Socket;
  readonly port: number;
  close(): void;
}

async function listen(host = '127.0.0.1'): Promise<Ear> {
  const type = host.includes(':') ? 'udp6' : 'udp4';
  const rtp = createSocket(type);
  const rtcp = createSocket(type);
  for (const socket of [rtp, rtcp]) await new Promise<void>((resolve) => socket.bind(0, host, resolve));
  return { rtp, rtcp, port: rtp.address().port, close: () => [rtp, rtcp].forEach((socket) => socket.close()) };
}

function sdp(ear: Ear, format = '0', direction = 'sendrecv'): { contentType: string; body: string } {
  const lines = [
    ...['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'],
    ...[`m=audio ${String(ear.port)} RTP/AVP ${format} 101`, 'a=rtpmap:101 telephone-event/8000'],
    ...[`a=rtcp:${String(ear.rtcp.address().port)}`, `a=${direction}`, ''],
  ];
  return { contentType: 'application/sdp', body: lines.join('\r\n') };
}

/** A packet of one sample, from the stream of this number. */
const rtp = (source: number): Buffer => Buffer.from([0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, source, 0xff]);

const datagram = (socket: Socket): Promise<Buffer> => new Promise((resolve) => socket.once('message', resolve));

/** The RTCP that ends it (RFC 3550 §6.6), whatever reports come before. */
const goodbye = (socket: Socket): Promise<Buffer> =>
  new Promise((resolve) => {
    socket.on('message', (packet) => {
      if (packet.includes(Buffer.from([0x81, 203]))) resolve(packet);
    });
  });

async function call(stage: Stage, name: string, offer: { contentType: string; body: string }) {
  const phone = await SipPhone.connect(name, stage.sip);
  const { response, dialog } = await phone.request('INVITE', ROOM, offer);
  return { phone, dialog, response, answer: Buffer.from(response.body).toString() };
}

t.test('RFC 3550: a call without chat lives: the focus sends silence as RTP, and RTCP', async (t) => {
  const stage = await raise(...audioPorts(0));
  t.teardown(() => stage.close());
  for (const [format, codec, octet] of [
    ['0', 'PCMU', 0xff],
    ['8', 'PCMA', 0xd5],
  ] as const) {
    const ear = await listen();
    const { phone, dialog, answer } = await call(stage, `phone${format}`, sdp(ear, format));
    t.match(answer, new RegExp(`^m=audio 320\\d[02468] RTP/AVP ${format}\\r$`, 'm'));
    t.match(answer, new RegExp(`^a=rtpmap:${format} ${codec}/8000\\r$`, 'm'));
    t.match(answer, /^a=sendrecv\r$/m, 'not on hold: Linphone reads no roster on hold');
    phone.ack(dialog);
    const [first, second] = [await datagram(ear.rtp), await datagram(ear.rtp)];
    t.equal(first.length, 12 + 160, '20 ms');
    t.equal(first[0], 0x80);
    t.equal((first[1] ?? 0) & 0x7f, Number(format));
    t.equal((second.readUInt16BE(2) - first.readUInt16BE(2)) & 0xffff, 1);
    t.equal((second.readUInt32BE(4) - first.readUInt32BE(4)) >>> 0, 160);
    t.ok(
      first.subarray(12).every((each) => each === octet),
      'silence',
    );
    const bye = goodbye(ear.rtcp);
    await phone.within(dialog, 'BYE');
    const report = await bye;
    t.equal(report[1], 200, 'SR comes first (§6.1)');
    t.equal(report.readUInt32BE(4), first.readUInt32BE(8));
    ear.close();
  }
});

t.test('RFC 3264 §6.1: directions of audio', async (t) => {
  const stage = await raise(...audioPorts(1));
  t.teardown(() => stage.close());
  const ear = await listen();
  t.teardown(() => {
    ear.close();
  });
  for (const [offered, answered] of [
    ['sendonly', 'recvonly'],
    ['recvonly', 'sendonly'],
    ['inactive', 'inactive'],
  ] as const) {
    const { phone, dialog, answer } = await call(stage, 'phone', sdp(ear, '0', offered));
    t.match(answer, new RegExp(`^a=${answered}\\r$`, 'm'));
    phone.ack(dialog);
    await phone.within(dialog, 'BYE');
  }
});

t.test('RFC 4961: silence goes to where the telephone sends from, and to no stranger', async (t) => {
  const stage = await raise(...audioPorts(7));
  t.teardown(() => stage.close());
  const [ear, moved, stranger] = [await listen(), await listen(), await listen()];
  t.teardown(() => {
    for (const each of [ear, moved, stranger]) each.close();
  });
  const { phone, dialog, answer } = await call(stage, 'phone', sdp(ear));
  phone.ack(dialog);
  const port = Number(/^m=audio (\d+)/m.exec(answer)?.[1]);
  const goesOn = async (): Promise<void> => {
    for (let i = 0; i < 10; i += 1) await datagram(ear.rtp);
  };
  stranger.rtp.send('not RTP', port, '127.0.0.1');
  await goesOn();
  ear.rtp.send(rtp(1), port, '127.0.0.1');
  await goesOn();
  stranger.rtp.send(rtp(2), port, '127.0.0.1');
  await goesOn();
  moved.rtp.send(rtp(1), port, '127.0.0.1');
  t.equal((await datagram(moved.rtp)).length, 172, 'the same stream from another address');
  await phone.within(dialog, 'BYE');
});

t.test('RFC 768: what comes from port 0 leads nowhere, and ends nothing', async (t) => {
  const stage = await raise(...audioPorts(14));
  t.teardown(() => stage.close());
  const ear = await listen();
  t.teardown(() => {
    ear.close();
  });
  const reports = Buffer.from([0x80, 201, 0, 1, 0, 0, 0, 2]);
  fromPortZero(t, [rtp(1), reports]);
  const { phone, dialog, answer } = await call(stage, 'phone', sdp(ear));
  phone.ack(dialog);
  const port = Number(/^m=audio (\d+)/m.exec(answer)?.[1]);
  for (const packet of [rtp(1), rtp(2)]) {
    ear.rtp.send(packet, port, '127.0.0.1');
    for (let i = 0; i < 10; i += 1) await datagram(ear.rtp);
  }
  ear.rtcp.send(reports, port + 1, '127.0.0.1');
  for (let i = 0; i < 10; i += 1) await datagram(ear.rtp);
  const bye = goodbye(ear.rtcp);
  await phone.within(dialog, 'BYE');
  await bye;
});

/** The system sends from no such port: here it is what is told of these datagrams. */
function fromPortZero(t: Test, packets: readonly Buffer[]): void {
  Object.defineProperty(Socket.prototype, 'emit', {
    configurable: true,
    value(this: Socket, event: string, packet: Buffer, from: { port: number }, ...more: unknown[]): boolean {
      if (event === 'message' && packets.some((each) => each.equals(packet))) from.port = 0;
      return EventEmitter.prototype.emit.call(this, event, packet, from, ...more);
    },
  });
  t.teardown(() => Reflect.deleteProperty(Socket.prototype, 'emit'));
}

t.test(
  'RFC 3605: RTCP goes where the telephone says, next to where it is heard, or nowhere if there is no such port',
  async (t) => {
    const stage = await raise(...audioPorts(8));
    t.teardown(() => stage.close());
    const [ear, moved] = [await listen(), await listen()];
    t.teardown(() => {
      for (const each of [ear, moved]) each.close();
    });
    const port = String(ear.port);
    for (const [named, said] of [
      [port, '1'],
      [port, '99999'],
      [port, '-1 IN IP4 127.0.0.1'],
      ['65535', '0'],
    ] as const) {
      const { body } = sdp(ear);
      const offer = body.replace(`m=audio ${port}`, `m=audio ${named}`).replace(/a=rtcp:\d+/, `a=rtcp:${said}`);
      const { phone, dialog, answer } = await call(stage, 'phone', { contentType: 'application/sdp', body: offer });
      phone.ack(dialog);
      await phone.within(dialog, 'OPTIONS');
      moved.rtp.send(rtp(1), Number(/^m=audio (\d+)/m.exec(answer)?.[1]), '127.0.0.1');
      await datagram(moved.rtp);
      await phone.within(dialog, 'BYE');
      t.equal((await phone.request('OPTIONS', ROOM)).response.status, 200);
    }
  },
);

t.test(
  'RFC 4961: reports go to where reports come from; an offer that names the same place changes nothing',
  async (t) => {
    const stage = await raise(...audioPorts(9));
    t.teardown(() => stage.close());
    const [ear, moved] = [await listen(), await listen()];
    t.teardown(() => {
      for (const each of [ear, moved]) each.close();
    });
    const { phone, dialog, answer } = await call(stage, 'phone', sdp(ear));
    phone.ack(dialog);
    await phone.within(dialog, 'OPTIONS');
    const port = Number(/^m=audio (\d+)/m.exec(answer)?.[1]);
    moved.rtp.send(rtp(7), port, '127.0.0.1');
    await datagram(moved.rtp);
    moved.rtcp.send(Buffer.from([0x80, 201, 0, 1, 0, 0, 0, 7]), port + 1, '127.0.0.1');
    await phone.within(dialog, 'INVITE', sdp(ear));
    phone.ack(dialog);
    await phone.within(dialog, 'OPTIONS');
    for (let i = 0; i < 5; i += 1) await datagram(moved.rtp);
    const bye = goodbye(moved.rtcp);
    await phone.within(dialog, 'BYE');
    await bye;
    t.pass('RTCP BYE');
  },
);

t.test('audio by IPv6 and by IPv4, each as the telephone has it, and another one after a re-INVITE', async (t) => {
  const stage = await raise("sip.host=[127.0.0.1, '::1']", ...audioPorts(5));
  t.teardown(() => stage.close());
  const four = await listen();
  const six = await listen('::1');
  t.teardown(() => {
    four.close();
    six.close();
  });
  const bySix = (ear: Ear): ReturnType<typeof sdp> => {
    const { body, ...rest } = sdp(ear);
    return { ...rest, body: body.replaceAll('IP4 127.0.0.1', 'IP6 ::1') };
  };
  const { phone, dialog, answer } = await call(stage, 'phone', bySix(six));
  t.match(answer, /^c=IN IP6 ::1\r$/m);
  phone.ack(dialog);
  t.equal((await datagram(six.rtp)).length, 172);
  const again = await phone.within(dialog, 'INVITE', sdp(four));
  t.match(Buffer.from(again.body).toString(), /^c=IN IP4 127\.0\.0\.1\r$/m);
  phone.ack(dialog);
  t.equal((await datagram(four.rtp)).length, 172);
  await phone.within(dialog, 'BYE');

  const only = await raise(...audioPorts(6));
  t.teardown(() => only.close());
  const lost = await call(only, 'phone', bySix(six));
  t.match(lost.answer, /^c=IN IP4 127\.0\.0\.1\r$/m, 'the call stands, as text can reach it');
  lost.phone.ack(lost.dialog);
  // The answer shows that the ACK has come: what is heard before that is not followed.
  await lost.phone.within(lost.dialog, 'OPTIONS');
  const [, port = ''] = /^m=audio (\d+) /m.exec(lost.answer) ?? [];
  four.rtp.send(rtp(1), Number(port));
  t.equal((await datagram(four.rtp)).length, 172, 'and is sent to where it is heard from');
  await lost.phone.within(lost.dialog, 'BYE');
});

t.test(
  'RFC 3261 §14.2: a re-INVITE without offer is offered all codecs, for whoever is to take the call over',
  async (t) => {
    const stage = await raise(...audioPorts(9));
    t.teardown(() => stage.close());
    const [ear, other] = [await listen(), await listen()];
    t.teardown(() => {
      for (const each of [ear, other]) each.close();
    });
    const { phone, dialog, answer } = await call(stage, 'phone', sdp(ear, '8'));
    t.match(answer, /^m=audio \d+ RTP\/AVP 8\r$/m);
    phone.ack(dialog);
    const offered = Buffer.from((await phone.within(dialog, 'INVITE')).body).toString();
    t.match(offered, /^m=audio \d+ RTP\/AVP 8 0\r$/m, 'that in use is the preferred one');
    t.match(offered, /^a=rtpmap:8 PCMA\/8000\r$/m);
    t.match(offered, /^a=rtpmap:0 PCMU\/8000\r$/m);
    const heard = datagram(other.rtp);
    phone.ack(dialog, sdp(other, '0'));
    t.equal((await heard).readUInt8(1) & 0x7f, 0, 'PCMU is what the other takes');
    const again = Buffer.from((await phone.within(dialog, 'INVITE')).body).toString();
    t.match(again, /^m=audio \d+ RTP\/AVP 8 0\r$/m, 'RFC 3264 §8.3.2: nothing comes twice');
    phone.ack(dialog, sdp(other, '0'));
    await phone.within(dialog, 'BYE');
  },
);

t.test('audio: inactive, and audio: decline', async (t) => {
  const ear = await listen();
  t.teardown(() => {
    ear.close();
  });
  const quiet = await raise('audio.mode=inactive', ...audioPorts(2));
  t.teardown(() => quiet.close());
  const { phone, dialog, answer } = await call(quiet, 'phone', sdp(ear));
  t.match(answer, /^a=inactive\r$/m);
  phone.ack(dialog);
  await phone.within(dialog, 'BYE');
  const deaf = await raise('audio.mode=decline');
  t.teardown(() => deaf.close());
  t.equal((await call(deaf, 'phone', sdp(ear))).response.status, 488);
});

t.test('a range of ports that is used up refuses for a while, and gives back what ends', async (t) => {
  const stage = await raise(...audioPorts(3, 2));
  t.teardown(() => stage.close());
  const ear = await listen();
  t.teardown(() => {
    ear.close();
  });
  const one = await call(stage, 'one', sdp(ear));
  one.phone.ack(one.dialog);
  const { response: two } = await call(stage, 'two', sdp(ear));
  t.equal(two.status, 480, 'the offer is well');
  t.equal(two.headers.get('Retry-After'), '30');
  t.match(two.headers.get('Warning'), /no port for audio is free/);
  const alice = await join(stage, 'alice');
  const audio = sdp(ear).body.slice(sdp(ear).body.indexOf('m=audio'));
  const both = { contentType: 'application/sdp', body: messageSdp(alice.line.own) + audio };
  const beside = await alice.phone.within(alice.dialog, 'INVITE', both);
  alice.phone.ack(alice.dialog);
  t.equal(beside.status, 200);
  t.match(Buffer.from(beside.body).toString(), /^m=audio 0 /m, 'a chat does without it');
  const chatless = both.body.replace('m=message 9', 'm=message 0');
  const instead = await alice.phone.within(alice.dialog, 'INVITE', { ...both, body: chatless });
  t.equal(instead.status, 500, 'which ends no call (RFC 5057 §5.1)');
  t.equal(instead.headers.get('Retry-After'), '30');
  t.equal(await alice.say('still here'), '200');
  await one.phone.within(one.dialog, 'BYE');
  const three = await call(stage, 'three', sdp(ear));
  t.equal(three.response.status, 200);
  three.phone.ack(three.dialog);
  await three.phone.within(three.dialog, 'BYE');
});

t.test('the lost chat of a call with audio does not end the call', async (t) => {
  const stage = await raise('msrp.grace=50ms', ...audioPorts(4));
  t.teardown(() => stage.close());
  const ear = await listen();
  t.teardown(() => {
    ear.close();
  });
  const audio = sdp(ear).body.slice(sdp(ear).body.indexOf('m=audio'));
  const alice = await join(stage, 'alice');
  const offer = `v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=message 9 TCP/MSRP *\r\na=accept-types:message/cpim\r\na=setup:active\r\na=path:${alice.line.own}\r\n${audio}`;
  const response = await alice.phone.within(alice.dialog, 'INVITE', { contentType: 'application/sdp', body: offer });
  t.equal(response.status, 200);
  alice.phone.ack(alice.dialog);
  alice.line.close();
  await datagram(ear.rtp);
  for (let i = 0; i < 10; i += 1) await datagram(ear.rtp);
  t.equal(
    (await alice.phone.within(alice.dialog, 'OPTIONS')).status,
    200,
    'the dialog is still there after the grace time',
  );
});
