/** Writing XML 1.0: elements in, well-formed text out, whatever the strings hold. */

// What XML 1.0 §2.2 forbids, and what a line of text should not hold either: controls, surrogates without their other
// half, U+FFFE and U+FFFF; and the controls that turn the direction of the text around them, with which one name can
// be shown as another.
const UNFIT = /[\p{Cc}\p{Cs}\ufffe\uffff\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

/** The text as one line without control characters, fit for an element's content, cut at `max` UTF-16 code units. */
export function plainText(text: string, max = 1024): string {
  const cut = text.length > max ? text.slice(0, max) : text;
  return cut.replace(UNFIT, ' ').trim();
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Escapes for content and double-quoted attribute values. */
function escapeXml(text: string): string {
  return /[&<>"]/.test(text) ? text.replace(/[&<>"]/g, (c) => ENTITIES[c] ?? c) : text;
}

/** Attributes; those that are `undefined` are left out. */
export type Attributes = Readonly<Record<string, string | undefined>>;

/** An element with text inside. Absent when the text is. */
export function textElement(name: string, text: string | undefined, attributes: Attributes = {}): string {
  return text === undefined ? '' : `<${name}${formatAttributes(attributes)}>${escapeXml(plainText(text))}</${name}>`;
}

/** An element with elements inside, which are XML already. */
export function element(name: string, attributes: Attributes, ...children: readonly string[]): string {
  const content = children.join('');
  const start = `<${name}${formatAttributes(attributes)}`;
  return content === '' ? `${start}/>` : `${start}>${content}</${name}>`;
}

/** An element with elements inside; absent when there are none. */
export function container(name: string, children: string): string {
  return children === '' ? '' : `<${name}>${children}</${name}>`;
}

function formatAttributes(attributes: Attributes): string {
  let text = '';
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) text += ` ${name}="${escapeXml(plainText(value, 4096))}"`;
  }
  return text;
}

/** A time as xs:dateTime in UTC; one that no four-digit year can hold becomes the nearest that can. */
export function dateTime(millis: number): string {
  const max = Date.UTC(9999, 11, 31, 23, 59, 59, 999);
  const bounded = Number.isFinite(millis) ? Math.min(Math.max(millis, 0), max) : 0;
  return new Date(bounded).toISOString();
}
