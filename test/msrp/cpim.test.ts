import { readFileSync } from 'node:fs';
import fc from '../fast-check.ts';
import t from 'tap';
import {
  contentOf,
  CPIM_NAMESPACE,
  type CpimMessage,
  cpimValues,
  mimeValue,
  notUnderstood,
  parseCpim,
  parseCpimAddress,
  parseDateTime,
  textOf,
  unescapeCpim,
} from '../../msrp/cpim.ts';
import { type CpimDraft, escapeCpim, formatCpim, formatCpimAddress, formatDateTime } from '../../msrp/cpim-format.ts';
import { MsrpError } from '../../msrp/errors.ts';
import { partsToRead } from '../../msrp/multipart.ts';

const vector = (name: string): Uint8Array => readFileSync(`test/vectors/cpim/${name}.cpim`);
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const cpim = (head: string, mime = 'Content-Type: text/plain', content = 'hi'): Uint8Array =>
  bytes(`${head}\r\n\r\n${mime}\r\n\r\n${content}`);
const printed = (draft: Partial<CpimDraft>): string =>
  new TextDecoder().decode(formatCpim({ to: [], contentType: 'text/plain', content: 'hi', ...draft }));

t.test('RFC 3862 §5.1: the example', async (t) => {
  const original = vector('rfc3862-5.1');
  const message = parseCpim(original);
  t.same(message.from, { name: 'MR SANDERS', uri: 'im:piglet@100akerwood.com' });
  t.same(message.to, [{ name: 'Depressed Donkey', uri: 'im:eeyore@100akerwood.com' }]);
  t.same(message.cc, []);
  t.same(message.dateTime, new Date('2000-12-13T21:40:00Z'));
  t.same(message.subjects, [
    { text: 'the weather will be fine today' },
    { text: "beau temps prevu pour aujourd'hui", language: 'fr' },
  ]);
  t.same(message.require, ['MyFeatures.VitalMessageOption']);
  t.same(cpimValues(message, 'mid:MessageFeatures@id.foo.com', 'WackyMessageOption'), ['Use-silly-font']);
  t.same(
    message.headers.map(({ written }) => written),
    [
      'From',
      'To',
      'DateTime',
      'Subject',
      'Subject',
      'NS',
      'Require',
      'MyFeatures.VitalMessageOption',
      'MyFeatures.WackyMessageOption',
    ],
    'every header in its place',
  );
  t.equal(message.contentType.mediaType, 'text/xml');
  t.equal(mimeValue(message, 'Content-ID'), '<1234567890@foo.com>');
  t.equal(textOf(message), '<body>\r\nHere is the text of my message.\r\n</body>\r\n');
  t.equal(message.bytes, original, 'the very bytes received');
});

t.test('the message of a sipsimple client', async (t) => {
  const message = parseCpim(vector('sipsimple'));
  t.same(message.from, { name: 'alice smith', uri: 'sip:alice@example.org' }, 'display name without quotes');
  t.same(message.dateTime, new Date('2026-01-02T03:04:05.123Z'), 'microseconds');
  t.equal(message.contentType.mediaType, 'text/plain', 'MIME headers with bare LF');
  t.equal(mimeValue(message, 'content-transfer-encoding'), '', 'an empty transfer encoding');
  t.equal(textOf(message), 'Grüße, Bob', 'charset utf8');
});

t.test('RFC 3862 §2.2: lines', async (t) => {
  const bareLf = parseCpim(bytes('From: <sip:a@x>\nTo: <sip:b@x>\n\nContent-Type: text/plain\n\nhi\n'));
  t.equal(bareLf.from?.uri, 'sip:a@x');
  t.equal(textOf(bareLf), 'hi\n');
  t.equal(parseCpim(cpim('from: <sip:a@x>')).from, undefined, 'names have case');
  t.equal(parseCpim(cpim('From:<sip:a@x>  ')).from?.uri, 'sip:a@x', 'blanks are not insisted on');
  t.equal(parseCpim(cpim('X-Long: '.concat('x'.repeat(30_000)))).headers[0]?.value.length, 30_000, 'long lines');
  for (const head of [
    'no header',
    ': x',
    'Fr om: <sip:a@x>',
    'From: <sip:a@x>\u0000',
    'From',
    'From: \u001b<sip:a@x>',
  ]) {
    t.throws(() => parseCpim(cpim(head)), { name: 'MsrpError', status: 400 }, JSON.stringify(head));
  }
  t.throws(() => parseCpim(new Uint8Array([...bytes('From: '), 0xff, ...bytes(' <sip:a@x>\r\n\r\n')])), {
    name: 'MsrpError',
    status: 400,
  });
});

t.test('RFC 3862 §2.3: escapes', async (t) => {
  t.equal(unescapeCpim('\\\\ \\" \\\' \\b\\t\\n\\r \\u0041\\u00e4'), '\\ " \' \b\t\n\r Aä');
  t.equal(unescapeCpim('\\q\\u12'), 'qu12', 'an unknown escape is the character behind the backslash');
  t.equal(unescapeCpim('end\\'), 'end', 'a backslash at the end is ignored');
  t.equal(unescapeCpim('\\ud83d\\ude00'), '😀', 'UCS-2 by halves');
  t.equal(escapeCpim('a\\b\u0001\u007f\r\nä'), 'a\\\\b\\u0001\\u007f\\r\\nä');
});

t.test('RFC 3862 §3.4: namespaces', async (t) => {
  const message = parseCpim(
    cpim(
      'From: <sip:a@x>\r\nNS: widget <http://id.acme.widgets/wily-headers/>\r\nwidget.runner-trap: set\r\n' +
        'undeclared.thing: 1\r\nNS: <urn:other>\r\nrunner-trap: other\r\nSubject: not of RFC 3862\r\nNS: odd\r\n' +
        'NS: tight<urn:tight>\r\ntight.x: y\r\nNS: c <urn:ietf:params:cpim-headers:>\r\nc.Subject: of RFC 3862',
    ),
  );
  t.same(cpimValues(message, 'http://id.acme.widgets/wily-headers/', 'runner-trap'), ['set']);
  t.same(cpimValues(message, 'urn:other', 'runner-trap'), ['other'], 'a default namespace');
  t.same(cpimValues(message, 'urn:tight', 'x'), ['y'], 'the grammar has no blank before the bracket');
  t.same(message.subjects, [{ text: 'of RFC 3862' }]);
  t.equal(message.headers.find(({ written }) => written === 'undeclared.thing')?.namespace, undefined);
  t.same(cpimValues(message, CPIM_NAMESPACE, 'From'), ['<sip:a@x>']);
});

t.test('RFC 3862 §3.5: what must be understood', async (t) => {
  const message = parseCpim(
    cpim(
      'NS: f <urn:f>\r\nRequire: f.Known,f.Strange, Subject\r\nRequire: g.Feature,f.Feature\r\nf.Known: 1\r\n' +
        'f.Strange: 2',
    ),
  );
  t.same(message.require, ['f.Known', 'f.Strange', 'Subject', 'g.Feature', 'f.Feature']);
  t.same(
    notUnderstood(
      message,
      (namespace, name) =>
        namespace === CPIM_NAMESPACE || (namespace === 'urn:f' && (name === 'Known' || name === 'Feature')),
    ),
    ['f.Strange', 'g.Feature'],
  );
});

t.test('RFC 3862 §4.1: addresses', async (t) => {
  const cases: readonly [string, string | undefined, string][] = [
    ['Winnie the Pooh <im:pooh@100akerwood.com>', 'Winnie the Pooh', 'im:pooh@100akerwood.com'],
    ['<im:tigger@100akerwood.com>', undefined, 'im:tigger@100akerwood.com'],
    ['"Zoe \\"Z\\" <x>"<sip:zoe@x>', 'Zoe "Z" <x>', 'sip:zoe@x'],
    ['"Zoe MSRP" <sip:zoe@x>', 'Zoe MSRP', 'sip:zoe@x'],
    ['Zoë <sip:zoe@x;user=phone>', 'Zoë', 'sip:zoe@x;user=phone'],
    ['sip:zoe@x', undefined, 'sip:zoe@x'],
    ['"" <sip:zoe@x>', undefined, 'sip:zoe@x'],
    ['<tel:+15551212>', undefined, 'tel:+15551212'],
    ['<3 Zoe <sip:zoe@x>', '<3 Zoe', 'sip:zoe@x'],
  ];
  for (const [text, name, uri] of cases) {
    t.same(parseCpimAddress(text), name === undefined ? { uri } : { name, uri }, text);
  }
  for (const bad of ['', 'Zoe', '<>', '<zoe>', '<sip:zoe', 'Zoe <sip:a b>', '<sip:a<b>>x<']) {
    t.throws(() => parseCpimAddress(bad), { name: 'MsrpError', status: 400 }, bad);
  }
  for (const two of [
    'Bob <sip:bob@x> <sip:eve@x>',
    '"Bob"<sip:bob@x><sip:eve@x>',
    '"Bob"<sip:bob@x> "Eve"<sip:eve@x>',
  ]) {
    t.throws(() => parseCpimAddress(two), { name: 'MsrpError', status: 400 }, two);
  }
  t.same(
    parseCpim(cpim('To: <sip:a@x>\r\nTo: B <sip:b@x>\r\ncc: <sip:c@x>')).to.map(({ uri }) => uri),
    ['sip:a@x', 'sip:b@x'],
  );
  const mistyped = parseCpim(cpim('From: Zoe <zoe>\r\nTo: <b@x>'));
  t.same([mistyped.from, mistyped.to], [{ uri: '' }, [{ uri: '' }]], 'what is no URI is nobody’s (RFC 7701 §6.2: 404)');
  for (const second of [
    'From: <sip:b@x>',
    'NS: <urn:x>\r\nFrom: <sip:b@x>',
    `NS: c <${CPIM_NAMESPACE}>\r\nc.From: <sip:b@x>`,
  ]) {
    t.throws(() => parseCpim(cpim(`From: <sip:a@x>\r\n${second}`)), { name: 'MsrpError', status: 400 }, 'two authors');
  }
});

t.test('RFC 3862 §4.4: dates', async (t) => {
  const date = (value: string): string | undefined => parseDateTime(value)?.toISOString();
  t.equal(date('2001-02-01T12:16:49-05:00'), '2001-02-01T17:16:49.000Z');
  t.equal(date('2001-02-01t12:16:49.5z'), '2001-02-01T12:16:49.500Z');
  t.equal(date('2016-12-31T23:59:60Z'), '2016-12-31T23:59:59.000Z', 'a leap second');
  t.equal(date('2001-02-01 12:16:49+0100'), '2001-02-01T11:16:49.000Z');
  for (const bad of [
    '',
    'yesterday',
    '99999-01-01T00:00:00Z',
    '2001-13-01T00:00:00Z',
    '2001-01-01T25:00:00Z',
    '+012345-01-01T00:00:00Z',
    '9999-12-31T23:59:59-01:00',
    '0000-01-01T00:00:00+01:00',
  ]) {
    t.equal(date(bad), undefined, bad);
  }
  const message = parseCpim(cpim('DateTime: 99999-01-01T00:00:00Z'));
  t.equal(message.dateTime, undefined, 'a year without meaning harms nobody');
  t.same(cpimValues(message, CPIM_NAMESPACE, 'DateTime'), ['99999-01-01T00:00:00Z']);
  for (const first of ['0000-01-01T00:00:00.000Z', '9999-12-31T23:59:59.999Z'])
    t.equal(formatDateTime(new Date(first)), first);
  for (const none of [new Date('soon'), new Date(Date.UTC(10_000, 0)), new Date(-1, 0)])
    t.throws(() => printed({ dateTime: none }), { name: 'RangeError' }, 'what RFC 3339 cannot tell');
});

t.test('RFC 3862 §2.4 and RFC 2045: the content', async (t) => {
  const content = (mime: string, body = ''): CpimMessage => parseCpim(cpim('To: <sip:a@x>', mime, body));
  t.equal(content('X: y').contentType.mediaType, 'text/plain', 'no Content-Type');
  t.equal(content('Content-Type: ').contentType.mediaType, 'text/plain');
  t.equal(content('content-TYPE:text/html ;\r\n charset=utf-8', '<p>').contentType.parameters.length, 1, 'folded');
  t.equal(
    textOf(content('Content-Type: text/plain\r\nContent-Transfer-Encoding: BASE64', 'R3LDvMOf\r\nZQ==\r\n')),
    'Grüße',
  );
  t.equal(
    textOf(
      content(
        'Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable',
        'Gr=C3=BC=C3=9F=\r\ne =3D 1=\n =zz',
      ),
    ),
    'Grüße = 1 =zz',
  );
  t.equal(
    textOf(
      content('Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable', '=E4'),
    ),
    'ä',
  );
  t.equal(
    textOf(content('Content-Type: text/plain; charset=klingon', 'ä')),
    'ä',
    'an unknown charset is read as UTF-8',
  );
  t.equal(
    textOf(parseCpim(new Uint8Array([...cpim('To: <sip:a@x>', 'Content-Type: text/plain', 'a'), 0xff]))),
    'a\ufffd',
  );
  t.throws(() => contentOf(content('Content-Transfer-Encoding: base64', '!')), { name: 'MsrpError', status: 400 });
  t.throws(() => content('Content-Type: text'), { name: 'MsrpError', status: 400 });
  t.throws(() => content('no header'), { name: 'MsrpError', status: 400 });
  const nested = content('Content-Type: message/cpim', 'From: <sip:x@x>\r\n\r\nContent-Type: message/cpim\r\n\r\n');
  t.equal(nested.contentType.mediaType, 'message/cpim', 'nested objects stay bytes');
  const binary = Uint8Array.from([0, 255, 13, 10, 13, 10, 0]);
  t.same([...parseCpim(formatCpim({ to: [], contentType: 'image/png', content: binary })).content], [...binary]);
  t.equal(
    parseCpim(bytes('To: <sip:a@x>\r\n\r\nContent-Type: text/plain')).content.length,
    0,
    'an end before the content',
  );
  t.equal(parseCpim(new Uint8Array()).headers.length, 0);
});

t.test('bounds: headers and their octets', async (t) => {
  const many = (count: number): Uint8Array => cpim(Array.from({ length: count }, (_, at) => `X-${at}: y`).join('\r\n'));
  t.equal(parseCpim(many(400)).headers.length, 400);
  t.throws(() => parseCpim(many(10_000)), { name: 'MsrpError', status: 413 });
  t.throws(() => parseCpim(many(5), { maxHeaders: 4 }), { name: 'MsrpError', status: 413 });
  t.throws(() => parseCpim(cpim('To: <sip:a@x>', 'X: y\r\n'.repeat(501).trim())), { name: 'MsrpError', status: 413 });
  t.throws(() => parseCpim(cpim(`X: ${'y'.repeat(70_000)}`)), { name: 'MsrpError', status: 413 });
  t.throws(
    () => parseCpim(new Uint8Array(5_000_000).fill(65)),
    { name: 'MsrpError', status: 413 },
    'no line end at all',
  );
  t.equal(parseCpim(cpim('X: y'), { maxHeadBytes: 40 }).headers.length, 1);
});

t.test('RFC 3862: printing', async (t) => {
  t.equal(
    printed({
      from: { name: 'Zoe MSRP', uri: 'sip:zoe@x' },
      to: [{ uri: 'sip:room@x' }],
      cc: [{ name: 'Ünal', uri: 'sip:u@x' }],
      dateTime: new Date('2026-01-02T03:04:05.678Z'),
      subjects: [{ text: 'a\nb' }, { text: 'ß', language: 'de' }],
      extensions: [
        { namespace: 'urn:a', prefix: 'a', name: 'One', value: '1' },
        { namespace: 'urn:a', prefix: 'a', name: 'Two', value: 'x\r\nFrom: <sip:evil@x>' },
        { namespace: 'urn:b', prefix: 'b', name: 'Three', value: '' },
      ],
      require: ['a.One'],
      contentType: 'text/plain;charset=utf-8',
      mimeHeaders: [{ name: 'Content-Disposition', value: 'notification\r\nX: y' }],
      content: 'Grüße',
    }),
    [
      'From: Zoe MSRP <sip:zoe@x>',
      'To: <sip:room@x>',
      'cc: Ünal <sip:u@x>',
      'DateTime: 2026-01-02T03:04:05.678Z',
      'Subject: a\\nb',
      'Subject:;lang=de ß',
      'NS: a <urn:a>',
      'a.One: 1',
      'a.Two: x\\r\\nFrom: <sip:evil@x>',
      'NS: b <urn:b>',
      'b.Three: ',
      'Require: a.One',
      '',
      'Content-Type: text/plain;charset=utf-8',
      'Content-Disposition: notification X: y',
      '',
      'Grüße',
    ].join('\r\n'),
  );
});

t.test('RFC 3862 §2.2: whatever is printed stays in its header, without blanks at the ends of its line', async (t) => {
  const evil = ' a>\r\nFrom: <sip:evil@x> ';
  const text = printed({
    from: { name: evil, uri: evil },
    subjects: [{ text: evil, language: evil }],
    extensions: [{ namespace: evil, prefix: evil, name: evil, value: evil }],
    require: [evil],
    contentType: evil,
    mimeHeaders: [{ name: evil, value: evil }],
  });
  const lines = text.split('\r\n');
  t.equal(lines.length, 5 + 1 + 2 + 2, 'headers, a blank line, MIME headers, a blank line and the content');
  t.same(
    lines.filter((line, n) => n > 0 && line.startsWith('From')),
    [],
  );
  t.same(
    lines.slice(0, 5).filter((line) => /^\s|\s$/.test(line)),
    [],
  );
});

t.test('RFC 3862 §3.6: display names for every kind of parser', async (t) => {
  const uri = 'sip:z@x';
  const all = (name: string): string[] =>
    (['grammar', 'plain', 'none'] as const).map((names) => formatCpimAddress({ name, uri }, { names }));
  t.same(all('Zoe'), ['Zoe <sip:z@x>', 'Zoe <sip:z@x>', '<sip:z@x>']);
  t.same(
    all('Zoe, "Dr."'),
    ['"Zoe, \\"Dr.\\""<sip:z@x>', 'Zoe Dr. <sip:z@x>', '<sip:z@x>'],
    'no blank between quote and bracket',
  );
  t.same(all(' <> '), ['" <> "<sip:z@x>', '<sip:z@x>', '<sip:z@x>']);
  t.equal(formatCpimAddress({ uri: 'sip:a> <b\r\n@x' }), '<sip:a%3E%20%3Cb%0D%0A@x>', 'a URI cannot break out');
});

t.test('property: what is printed is read back', async () => {
  const text = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: 'binary-ascii' }),
    fc.string({ unit: fc.constantFrom(...Array.from('\\"\'<>;:. \t\r\nu0041nä😀')) }),
  );
  const uri = fc.webUrl().map((url) => url.replace(/\s/g, ''));
  const address = fc.record(
    { name: text.map((name) => name.trim()).filter((name) => name !== ''), uri },
    { requiredKeys: ['uri'] },
  );
  const draft = fc.record(
    {
      from: address,
      to: fc.array(address, { maxLength: 3 }),
      cc: fc.array(address, { maxLength: 2 }),
      dateTime: fc.date({ min: new Date(0), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }),
      subjects: fc.array(
        fc.record(
          { text: text.map((each) => each.trim()), language: fc.constantFrom('en', 'pt-BR') },
          { requiredKeys: ['text'] },
        ),
        { maxLength: 3 },
      ),
      contentType: fc.constantFrom('text/plain', 'text/plain;charset=utf-8', 'image/png'),
      content: fc.uint8Array({ maxLength: 50 }),
    },
    { requiredKeys: ['to', 'contentType', 'content'] },
  );
  fc.assert(
    fc.property(draft, (given) => {
      const read = parseCpim(formatCpim(given));
      t.same(
        [read.from, read.to, read.cc, read.dateTime, read.subjects],
        [given.from, given.to, given.cc ?? [], given.dateTime, given.subjects ?? []],
      );
      t.same([...read.content], [...given.content]);
      return true;
    }),
    { numRuns: 500 },
  );
});

t.test('property: noise is a message or an MsrpError, and its bytes stay', async () => {
  const piece = fc.constantFrom(
    'From: ',
    '<sip:a@x>',
    '\r\n',
    '\n',
    '\r\n\r\n',
    'NS: a <urn:a>',
    'a.b: ',
    '\\',
    '"',
    ':',
    ';lang=',
    'Content-Type: ',
    'text/plain',
    'charset=',
    '\u0000',
    'DateTime: ',
    '2001-01-01T00:00:00Z',
    'Require: ',
    ',',
    ' ',
    'ä',
  );
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.array(piece, { maxLength: 40 }).map((pieces) => bytes(pieces.join(''))),
  );
  fc.assert(
    fc.property(noise, (input) => {
      const before = [...input].join();
      try {
        const message = parseCpim(input);
        textOf(message);
        return message.bytes === input && [...input].join() === before;
      } catch (fault) {
        return fault instanceof MsrpError;
      }
    }),
    { numRuns: 3000 },
  );
});

t.test('RFC 2046 §5.1, RFC 4975 §14.3: what of a multipart people are to read', async (t) => {
  const multi = (type: string, ...parts: readonly string[]): Uint8Array => {
    const content = parts.map((part) => `--b\r\n${part}\r\n`).join('');
    return cpim('To: <im:a@example.com>', `Content-Type: ${type};boundary=b`, `preamble\r\n${content}--b--`);
  };
  const read = (message: Uint8Array): string[] => partsToRead(parseCpim(message)).map((part) => textOf(part));
  const [plain, html] = ['Content-Type: text/plain\r\n\r\nplain', 'Content-Type: text/html\r\n\r\n<p>html'];
  t.same(read(multi('multipart/mixed', plain, '\r\nno headers', html)), ['plain', 'no headers', '<p>html']);
  t.same(read(multi('multipart/alternative', html, plain, 'Content-Type: a/b\r\n\r\nbest')), ['plain']);
  t.same(read(multi('multipart/alternative', 'Content-Type: a/b\r\n\r\nworst', html)), ['<p>html'], 'else the last');
  t.same(read(multi('multipart/signed', plain, 'Content-Type: a/signature\r\n\r\nxyz')), ['plain']);
  t.same(read(multi('multipart/related', html, plain)), ['<p>html'], 'the root');
  t.same(read(multi('text/plain', plain)).length, 1, 'no multipart');
  const nested = 'Content-Type: multipart/mixed;boundary=c\r\n\r\n--c\r\n\r\ninner\r\n--c--';
  t.same(read(multi('multipart/mixed', nested, plain)), ['inner', 'plain']);

  const whole = (message: Uint8Array): boolean => {
    const read = parseCpim(message);
    return partsToRead(read)[0] === read;
  };
  t.ok(whole(multi('multipart/mixed')), 'without parts');
  t.ok(whole(multi('multipart/mixed', ...Array.from({ length: 33 }, () => plain))), 'with more than anybody writes');
  t.ok(whole(cpim('To: <im:a@example.com>', 'Content-Type: multipart/mixed', '--b--')), 'without a boundary');
  t.ok(whole(cpim('To: <im:a@example.com>', 'Content-Type: multipart/mixed;boundary=b', '--b\r\n\r\nno end')));
  const deep = Array.from({ length: 5000 }, () => '--b\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n').join('');
  t.ok(whole(cpim('To: <im:a@example.com>', 'Content-Type: multipart/mixed;boundary=b', deep)), 'MIME within MIME');
});
