import t from 'tap';
import { formatRecipientHistory, parseResourceLists, type Recipient } from '../../src/conference/resource-lists.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

// RFC 5364 §6, figure 3.
const FIGURE_3 = `<?xml version="1.0" encoding="UTF-8"?>
<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists" xmlns:cp="urn:ietf:params:xml:ns:copycontrol">
  <list>
    <entry uri="sip:bill@example.com" cp:copyControl="to" />
    <entry uri="sip:randy@example.net" cp:copyControl="to" cp:anonymize="true"/>
    <entry uri="sip:eddy@example.com" cp:copyControl="to" cp:anonymize="true"/>
    <entry uri="sip:joe@example.org" cp:copyControl="cc" />
    <entry uri="sip:carol@example.net" cp:copyControl="cc" cp:anonymize="true"/>
    <entry uri="sip:ted@example.net" cp:copyControl="bcc" />
    <entry uri="sip:andy@example.com" cp:copyControl="bcc" />
  </list>
</resource-lists>`;

function parsed(text: string): readonly Recipient[] {
  const list = parseResourceLists(bytes(text));
  if ('refused' in list) throw new Error(list.reason);
  return list;
}

t.test('RFC 5364 §6: the recipients of figure 3, and the history of figure 4 made from them', async (t) => {
  const list = parsed(FIGURE_3);
  t.strictSame(
    list.map((one) => one.uri.slice(4, one.uri.indexOf('@'))),
    ['bill', 'randy', 'eddy', 'joe', 'carol', 'ted', 'andy'],
  );
  const history = formatRecipientHistory(list);
  t.notMatch(history, /ted|andy|randy|eddy|carol/, 'blind and anonymous recipients are not named');
  t.match(history, /<entry uri="sip:bill@example.com" cp:copyControl="to"\/>/);
  t.match(history, /<entry uri="sip:anonymous@anonymous.invalid" cp:copyControl="to" cp:count="2"\/>/);
  t.match(history, /<entry uri="sip:anonymous@anonymous.invalid" cp:copyControl="cc" cp:count="1"\/>/);
});

t.test('RFC 5364 §4: no copyControl is bcc; one recipient once, under its most open mark', async (t) => {
  const list =
    parsed(`<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists" xmlns:c="urn:ietf:params:xml:ns:copycontrol"><list>
    <entry uri="sip:a@x"/><entry uri="sip:b@x" c:copyControl="cc"/><entry uri="sip:a@x" c:copyControl="to"/></list></resource-lists>`);
  t.strictSame(list, [
    { uri: 'sip:a@x', copyControl: 'to', anonymize: false },
    { uri: 'sip:b@x', copyControl: 'cc', anonymize: false },
  ]);
});

t.test('RFC 4826 §3: prefixed names, inner lists, display names', async (t) => {
  const list =
    parsed(`<p1:resource-lists xmlns:p1="urn:ietf:params:xml:ns:resource-lists"><p1:list><p1:entry uri="sip:a@x">
    <p1:display-name>Zo&#235; &amp; Co</p1:display-name></p1:entry><p1:list><p1:entry uri="sip:b@x"/></p1:list></p1:list></p1:resource-lists>`);
  t.strictSame(
    list.map((one) => [one.uri, one.displayName]),
    [
      ['sip:a@x', 'Zo\u00eb & Co'],
      ['sip:b@x', undefined],
    ],
  );
});

t.test('RFC 5363 §4.1: a list that points elsewhere, is broken or too long is refused with its reason', async (t) => {
  const wrap = (inner: string) => bytes(`<resource-lists><list>${inner}</list></resource-lists>`);
  t.match(parseResourceLists(wrap('<entry-ref ref="x"/>')), { refused: 400, reason: /reference/ });
  t.match(parseResourceLists(wrap('<external anchor="http://x"/>')), { refused: 400 });
  t.match(parseResourceLists(wrap('<entry name="x"/>')), { refused: 400 });
  t.match(parseResourceLists(bytes('<!DOCTYPE a [<!ENTITY b "c">]><resource-lists/>')), { refused: 400 });
  t.match(parseResourceLists(bytes('hello')), { refused: 400 });
  t.match(parseResourceLists(bytes('')), { refused: 400 });
  const many = Array.from({ length: 100_000 }, (_, n) => `<entry uri="sip:u${n}@x"/>`).join('');
  t.match(parseResourceLists(wrap(many)), { refused: 413, reason: /octets/ });
  t.match(parseResourceLists(wrap(many), { bytes: 10_000_000 }), { refused: 413, reason: 'more than 100 recipients' });
  const deep = '<list>'.repeat(50_000) + '</list>'.repeat(50_000);
  t.match(parseResourceLists(bytes(`<resource-lists>${deep}</resource-lists>`), { bytes: 10_000_000 }), {
    refused: 400,
  });
});
