import t from 'tap';
import fc from '../fast-check.ts';
import { enforceNickname, nicknameKey } from '../../src/conference/nickname.ts';

/** The text as visible ASCII, for the names of tests. */
const escape = (text: string): string =>
  Array.from(text, (c) => (/[\x21-\x7e]/.test(c) ? c : `U+${(c.codePointAt(0) ?? 0).toString(16)}`)).join(' ');

t.test('RFC 8266 §3: the sample of legal nicknames and what they compare as', (t) => {
  const table: readonly (readonly [string, string])[] = [
    ['Foo', 'foo'],
    ['foo', 'foo'],
    ['Foo Bar', 'foo bar'],
    ['foo bar', 'foo bar'],
    ['\u03a3', '\u03c3'],
    ['\u03c3', '\u03c3'],
    ['\u03c2', '\u03c2'],
    ['\u03d4', '\u03cb'],
    ['\u221e', '\u221e'],
    ['Richard \u2163', 'richard iv'],
  ];
  for (const [nickname, output] of table) t.equal(nicknameKey(nickname), output, escape(nickname));
  t.end();
});

t.test('RFC 8266 §2.1: spaces are mapped, stripped and joined', (t) => {
  t.equal(enforceNickname('stpeter '), 'stpeter');
  t.equal(enforceNickname('St  Peter'), 'St Peter');
  t.equal(enforceNickname('\u00a0 St\u3000\u2003Peter \u00a0'), 'St Peter');
  t.equal(nicknameKey('\u3000ST\u2003peter'), nicknameKey('St Peter'));
  t.equal(enforceNickname('   '), undefined, 'empty after enforcement');
  t.equal(enforceNickname(''), undefined);
  t.end();
});

t.test('RFC 8266 §2.3: enforcement keeps the case and takes NFKC', (t) => {
  t.equal(enforceNickname('StPeter'), 'StPeter');
  t.equal(enforceNickname('Richard \u2163'), 'Richard IV');
  t.equal(enforceNickname('Zoe\u0301'), 'Zo\u00e9');
  t.equal(enforceNickname('\uff21\uff4c\uff49\uff43\uff45'), 'Alice', 'full width');
  t.equal(enforceNickname('\u{1f600} smile'), '\u{1f600} smile');
  t.end();
});

t.test('RFC 8264 §4.3.3: controls, ignorable, unassigned, private and unpaired code points are refused', (t) => {
  const bad = [
    'a\u0000',
    'a\nb',
    'a\u00adb',
    'a\u200bb',
    'a\u202eb',
    'a\ufe0f',
    'a\ufeffb',
    '\u1100',
    '\ud800',
    'x\udc00',
    '\ue000',
    '\uffff',
    '\u0378',
    '\u2028',
  ];
  for (const text of bad) {
    t.equal(enforceNickname(text), undefined, escape(text));
    t.equal(nicknameKey(text), undefined, escape(text));
  }
  t.end();
});

t.test('RFC 5892 Appendix A: contextual rules', (t) => {
  const good = [
    'l\u00b7l',
    '\u0375\u03b1',
    '\u05d0\u05f3',
    '\u05d0\u05f4\u05d1',
    '\u30a2\u30fb',
    '\u0661\u0662',
    '\u06f1\u06f2',
    '\u0915\u094d\u200d',
    '\u0915\u094d\u200c\u0937',
    '\u0646\u0645\u06cc\u200c\u062e',
  ];
  const bad = [
    'a\u00b7l',
    '\u0375a',
    'a\u05f3',
    'a\u30fb',
    '\u0661\u06f1',
    'a\u200db',
    'a\u200cb',
    '\u0627\u200c\u0628',
    '\u0640',
    '\u302e',
  ];
  for (const text of good) t.not(enforceNickname(text), undefined, escape(text));
  for (const text of bad) t.equal(enforceNickname(text), undefined, escape(text));
  t.end();
});

t.test('RFC 7701 §7.1: at most 1023 octets, not characters', (t) => {
  t.equal(enforceNickname('a'.repeat(1023))?.length, 1023);
  t.equal(enforceNickname('a'.repeat(1024)), undefined);
  t.equal(enforceNickname('\u00e9'.repeat(511))?.length, 511);
  t.equal(enforceNickname('\u00e9'.repeat(512)), undefined);
  t.end();
});

t.test('any text: enforcement is a fixed point, and an enforced nickname has the key of what it came from', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 12 }), (text) => {
      const enforced = enforceNickname(text);
      if (enforced === undefined) return;
      const again = enforceNickname(enforced);
      // A compatibility form may decompose into what is disallowed by itself (U+FE70 has a tatweel inside).
      if (again !== undefined) t.equal(again, enforced);
      const key = nicknameKey(text);
      if (key !== undefined && again !== undefined) t.equal(nicknameKey(enforced), key);
    }),
    { numRuns: 300 },
  );
  t.end();
});
