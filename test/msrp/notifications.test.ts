import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from '../fast-check.ts';
import t from 'tap';
import { parseCpim } from '../../msrp/cpim.ts';
import { formatCpim } from '../../msrp/cpim-format.ts';
import { MsrpError } from '../../msrp/errors.ts';
import { formatAggregate, isAggregate, parseAggregate } from '../../msrp/imdn-aggregate.ts';
import { type Disposition, formatImdn, imdnExtensions, imdnHeadersOf, isImdn, parseImdn } from '../../msrp/imdn.ts';
import { formatIsComposing, parseIsComposing } from '../../msrp/iscomposing.ts';
import { parseXml } from '../../msrp/xml.ts';
import { run, skipWithout } from '../interop/programs.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const vector = (name: string): Uint8Array => readFileSync(`test/vectors/cpim/${name}.cpim`);
const imdn = (inside: string): ReturnType<typeof parseImdn> =>
  parseImdn(bytes(`<?xml version="1.0"?><imdn xmlns="urn:ietf:params:xml:ns:imdn">${inside}</imdn>`));
const composing = (inside: string): ReturnType<typeof parseIsComposing> =>
  parseIsComposing(bytes(`<i:isComposing xmlns:i="urn:ietf:params:xml:ns:im-iscomposing">${inside}</i:isComposing>`));

t.test('RFC 5438 §7.1.1.3: a message that wants to know', async (t) => {
  const message = parseCpim(vector('rfc5438-7.1.1.3'));
  t.same(imdnHeadersOf(message), {
    messageId: '34jk324j',
    dispositionNotification: ['positive-delivery', 'negative-delivery'],
    recordRoute: [],
    route: [],
  });
  t.notOk(isImdn(message));
});

t.test('RFC 5438 §6.1: any prefix will do', async (t) => {
  const head =
    'NS: other <urn:ietf:params:imdn>\r\nother.Message-ID: 1 \r\nother.Disposition-Notification: display;x=1 , ,new\r\n' +
    'other.Original-To: Bob <im:bob@x>\r\nother.IMDN-Record-Route: <sip:a@x>\r\nother.IMDN-Record-Route: <sip:b@x>\r\n' +
    'other.IMDN-Route: <sip:c@x>\r\nimdn.Message-ID: undeclared';
  const message = parseCpim(bytes(`${head}\r\n\r\nContent-Type: text/plain\r\n\r\nhi`));
  t.same(imdnHeadersOf(message), {
    messageId: '1',
    dispositionNotification: ['display', 'new'],
    originalTo: { name: 'Bob', uri: 'im:bob@x' },
    recordRoute: [{ uri: 'sip:a@x' }, { uri: 'sip:b@x' }],
    route: [{ uri: 'sip:c@x' }],
  });
  const bad = parseCpim(
    bytes('NS: i <urn:ietf:params:imdn>\r\ni.IMDN-Route: nowhere\r\n\r\nContent-Type: a/b\r\n\r\n'),
  );
  t.throws(() => imdnHeadersOf(bad), { name: 'MsrpError', status: 400 });
});

t.test('RFC 5438 §6: headers printed and read are the same', async (t) => {
  const headers = {
    messageId: 'abc+1',
    dispositionNotification: ['positive-delivery', 'display'],
    originalTo: { name: 'Bob B', uri: 'im:bob@x' },
    recordRoute: [{ uri: 'sip:a@x' }, { uri: 'sip:b@x' }],
    route: [{ uri: 'sip:c@x' }],
  };
  const draft = { to: [], contentType: 'text/plain', content: '', extensions: imdnExtensions(headers) };
  t.same(imdnHeadersOf(parseCpim(formatCpim(draft))), headers);
  t.same(imdnExtensions({}), []);
});

t.test('RFC 5438 §7.2.1.1: a delivery notification', async (t) => {
  const message = parseCpim(vector('rfc5438-7.2.1.1'));
  t.ok(isImdn(message));
  t.same(parseImdn(message.content), {
    messageId: '34jk324j',
    dateTime: '2008-04-04T12:16:49-05:00',
    recipientUri: 'im:bob@example.com',
    originalRecipientUri: 'im:bob@example.com',
    disposition: { kind: 'delivery', status: 'delivered' },
  });
});

t.test('RFC 5438 §11.1: what a notification may hold', async (t) => {
  t.same(
    imdn('<message-id>1</message-id><display-notification><status><displayed/></status></display-notification>')
      .disposition,
    {
      kind: 'display',
      status: 'displayed',
    },
  );
  t.equal(
    imdn('<message-id>1</message-id><subject>a &amp; b &#228;&#xE4;<![CDATA[ <c> &amp;]]></subject>').subject,
    'a & b ää <c> &amp;',
  );
  t.equal(imdn('<message-id>1</message-id>').disposition, undefined);
  t.equal(
    imdn(
      '<message-id>1</message-id><delivery-notification><status><x:delivered xmlns:x="urn:x"/></status></delivery-notification>',
    ).disposition,
    undefined,
    'a status of another namespace is an extension',
  );
  const bad = ['', '<message-id/>', '<message-id xmlns="urn:x">1</message-id>'];
  for (const each of bad) t.throws(() => imdn(each), { name: 'MsrpError', status: 400 }, each);
  t.throws(() => parseImdn(bytes('<imdn><message-id>1</message-id></imdn>')), { name: 'MsrpError', status: 400 });
});

t.test('RFC 5438 §11: notifications printed and read are the same', async () => {
  const text = fc.string({ unit: 'grapheme' }).map((each) => each.replace(/[\p{Cc}\ufffe\uffff]/gu, '').trim());
  const disposition = fc.constantFrom<Disposition | undefined>(
    { kind: 'delivery', status: 'failed' },
    { kind: 'processing', status: 'stored' },
    { kind: 'display', status: 'error' },
    undefined,
  );
  fc.assert(
    fc.property(
      fc.record(
        {
          messageId: text.filter((each) => each !== ''),
          dateTime: text,
          recipientUri: text,
          originalRecipientUri: text,
          subject: text,
          disposition,
        },
        { requiredKeys: ['messageId', 'dateTime', 'disposition'] },
      ),
      (given) => {
        const { recipientUri = given.originalRecipientUri, originalRecipientUri = given.recipientUri } = given;
        const uris = recipientUri === undefined ? {} : { recipientUri, originalRecipientUri };
        t.same(parseImdn(bytes(formatImdn(given))), { ...given, ...uris });
        return true;
      },
    ),
    { numRuns: 200 },
  );
});

t.test(
  'RFC 5438 §11.1.9, RFC 3994 §6.1: what is printed is valid by their schemas',
  { skip: skipWithout('xmllint') },
  async (t) => {
    const text = 'a<&>"\u00e9\u0001]]>';
    const dateTime = '2008-04-04T12:16:49-05:00';
    const [delivery, processing, display] = [
      (['delivered', 'failed', 'forbidden', 'error'] as const).map((status) => ({ kind: 'delivery', status }) as const),
      (['processed', 'stored', 'forbidden', 'error'] as const).map(
        (status) => ({ kind: 'processing', status }) as const,
      ),
      (['displayed', 'forbidden', 'error'] as const).map((status) => ({ kind: 'display', status }) as const),
    ];
    const about = { messageId: text, dateTime };
    const uri = 'sip:a@b.example;x=1';
    const folder = t.testdir();
    const validate = async (schema: readonly string[], documents: readonly string[]): Promise<void> => {
      const files = documents.map((_, n) => join(folder, `${n}.xml`));
      files.forEach((file, n) => writeFileSync(file, documents[n] ?? ''));
      const { code, output } = await run('xmllint', ['--nonet', '--noout', ...schema, ...files]);
      t.equal(code, 0, output);
    };
    await validate(
      ['--relaxng', 'test/vectors/imdn.rng'],
      [
        ...[...delivery, ...processing, ...display, undefined].map((disposition) => ({ ...about, disposition })),
        { ...about, disposition: undefined, recipientUri: uri },
        { ...about, disposition: undefined, originalRecipientUri: uri },
        { ...about, disposition: undefined, recipientUri: uri, originalRecipientUri: 'im:c@d', subject: text },
      ].map(formatImdn),
    );
    await validate(
      ['--schema', 'test/vectors/im-iscomposing.xsd'],
      [
        formatIsComposing({ state: 'idle' }),
        formatIsComposing({ state: 'active', lastActive: new Date(0), contentType: text, refresh: 90 }),
      ],
    );
  },
);

t.test('RFC 5438 §8.3: notifications together, as the example has them', async (t) => {
  const message = parseCpim(vector('rfc5438-8.3'));
  t.ok(isAggregate(message));
  t.notOk(isImdn(message));
  t.same(
    parseAggregate(message).map(({ messageId, recipientUri, disposition }) => [messageId, recipientUri, disposition]),
    [
      ['34jk324j', 'im:bob@example.com', { kind: 'delivery', status: 'delivered' }],
      ['34jk324j', 'im:bob@example.com', { kind: 'display', status: 'displayed' }],
    ],
  );
});

const aggregate = (contentType: string, content: string | Uint8Array, more = ''): ReturnType<typeof parseCpim> => {
  const head = bytes(`\r\nContent-Type: ${contentType}\r\nContent-Disposition: notification\r\n${more}\r\n`);
  const rest = typeof content === 'string' ? bytes(content) : content;
  return parseCpim(new Uint8Array([...head, ...rest]));
};

t.test('RFC 5438 §8.3, RFC 2046 §5.1: notifications put together and read are the same', async (t) => {
  const given = ['b', 'd'].map((messageId) => ({
    messageId,
    dateTime: '',
    recipientUri: `sip:${messageId}@x`,
    originalRecipientUri: 'sip:list@x',
    disposition: { kind: 'display', status: 'displayed' } as const,
  }));
  const { contentType, content } = formatAggregate(given.map((each) => bytes(formatImdn(each))));
  t.same(parseAggregate(aggregate(contentType, content)), given);
  const text = new TextDecoder().decode(content);
  t.match(text, /^--(\S+)\r\n.*\r\n--\1--\r\n$/s);
  for (const each of given) t.ok(text.includes(`\r\n\r\n${formatImdn(each)}\r\n--`), 'octets unchanged');
});

t.test('RFC 2046 §5.1.1: what is no multipart of notifications', async (t) => {
  const part = `Content-Type: message/imdn+xml\n\n${formatImdn({ messageId: '1', dateTime: '', disposition: undefined })}`;
  const mixed = (content: string, boundary = 'b'): ReturnType<typeof parseAggregate> =>
    parseAggregate(aggregate(`multipart/mixed;boundary=${boundary}`, content));
  t.equal(mixed(`a word before\n--b\n${part}\n--b--\na word behind`).length, 1, 'bare line ends, prologue, epilogue');
  t.equal(mixed(`--b\nContent-Type: text/plain\n\nhi\n--b  \n${part}\n--b--`).length, 1, 'another type');
  t.equal(mixed(`--b\nX: y\n\n--bb\nx--b\n--b\n${part}\n--b--`).length, 1, 'what only looks like a boundary');
  t.equal(mixed('--b--').length, 0);
  for (const each of ['', 'hi', '--c--', `--b\n${part}`])
    t.throws(() => mixed(each), { name: 'MsrpError', status: 400 }, each);
  t.throws(() => mixed('--b--', '""'), { name: 'MsrpError', status: 400 }, 'no boundary');
  t.throws(
    () => mixed(`--b\nContent-Type: message/imdn+xml\n\n<imdn/>\n--b--`),
    { name: 'MsrpError', status: 400 },
    'no notification',
  );
  t.throws(() => mixed(`${'--b\n\n'.repeat(1002)}--b--`), { name: 'MsrpError', status: 413 }, 'too many parts');
  const other = bytes('\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n--b--');
  t.notOk(isAggregate(parseCpim(other)), 'not said to be a notification');
  t.equal(
    parseAggregate(
      aggregate(
        'multipart/mixed;boundary=b',
        Buffer.from(`--b\n${part}\n--b--`).toString('base64'),
        'Content-Transfer-Encoding: base64\r\n',
      ),
    ).length,
    1,
  );
});

t.test('RFC 3994 §5: the examples', async (t) => {
  const first = `<?xml version="1.0" encoding="UTF-8"?>
   <isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"
   xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
   xsi:schemaLocation="urn:ietf:params:xml:ns:im-composing
   iscomposing.xsd">
     <state>active</state>
     <contenttype>text/plain</contenttype>
     <refresh>90</refresh>
   </isComposing>`;
  t.same(parseIsComposing(bytes(first)), { state: 'active', contentType: 'text/plain', refresh: 90 });
  t.same(
    composing(
      '<i:state>idle</i:state><i:lastactive>2003-01-27T10:43:00Z</i:lastactive><i:contenttype>audio</i:contenttype>',
    ),
    {
      state: 'idle',
      lastActive: new Date('2003-01-27T10:43:00Z'),
      contentType: 'audio',
    },
  );
});

t.test('RFC 3994 §3.5: extensions and nonsense', async (t) => {
  t.equal(composing('<i:state>thinking</i:state><x xmlns="urn:x"/>').state, 'idle', 'an unknown state is idle');
  t.equal(composing('<i:state>active</i:state><i:refresh>-1</i:refresh>').refresh, undefined);
  t.equal(composing('<i:state>active</i:state><i:lastactive>soon</i:lastactive>').lastActive, undefined);
  t.throws(() => formatIsComposing({ state: 'idle', lastActive: new Date('soon') }), { name: 'RangeError' });
  t.throws(() => composing(''), { name: 'MsrpError', status: 400 });
  t.throws(() => parseIsComposing(bytes('<isComposing/>')), { name: 'MsrpError', status: 400 });
  const status = { state: 'active', lastActive: new Date(0), contentType: 'text/plain', refresh: 60 } as const;
  t.same(parseIsComposing(bytes(formatIsComposing(status))), status);
  t.same(parseIsComposing(bytes(formatIsComposing({ state: 'idle' }))), { state: 'idle' });
});

t.test('XML bombs and noise are MsrpErrors', async (t) => {
  const faulty = (text: string | Uint8Array, status: number): void => {
    t.throws(() => parseXml(typeof text === 'string' ? bytes(text) : text), { name: 'MsrpError', status });
  };
  faulty('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', 400);
  faulty('<a>'.repeat(40) + '</a>'.repeat(40), 400);
  faulty(`<a>${'x'.repeat(70_000)}</a>`, 413);
  faulty('', 400);
  faulty('no xml', 400);
  faulty(Uint8Array.from([60, 97, 62, 255, 60, 47, 97, 62]), 400);
  const piece = fc.constantFrom(
    '<a>',
    '</a>',
    '<b/>',
    '&amp;',
    '&#xffffffff;',
    '<![CDATA[',
    ']]>',
    '<!--',
    '-->',
    '<?x?>',
    ' x="y"',
    '<__proto__>',
    '<constructor/>',
    'xmlns:',
    '>',
    '<',
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 20 }).map((pieces) => `<a>${pieces.join('')}</a>`),
      (text) => {
        try {
          return typeof parseXml(bytes(text)).name === 'string';
        } catch (fault) {
          return fault instanceof MsrpError;
        }
      },
    ),
    { numRuns: 2000 },
  );
});
