import fc from '../fast-check.ts';
import t from 'tap';
import { type CpimDraft, formatCpim, imdnExtensions } from '../../msrp/index.ts';
import type { Said } from '../../src/conference/events.ts';
import { messageId, userUri } from '../../src/conference/ids.ts';
import { plainTextOf } from '../../src/chat/plain-text.ts';
import { Quotes } from '../../src/chat/quotes.ts';

const LINPHONE = { namespace: 'tag:linphone.org,2020:params:groupchat', prefix: 'linphone' };
const zoe = userUri('sip:zoe@example.org');

function said(draft: Partial<CpimDraft>, more: Partial<Said> = {}): Said {
  const cpim = formatCpim({
    from: { uri: zoe },
    to: [{ uri: 'sip:room@example.org' }],
    contentType: 'text/plain;charset=utf-8',
    content: 'hello',
    ...draft,
  });
  const id = messageId('m1');
  return {
    type: 'said',
    at: 0,
    by: zoe,
    messageId: id,
    audience: { to: 'everyone' },
    contentType: 'message/cpim',
    cpim,
    ...more,
  };
}

const plain = (draft: Partial<CpimDraft>, quotes: Readonly<Record<string, string>> = {}): string | undefined =>
  plainTextOf(said(draft), (id) => quotes[id])?.text;

t.test('what clients mark, in words for peers that show plain text', async (t) => {
  t.equal(plain({}), 'hello');
  const reply = {
    extensions: [
      { ...LINPHONE, name: 'Replying-To-Message-ID', value: 'id-1' },
      { ...LINPHONE, name: 'Replying-To-Sender', value: '"Yan" <sip:yan@example.org;gr=abc>' },
    ],
    content: 'me too',
  };
  t.equal(plain(reply, { 'id-1': 'I like tea' }), '> I like tea\nme too', 'a reply quotes');
  t.equal(plain(reply), '(to yan) me too', 'or says to whom, where the other is forgotten');
  const reaction = {
    extensions: [{ ...LINPHONE, name: 'In-Reply-To', value: 'id-1' }],
    mimeHeaders: [{ name: 'Content-Disposition', value: 'Reaction' }],
    content: '👍',
  };
  t.equal(plain(reaction, { 'id-1': 'I like tea' }), 'reacts with 👍 to “I like tea”');
  t.equal(plain(reaction), 'reacts with 👍');
  const mail = [
    { name: 'Content-Disposition', value: 'reaction' },
    { name: 'In-Reply-To', value: 'id-1' },
  ];
  t.equal(plain({ mimeHeaders: mail, content: '👎' }, { 'id-1': 'tea' }), 'reacts with 👎 to “tea”', 'RFC 9078');
  const bracketed = mail.map(({ name, value }) => ({ name, value: value === 'id-1' ? '<id-1>' : value }));
  t.equal(plain({ mimeHeaders: bracketed, content: '👎' }, { 'id-1': 'tea' }), 'reacts with 👎 to “tea”', 'as in mail');
  const forwarded = {
    namespace: 'urn:ietf:params:imdn',
    prefix: 'imdn',
    name: 'Forward-Info',
    value: 'sip:yan@example.org',
  };
  t.equal(plain({ extensions: [forwarded] }), '(passed on) hello');
});

t.test('files and places in a line', async (t) => {
  const attached = (value: string): readonly { name: string; value: string }[] => [
    { name: 'Content-Disposition', value },
  ];
  const png = { contentType: 'image/png', content: new Uint8Array(3000) };
  t.equal(plain(png), '[image/png, 3 KiB]');
  t.equal(
    plain({ ...png, mimeHeaders: attached('attachment; filename="my cat.png"') }),
    '[my cat.png, image/png, 3 KiB]',
  );
  t.equal(plain({ mimeHeaders: attached('attachment;filename=a.txt;size=5') }), '[a.txt, text/plain, 5 bytes]');
  const ft = (inside: string): string | undefined =>
    plain({
      contentType: 'application/vnd.gsma.rcs-ft-http+xml',
      content: `<?xml version="1.0"?><file xmlns="urn:gsma:params:xml:ns:rcs:rcs:fthttp">${inside}</file>`,
    });
  const info =
    '<file-info type="file"><file-size>2097152</file-size><file-name>cat.jpg</file-name>' +
    '<content-type>image/jpeg</content-type><data url="https://files.example.org/x?a=1&amp;b=2" until="2026-01-01T00:00:00Z"/></file-info>';
  const preview = '<file-info type="thumbnail"><data url="https://files.example.org/t" until=""/></file-info>';
  t.equal(ft(preview + info), '[cat.jpg, image/jpeg, 2.0 MiB: https://files.example.org/x?a=1&b=2]');
  t.match(ft('<file-info type="file"><data url="javascript:alert(1)"/></file-info>'), /^\[application\/vnd\.gsma/);
  t.match(ft(''), /^\[application\/vnd\.gsma/);
  t.equal(
    plain({
      contentType: 'application/vnd.gsma.rcspushlocation+xml',
      content:
        '<rcsenvelope xmlns="urn:gsma:params:xml:ns:rcs:rcs:geolocation" entity="tel:+1"><rcspushlocation id="a" label="home">' +
        '<gp:geopriv xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10"><gp:location-info><gs:Circle xmlns:gs="x">' +
        '<gml:pos xmlns:gml="y">60.17 24.94</gml:pos></gs:Circle></gp:location-info></gp:geopriv></rcspushlocation></rcsenvelope>',
    }),
    '[a place: home, 60.17, 24.94]',
  );
});

t.test('quotations are short, bounded, and never of what was private', async (t) => {
  const quotes = new Quotes(2);
  const note = (id: string, content: string, more: Partial<Said> = {}): void => {
    quotes.note(said({ content, extensions: imdnExtensions({ messageId: id }) }, { imdnId: messageId(id), ...more }));
  };
  note('a', 'one\n two');
  t.equal(quotes.of('a'), 'one two');
  note('b', 'x'.repeat(100));
  t.equal(quotes.of('b')?.length, 60);
  note('secret', 'psst', { audience: { to: 'user', user: zoe } });
  t.equal(quotes.of('secret'), undefined);
  note('large', 'x'.repeat(10_000));
  t.equal(quotes.of('large'), undefined);
  note('c', 'three');
  t.equal(quotes.of('a'), undefined, 'the oldest is forgotten');
  quotes.note(said({}));
  quotes.note(said({ contentType: 'image/png' }, { imdnId: messageId('p') }));
  t.equal(quotes.of('p'), undefined);
  quotes.note(said({}, { imdnId: messageId('broken'), cpim: new TextEncoder().encode('no cpim') }));
  t.equal(quotes.of('broken'), undefined);
});

t.test('property: whatever is marked, there is a text or none, and never a fault', async () => {
  const name = fc.constantFrom(
    'Replying-To-Message-ID',
    'Replying-To-Sender',
    'In-Reply-To',
    'Forward-Info',
    'Ephemeral-Time',
  );
  const extension = fc.record({
    namespace: fc.constantFrom(LINPHONE.namespace, 'urn:ietf:params:imdn'),
    prefix: fc.constant('p'),
    name,
    value: fc.string(),
  });
  const contentType = fc.constantFrom(
    'text/plain',
    'text/html',
    'application/vnd.gsma.rcs-ft-http+xml',
    'application/vnd.gsma.rcspushlocation+xml',
  );
  const xml = fc.array(
    fc.constantFrom(
      '<file>',
      '</file>',
      '<file-info type="file">',
      '<data url="https://x"/>',
      '<rcsenvelope>',
      '<rcspushlocation>',
      '<pos>',
      '1',
      '&#0;',
      '<',
    ),
  );
  const content = fc.oneof(
    fc.string(),
    xml.map((pieces) => pieces.join('')),
  );
  const disposition = fc.constantFrom('reaction', 'attachment; filename="x"', 'attachment; filename=', ';;', '');
  fc.assert(
    fc.property(
      fc.array(extension, { maxLength: 4 }),
      contentType,
      content,
      disposition,
      (extensions, type, body, value) => {
        const text = plain({
          extensions,
          contentType: type,
          content: body,
          mimeHeaders: [{ name: 'Content-Disposition', value }],
        });
        return text === undefined || typeof text === 'string';
      },
    ),
    { numRuns: 500 },
  );
});
