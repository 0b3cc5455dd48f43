/**
 * Nicknames as strings: preparation, enforcement and comparison by the Nickname profile of PRECIS (RFC 8266, which
 * replaced the RFC 7700 that RFC 7701 §7.1 names), on the FreeformClass (RFC 8264 §4.3) with the contextual rules of
 * RFC 5892 Appendix A. Who may have which nickname is not decided here.
 */

/** RFC 7701 §7.1: a nickname has at most 1023 octets. */
const MAX_OCTETS = 1023;

/** RFC 8266 §2.1: after the first application the rules are tried three more times until the string is stable. */
const MAX_APPLICATIONS = 4;

// RFC 5892 §2.6 (category F) by value.
const EXCEPTIONS_VALID = /[\u00df\u03c2\u06fd\u06fe\u0f0b\u3007]/u;
const EXCEPTIONS_DISALLOWED = /[\u302e\u302f\u0640\u07fa\u3031-\u3035\u303b]/u;
const CONTEXTUAL = /[\u00b7\u0375\u05f3\u05f4\u30fb\u0660-\u0669\u06f0-\u06f9\u200c\u200d]/u;

// RFC 8264 §9.9, 9.10, 9.12 and 9.13: what no class takes. Hangul jamo are those of Hangul_Syllable_Type L, V and T.
const DISALLOWED =
  /[\u1100-\u11ff\ua960-\ua97c\ud7b0-\ud7c6\ud7cb-\ud7fb\p{Cn}\p{Cc}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]/u;

// RFC 8264 §9.1, 9.11, 9.14, 9.15, 9.16 and 9.18: letters, digits, marks, spaces, symbols, punctuation.
const VALID = /[\x21-\x7e\p{L}\p{M}\p{N}\p{Zs}\p{S}\p{P}]/u;

// Code points of Canonical_Combining_Class Virama (9), which JavaScript's properties do not tell.
const VIRAMA =
  /[\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d3b\u0d3c\u0d4d\u0dca\u0e3a\u0eba\u0f84\u1039\u103a\u1714\u1715\u1734\u17d2\u1a60\u1b44\u1baa\u1bab\u1bf2\u1bf3\u2d7f\ua806\ua82c\ua8c4\ua953\ua9c0\uaaf6\uabed\u{10a3f}\u{11046}\u{11070}\u{1107f}\u{110b9}\u{11133}\u{11134}\u{111c0}\u{11235}\u{112ea}\u{1134d}\u{11442}\u{114c2}\u{115bf}\u{1163f}\u{116b6}\u{1172b}\u{11839}\u{1193d}\u{1193e}\u{119e0}\u{11a34}\u{11a47}\u{11a99}\u{11c3f}\u{11d44}\u{11d45}\u{11d97}]/u;

// Arabic letters that join to what follows them: all but those of Joining_Type R and U.
const ARABIC_JOINS_ONWARD =
  /(?![\u0621-\u0625\u0627\u0629\u062f-\u0632\u0648\u0671-\u0673\u0675-\u0677\u0688-\u0699\u06c0\u06c3-\u06cb\u06cd\u06cf\u06d2\u06d3\u06d5\u06ee\u06ef])[\u0620-\u064a\u066e-\u06d5\u06fa-\u06ff\u0750-\u077f]/u;
const ARABIC_LETTER = /[\u0620\u0622-\u064a\u066e-\u06d5\u06ee-\u06ef\u06fa-\u06ff\u0750-\u077f]/u;

/** RFC 5892 Appendix A, the rule of the code point at `i`. */
function contextAllows(points: readonly string[], i: number): boolean {
  const before = points[i - 1] ?? '';
  const after = points[i + 1] ?? '';
  switch (points[i]) {
    case '\u200c': // A.1. Deviation: of the scripts that join, only Arabic is known here; in others only the virama counts.
      return VIRAMA.test(before) || (ARABIC_JOINS_ONWARD.test(before) && ARABIC_LETTER.test(after));
    case '\u200d': // A.2
      return VIRAMA.test(before);
    case '\u00b7': // A.3
      return before === 'l' && after === 'l';
    case '\u0375': // A.4
      return /\p{Script=Greek}/u.test(after);
    case '\u05f3': // A.5
    case '\u05f4': // A.6
      return /\p{Script=Hebrew}/u.test(before);
    case '\u30fb': // A.7
      return points.some((point) => /[\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Han}]/u.test(point));
    default: // A.8, A.9: the two sets of Arabic digits do not mix.
      return !(points.some((p) => /[\u0660-\u0669]/.test(p)) && points.some((p) => /[\u06f0-\u06f9]/.test(p)));
  }
}

/** RFC 8266 §2.2: whether the string holds only what the FreeformClass takes, in the order of RFC 8264 §8. */
function isFreeform(text: string): boolean {
  const points = Array.from(text);
  return points.every((point, i) => {
    if (EXCEPTIONS_VALID.test(point)) return true;
    if (EXCEPTIONS_DISALLOWED.test(point)) return false;
    if (CONTEXTUAL.test(point)) return contextAllows(points, i);
    if (DISALLOWED.test(point)) return false;
    // HasCompat (RFC 8264 §9.17) is valid whatever its category.
    return VALID.test(point) || point.normalize('NFKC') !== point;
  });
}

/** RFC 8266 §2.1 rule 2: every space becomes one ASCII space, none at either end. */
function mapSpaces(text: string): string {
  return text.replace(/\p{Zs}+/gu, ' ').replace(/^ | $/g, '');
}

/** Applies the rules until nothing changes any more; `undefined` when the string does not settle. */
function untilStable(text: string, rules: (text: string) => string): string | undefined {
  let current = text;
  for (let i = 0; i < MAX_APPLICATIONS; i++) {
    const next = rules(current);
    if (next === current) return current;
    current = next;
  }
  return rules(current) === current ? current : undefined;
}

/**
 * Enforcement (RFC 8266 §2.3): the form in which a nickname is kept and shown. `undefined` when the string is no
 * nickname: empty afterwards, disallowed code points, or longer than 1023 octets (RFC 7701 §7.1).
 */
export function enforceNickname(text: string): string | undefined {
  // Before anything costly is done with it: a UTF-16 code unit is at least one octet of UTF-8.
  if (text.length > MAX_OCTETS || !isFreeform(text)) return undefined;
  const enforced = untilStable(text, (s) => mapSpaces(s).normalize('NFKC'));
  if (enforced === undefined || enforced === '') return undefined;
  return new TextEncoder().encode(enforced).length > MAX_OCTETS ? undefined : enforced;
}

/** Comparison (RFC 8266 §2.4): two nicknames are the same when their keys are. `undefined` when the string is no nickname. */
export function nicknameKey(text: string): string | undefined {
  if (text.length > MAX_OCTETS || !isFreeform(text)) return undefined;
  const key = untilStable(text, (s) => mapSpaces(s).toLowerCase().normalize('NFKC'));
  return key === '' ? undefined : key;
}
