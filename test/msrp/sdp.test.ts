import fc from '../fast-check.ts';
import t from 'tap';
import { AcceptedTypes, formatContentType, parameterOf, parseContentType } from '../../msrp/content-type.ts';
import { MsrpError } from '../../msrp/errors.ts';
import type { FileDescription } from '../../msrp/file-selector.ts';
import {
  acceptsRoot,
  acceptsWrapped,
  addressMatch,
  answerSetup,
  decisiveFingerprints,
  formatMsrpMedia,
  MAX_LIST_TOKENS,
  type MsrpDescription,
  parseMsrpMedia,
  type SdpAttribute,
  type SdpMediaLine,
  setupAfterAnswer,
} from '../../msrp/sdp.ts';
import { formatMsrpPath, parseMsrpPath } from '../../msrp/uri.ts';

/** A media section as text, read in the simplest way. */
function line(text: string): SdpMediaLine {
  const [m = '', ...rest] = text.trim().split(/\r?\n\s*/);
  const [media = '', port = '', protocol = '', ...formats] = m.slice(2).split(' ');
  const connection = rest.find((each) => each.startsWith('c='))?.split(' ');
  const attributes = rest
    .filter((each) => each.startsWith('a='))
    .map((each): SdpAttribute => {
      const at = each.indexOf(':');
      return at < 0 ? { name: each.slice(2) } : { name: each.slice(2, at), value: each.slice(at + 1) };
    });
  return {
    media,
    port: Number(port),
    protocol,
    formats,
    connection: connection && { addressType: connection[1] ?? '', address: connection[2] ?? '' },
    attributes,
  };
}

const text = ({ media, port, protocol, formats, connection, attributes }: SdpMediaLine): string[] => [
  `m=${media} ${port} ${protocol} ${formats.join(' ')}`,
  `c=IN ${connection?.addressType} ${connection?.address}`,
  ...attributes.map(({ name, value }) => (value === undefined ? `a=${name}` : `a=${name}:${value}`)),
];

const A_PATH = 'a=path:msrp://alice.example.com:7394/2s93i93idj;tcp';

t.test('RFC 4975 §8.7: the example offer', async (t) => {
  const media = parseMsrpMedia(
    line(`m=message 7394 TCP/MSRP *
          c=IN IP4 alice.example.com
          a=accept-types:message/cpim text/plain text/html
          ${A_PATH}`),
  );
  t.equal(media.protocol, 'TCP/MSRP');
  t.equal(media.port, 7394);
  t.equal(formatMsrpPath(media.path), 'msrp://alice.example.com:7394/2s93i93idj;tcp');
  t.same(media.acceptTypes.entries, ['message/cpim', 'text/plain', 'text/html']);
  t.ok(media.acceptWrappedTypes.empty);
  t.equal(media.maxSize, undefined);
  t.equal(media.setup, undefined);
  t.equal(media.direction, 'sendrecv');
  t.equal(media.chatroom, undefined, 'knows nothing of chat rooms');
  t.equal(media.cema, false);
  t.same(media.fingerprints, []);
  t.equal(media.file, undefined);
});

t.test('RFC 7977 §8.2.1: a path through a relay to a WebSocket client', async (t) => {
  const media = parseMsrpMedia(
    line(`m=message 1234 TCP/TLS/MSRP *
          a=accept-types:message/cpim text/plain text/html
          a=path:msrps://a.example.com:2855/jui787s2f;tcp msrps://df7jal23ls0d.invalid:2855/98cjs;ws`),
  );
  t.equal(media.protocol, 'TCP/TLS/MSRP');
  t.same(
    media.path.map(({ transport }) => transport),
    ['tcp', 'ws'],
  );
});

t.test('the offer of a sipsimple client', async (t) => {
  const media = parseMsrpMedia(
    line(`m=message 2855 TCP/TLS/MSRP *
          c=IN IP4 192.0.2.2
          a=path:msrps://192.0.2.2:2855/e6a9d0d92bdb55aa1c06;tcp
          a=accept-types:message/cpim text/* image/* application/im-iscomposing+xml
          a=accept-wrapped-types:text/* image/* application/im-iscomposing+xml
          a=setup:active
          a=chatroom:nickname private-messages com.example.zrtp-sas`),
  );
  t.equal(media.setup, 'active');
  t.same(media.chatroom, ['nickname', 'private-messages', 'com.example.zrtp-sas']);
  t.ok(acceptsRoot(media, 'message/cpim'));
  t.ok(acceptsWrapped(media, 'text/html'));
  t.notOk(acceptsWrapped(media, 'application/pdf'));
});

t.test('RFC 4975 §8.6: what may be sent', async (t) => {
  const media = (types: string, wrapped: string): MsrpDescription =>
    parseMsrpMedia(
      line(`m=message 1 TCP/MSRP *\n${A_PATH}\na=accept-types:${types}\na=accept-wrapped-types:${wrapped}`),
    );
  const cpimOnly = media('message/CPIM', 'text/plain;charset=utf-8 image/*');
  t.ok(acceptsRoot(cpimOnly, 'message/cpim'), 'without case');
  t.notOk(acceptsRoot(cpimOnly, 'text/plain'), 'a wrapped type not at the root');
  t.ok(acceptsWrapped(cpimOnly, 'text/plain'), 'parameters do not count');
  t.ok(acceptsWrapped(cpimOnly, 'image/png'));
  t.notOk(acceptsWrapped(cpimOnly, 'text/html'));
  t.ok(acceptsWrapped(cpimOnly, 'message/cpim'), 'a root type also wrapped');
  const all = media('*', '');
  t.ok(acceptsRoot(all, 'video/x') && acceptsWrapped(all, 'a/b'));
});

t.test('RFC 4975 §8.6: max-size is a hint', async (t) => {
  const size = (value: string): number | undefined =>
    parseMsrpMedia(line(`m=message 1 TCP/MSRP *\n${A_PATH}\na=max-size:${value}`)).maxSize;
  t.equal(size('1048576'), 1048576);
  t.equal(size('9'.repeat(40)), Number.MAX_SAFE_INTEGER);
  t.equal(size('much'), undefined);
  t.equal(size('-1'), undefined);
});

t.test('RFC 4975 §8.2: no path, no session', async (t) => {
  for (const bad of ['', 'a=path:', 'a=path:http://x', 'a=path']) {
    t.throws(() => parseMsrpMedia(line(`m=message 1 TCP/MSRP *\n${bad}`)), { name: 'MsrpError', status: 400 }, bad);
  }
  t.throws(() => parseMsrpMedia(line('m=audio 1 RTP/AVP 0')), { name: 'MsrpError', status: 415 });
  t.throws(() => parseMsrpMedia(line(`m=message 1 TCP/WS/MSRP *\n${A_PATH}`)), { name: 'MsrpError', status: 415 });
});

t.test('RFC 4145 §4 and RFC 6135 §4.2: setup', async (t) => {
  t.equal(answerSetup('active'), 'passive');
  t.equal(answerSetup('actpass'), 'passive');
  t.equal(answerSetup('passive'), 'active');
  t.equal(answerSetup(undefined), 'passive', 'absent in an offer means active');
  t.equal(setupAfterAnswer('actpass', 'active'), 'passive');
  t.equal(setupAfterAnswer('actpass', 'passive'), 'active');
  t.equal(setupAfterAnswer('actpass', undefined), 'active', 'absent in an answer means passive');
  t.equal(setupAfterAnswer('actpass', 'actpass'), 'active', 'no legal answer; somebody has to connect');
  t.equal(setupAfterAnswer('active', undefined), 'active');
  t.equal(setupAfterAnswer('passive', 'active'), 'passive');
  const setup = (attributes: string, session: SdpAttribute[] = []): unknown =>
    parseMsrpMedia(line(`m=message 1 TCP/MSRP *\n${A_PATH}\n${attributes}`), session).setup;
  t.equal(setup('a=setup:holdconn'), undefined, 'holdconn as if there were no attribute');
  t.equal(setup('a=connection:new'), undefined, 'connection is ignored');
  t.equal(setup('', [{ name: 'setup', value: 'passive' }]), 'passive', 'from the session part');
  t.equal(setup('a=setup:active', [{ name: 'setup', value: 'passive' }]), 'active', 'the line’s own comes first');
});

t.test('RFC 4975 §8.9: direction', async (t) => {
  const direction = (attributes: string, session: SdpAttribute[] = []): unknown =>
    parseMsrpMedia(line(`m=message 1 TCP/MSRP *\n${A_PATH}\n${attributes}`), session).direction;
  t.equal(direction('a=sendonly'), 'sendonly');
  t.equal(direction('', [{ name: 'inactive' }]), 'inactive');
  t.equal(direction(''), 'sendrecv');
});

t.test('RFC 7701 §8: chatroom', async (t) => {
  const chatroom = (attributes: string): unknown =>
    parseMsrpMedia(line(`m=message 1 TCP/MSRP *\n${A_PATH}\n${attributes}`)).chatroom;
  t.same(chatroom('a=chatroom'), [], 'chat-aware, nothing allowed');
  t.same(chatroom('a=chatroom:nickname  private-messages nickname'), ['nickname', 'private-messages']);
  t.same(chatroom('a=chatroom:nickname\na=chatroom:private-messages'), ['nickname', 'private-messages']);
});

t.test('RFC 8122 §5: fingerprints', async (t) => {
  const media = parseMsrpMedia(
    line(`m=message 1 TCP/TLS/MSRP *
          ${A_PATH}
          a=fingerprint:SHA-1 4a:ad:b9:b1:3f:82:18:3b:54:02:12:df:3e:5d:49:6b:19:e5:7c:ab
          a=fingerprint:SHA-256 12:DF:3E:5D
          a=fingerprint:sha-256 AB:CD:EF:01
          a=fingerprint:md5 AB
          a=fingerprint:sha-256 nonsense`),
  );
  t.equal(media.fingerprints.length, 4);
  t.equal(media.fingerprints[0]?.value.startsWith('4A:AD'), true);
  t.same(decisiveFingerprints(media.fingerprints), [
    { hash: 'sha-256', value: '12:DF:3E:5D' },
    { hash: 'sha-256', value: 'AB:CD:EF:01' },
  ]);
  t.same(decisiveFingerprints([{ hash: 'md5', value: 'AB' }]), [], 'MD5 proves nothing');
  const inherited = parseMsrpMedia(line(`m=message 1 TCP/TLS/MSRP *\n${A_PATH}`), [
    { name: 'fingerprint', value: 'sha-256 AA' },
  ]);
  t.same(inherited.fingerprints, [{ hash: 'sha-256', value: 'AA' }], 'from the session part');
});

t.test('RFC 6714 §4.4: does c= and m= match the path', async (t) => {
  const match = (c: string, port: number, path: string): string =>
    addressMatch(line(`m=message ${port} TCP/MSRP *\nc=IN IP4 ${c}`), parseMsrpPath(path));
  t.equal(match('192.0.2.1', 7394, 'msrp://192.0.2.1:7394/s;tcp'), 'same');
  t.equal(match('192.0.2.1', 7395, 'msrp://192.0.2.1:7394/s;tcp'), 'different');
  t.equal(match('192.0.2.9', 7394, 'msrp://192.0.2.1:7394/s;tcp'), 'different');
  t.equal(match('2001:db8:0::1', 1, 'msrp://[2001:db8::1]:1/s;tcp'), 'same', 'IPv6 by value');
  t.equal(match('192.0.2.1', 1, 'msrp://relay.example.com:1/r;tcp msrp://192.0.2.1:1/s;tcp'), 'same');
  t.equal(match('192.0.2.1', 1, 'msrp://host.example.com:1/s;tcp'), 'unknown', 'DNS must tell');
  t.equal(match('HOST.example.com', 1, 'msrp://host.example.com:1/s;tcp'), 'same');
  t.equal(match('\u0000', 1, 'msrp://h:1/s;tcp'), 'unknown');
  t.equal(addressMatch(line('m=message 1 TCP/MSRP *'), parseMsrpPath('msrp://h:1/s;tcp')), 'unknown');
  t.equal(parseMsrpMedia(line(`m=message 1 TCP/MSRP *\n${A_PATH}\na=msrp-cema`)).cema, true);
});

t.test('RFC 4975 §8.1: what we print', async (t) => {
  const own: MsrpDescription = {
    path: parseMsrpPath('msrps://chat.example.com:2855/s1;tcp'),
    acceptTypes: new AcceptedTypes(['message/cpim']),
    acceptWrappedTypes: new AcceptedTypes(['*']),
    maxSize: 65536,
    setup: 'actpass',
    chatroom: ['nickname', 'private-messages'],
    fingerprints: [{ hash: 'sha-256', value: 'AB:CD' }],
  };
  t.same(text(formatMsrpMedia(own)), [
    'm=message 2855 TCP/TLS/MSRP *',
    'c=IN IP4 chat.example.com',
    'a=accept-types:message/cpim',
    'a=accept-wrapped-types:*',
    'a=max-size:65536',
    'a=setup:actpass',
    'a=path:msrps://chat.example.com:2855/s1;tcp',
    'a=chatroom:nickname private-messages',
    'a=fingerprint:sha-256 AB:CD',
  ]);
  const relayed = {
    ...own,
    path: parseMsrpPath('msrp://192.0.2.1:1/r;tcp msrp://[2001:db8::2]:2/s;tcp'),
    chatroom: [],
  };
  t.same(text(formatMsrpMedia(relayed)).slice(0, 2), ['m=message 2 TCP/MSRP *', 'c=IN IP6 2001:db8::2']);
  t.same(text(formatMsrpMedia({ ...relayed, cema: true })).slice(0, 2), [
    'm=message 1 TCP/MSRP *',
    'c=IN IP4 192.0.2.1',
  ]);
  t.ok(text(formatMsrpMedia({ ...relayed, cema: true })).includes('a=msrp-cema'));
  t.ok(text(formatMsrpMedia({ ...relayed, direction: 'recvonly' })).includes('a=recvonly'));
  t.ok(text(formatMsrpMedia(relayed)).includes('a=chatroom'));
});

t.test('RFC 8866 §9: no value leaves its line', async (t) => {
  const evil = 'x\r\na=evil:1\0';
  const { attributes } = formatMsrpMedia({
    path: parseMsrpPath('msrp://a.example:1/s;tcp'),
    acceptTypes: new AcceptedTypes([evil]),
    acceptWrappedTypes: new AcceptedTypes([evil]),
    chatroom: [evil],
    fingerprints: [{ hash: evil, value: evil }],
    file: { selector: { type: evil, hashes: [] }, transferId: evil, disposition: evil, icon: evil },
  });
  t.same(
    attributes.filter(({ value = '' }) => /[\r\n\0]/.test(value)),
    [],
  );
});

t.test('no list is printed longer than twelve tokens', async (t) => {
  const many = Array.from({ length: 20 }, (_, at) => `text/x${at}`);
  const { attributes } = formatMsrpMedia({
    path: parseMsrpPath('msrp://h:1/s;tcp'),
    acceptTypes: new AcceptedTypes(many),
    acceptWrappedTypes: new AcceptedTypes(many),
    chatroom: many.map((each) => each.replace('/', '.')),
  });
  for (const name of ['accept-types', 'accept-wrapped-types', 'chatroom']) {
    t.equal(attributes.find((attribute) => attribute.name === name)?.value?.split(' ').length, MAX_LIST_TOKENS, name);
  }
});

t.test('RFC 5547 §6: the example description of a file', async (t) => {
  const media = parseMsrpMedia(
    line(`m=message 7654 TCP/MSRP *
          a=sendonly
          a=accept-types:message/cpim
          a=accept-wrapped-types:*
          a=path:msrp://atlanta.example.com:7654/jshA7we;tcp
          a=file-selector:name:"My cool picture.jpg" type:image/jpeg size:32349 hash:sha-1:72:24:5F:E8:65:3D:DA:F3:71:36:2F:86:D4:71:91:3E:E4:A2:CE:2E
          a=file-transfer-id:vBnG916bdberum2fFEABR1FR3ExZMUrd
          a=file-disposition:attachment
          a=file-date:creation:"Mon, 15 May 2006 15:01:31 +0300"
          a=file-icon:cid:id2@alicepc.example.com
          a=file-range:1-32349`),
  );
  t.same(media.file, {
    selector: {
      name: 'My cool picture.jpg',
      size: 32349,
      type: 'image/jpeg',
      hashes: [{ algorithm: 'sha-1', value: '72:24:5F:E8:65:3D:DA:F3:71:36:2F:86:D4:71:91:3E:E4:A2:CE:2E' }],
    },
    transferId: 'vBnG916bdberum2fFEABR1FR3ExZMUrd',
    disposition: 'attachment',
    dates: { creation: new Date('2006-05-15T12:01:31Z') },
    icon: 'cid:id2@alicepc.example.com',
    range: { start: 1, stop: 32349 },
  });
  t.equal(media.direction, 'sendonly');
});

t.test('RFC 5547 §6: names, types and the unreadable', async (t) => {
  const file = (value: string): FileDescription | undefined =>
    parseMsrpMedia(line(`m=message 1 TCP/MSRP *\n${A_PATH}\na=file-selector${value}`)).file;
  t.same(file(''), { selector: { hashes: [] } }, '§8.5: a capability query');
  t.equal(file(':name:"100%25 %22sure%22 %C3%A4%2F.txt"')?.selector.name, '100% "sure" ä/.txt');
  t.equal(file(':type:text/plain;charset="utf-8" size:3')?.selector.type, 'text/plain;charset="utf-8"');
  t.same(file(':size:x hash:sha-1:zz name:"a')?.selector, { hashes: [] });
  t.equal(file(`:name:"${'a'.repeat(10)}" `)?.selector.name, 'a'.repeat(10));
  t.same(file(':size:1 hash:sha-1:AB hash:sha-256:cd')?.selector.hashes.length, 2, 'more than one hash');
  t.same(file(':inode:7 name:"a b" color:"light blue" size:5')?.selector, { name: 'a b', size: 5, hashes: [] });
  const types = { acceptTypes: new AcceptedTypes([]), acceptWrappedTypes: new AcceptedTypes([]) };
  const dated = { selector: { hashes: [] }, dates: { creation: new Date('soon') } };
  t.throws(() => formatMsrpMedia({ path: parseMsrpPath('msrp://h:1/s;tcp'), ...types, file: dated }), {
    name: 'RangeError',
  });
});

t.test('RFC 5547 §6: ranges count from 1 and do not end before they begin', async (t) => {
  const range = (value: string): FileDescription['range'] =>
    parseMsrpMedia(line(`m=message 1 TCP/MSRP *\n${A_PATH}\na=file-selector\na=file-range:${value}`)).file?.range;
  t.same(range('1-1'), { start: 1, stop: 1 });
  t.same(range('7-*'), { start: 7 });
  for (const bad of ['0-5', '5-4', '1-0', '01-5', '*-5', '1-', '-1', '1-99999999999999999999']) {
    t.equal(range(bad), undefined, bad);
  }
});

t.test('property: a file description printed and read is the same', async () => {
  const date = fc.date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true }).map((at) => {
    at.setMilliseconds(0);
    return at;
  });
  const token = fc.string({ unit: fc.constantFrom(...Array.from('abz09-_.')), minLength: 1, maxLength: 12 });
  const description = fc.record(
    {
      selector: fc.record(
        {
          name: fc.string({ unit: 'grapheme', minLength: 1 }),
          size: fc.nat(),
          type: fc.constantFrom('image/png', 'text/plain;charset="utf-8"', 'a/b;n="x \\"y\\" 10%"'),
          hashes: fc.array(
            fc.record({ algorithm: fc.constantFrom('sha-1', 'sha-256'), value: fc.constantFrom('AB:CD', '00') }),
          ),
        },
        { requiredKeys: ['hashes'] },
      ),
      transferId: token,
      disposition: token,
      dates: fc.record({ creation: date, modification: date, read: date }, { requiredKeys: ['creation'] }),
      icon: token.map((id) => `cid:${id}@x`),
      range: fc.oneof(
        fc.nat().map((more) => ({ start: 1 + more })),
        fc.tuple(fc.nat(), fc.nat()).map(([more, length]) => ({ start: 1 + more, stop: 1 + more + length })),
      ),
    },
    { requiredKeys: ['selector'] },
  );
  fc.assert(
    fc.property(description, (file) => {
      const printed = formatMsrpMedia({
        path: parseMsrpPath('msrp://h:1/s;tcp'),
        acceptTypes: new AcceptedTypes(['*']),
        acceptWrappedTypes: new AcceptedTypes([]),
        file,
      });
      t.same(parseMsrpMedia(printed).file, file);
      return true;
    }),
    { numRuns: 200 },
  );
});

t.test('property: a message line printed and read is the same', async () => {
  const token = fc.constantFrom('text/plain', 'text/*', '*', 'message/cpim', 'image/png;x=1');
  const types = fc.uniqueArray(token, { maxLength: 5 }).map((entries) => new AcceptedTypes(entries));
  const description = fc.record(
    {
      path: fc
        .constantFrom('msrp://h:1/s;tcp', 'msrps://[::1]:9/a;tcp msrps://x.invalid:2/b;ws')
        .map((path) => parseMsrpPath(path)),
      acceptTypes: types,
      acceptWrappedTypes: types,
      maxSize: fc.nat(),
      setup: fc.constantFrom('active' as const, 'passive' as const, 'actpass' as const),
      direction: fc.constantFrom('sendonly' as const, 'recvonly' as const, 'inactive' as const),
      chatroom: fc.uniqueArray(fc.constantFrom('nickname', 'private-messages', 'com.example.x'), { maxLength: 3 }),
      cema: fc.boolean(),
      fingerprints: fc.array(
        fc.record({ hash: fc.constantFrom('sha-1', 'sha-256'), value: fc.constantFrom('AA', 'AA:0F') }),
      ),
    },
    { requiredKeys: ['path', 'acceptTypes', 'acceptWrappedTypes'] },
  );
  fc.assert(
    fc.property(description, (own) => {
      const read = parseMsrpMedia(formatMsrpMedia(own));
      t.equal(formatMsrpPath(read.path), formatMsrpPath(own.path));
      t.same(read.acceptTypes.entries, own.acceptTypes.entries);
      t.same(read.acceptWrappedTypes.entries, own.acceptWrappedTypes.entries);
      t.same(
        [read.maxSize, read.setup, read.direction, read.chatroom, read.cema, read.fingerprints],
        [own.maxSize, own.setup, own.direction ?? 'sendrecv', own.chatroom, own.cema ?? false, own.fingerprints ?? []],
      );
      return true;
    }),
    { numRuns: 200 },
  );
});

t.test('property: noise in the attributes is a line or an MsrpError', async () => {
  const name = fc.constantFrom(
    'path',
    'accept-types',
    'max-size',
    'setup',
    'chatroom',
    'fingerprint',
    'file-selector',
    'file-date',
    'file-range',
    'x',
  );
  const value = fc.oneof(
    fc.string(),
    fc.string({ unit: fc.constantFrom(...Array.from('nametypehsiz:"% ;=/*ms0A')) }),
    fc.constant('msrp://h:1/s;tcp'),
  );
  fc.assert(
    fc.property(fc.array(fc.record({ name, value }, { requiredKeys: ['name'] }), { maxLength: 12 }), (attributes) => {
      try {
        parseMsrpMedia({ media: 'message', port: 1, protocol: 'TCP/MSRP', formats: ['*'], attributes });
      } catch (fault) {
        return fault instanceof MsrpError;
      }
      return true;
    }),
    { numRuns: 2000 },
  );
});

t.test('RFC 4975 §9: media types', async (t) => {
  t.same(parseContentType('Text/Plain; Charset="utf8";x=a'), {
    mediaType: 'text/plain',
    parameters: [
      { name: 'charset', value: 'utf8' },
      { name: 'x', value: 'a' },
    ],
  });
  t.equal(parameterOf(parseContentType('text/plain ; charset = "a\\"b" ;'), 'charset'), 'a"b');
  t.equal(parameterOf(parseContentType('text/plain'), 'charset'), undefined);
  t.equal(formatContentType(parseContentType('multipart/mixed; boundary="a b"')), 'multipart/mixed;boundary="a b"');
  for (const bad of ['', 'text', 'text/', '/plain', 'text/plain charset', 'text/plain;"x"']) {
    t.throws(() => parseContentType(bad), { name: 'MsrpError', status: 400 }, bad);
  }
});
