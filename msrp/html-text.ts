/*
 * HTML as plain text: what is safe to show anywhere. Nothing of it is run, loaded or believed: tags go, their text stays.
 */

/** Elements that begin a new line. */
const BLOCKS = new Set([
  ...['address', 'article', 'blockquote', 'br', 'dd', 'div', 'dl', 'dt', 'footer', 'form', 'h1', 'h2', 'h3', 'h4'],
  ...['h5', 'h6', 'header', 'hr', 'li', 'main', 'nav', 'ol', 'p', 'pre', 'section', 'table', 'tr', 'ul'],
]);
/** Elements whose content nobody reads. */
const UNREAD = new Set(['script', 'style', 'head', 'title', 'template', 'noscript', 'object']);
/** Where links may lead that are worth showing. */
const LINK = /^(?:https?|sips?|mailto|tel|xmpp):/i;

const ENTITIES: Readonly<Record<string, string>> = {
  ...{ amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ', copy: '©', reg: '®', trade: '™', euro: '€' },
  ...{ hellip: '…', ndash: '–', mdash: '—', lsquo: '‘', rsquo: '’', ldquo: '“', rdquo: '”', bull: '•', middot: '·' },
  ...{ auml: 'ä', ouml: 'ö', uuml: 'ü', Auml: 'Ä', Ouml: 'Ö', Uuml: 'Ü', szlig: 'ß', eacute: 'é', egrave: 'è' },
};

/** The text of an HTML document or fragment, one line for each block, links as `text (address)`. Linear in its length. */
export function htmlToText(html: string): string {
  const out = new Lines();
  let link: { readonly address: string; shown: string } | undefined;
  for (let at = 0; at < html.length;) {
    const open = html.indexOf('<', at);
    const text = decodeEntities(html.slice(at, open === -1 ? html.length : open));
    out.add(text);
    if (link !== undefined) link.shown += text;
    if (open === -1) break;
    if (!/[a-z/!?]/i.test(html.charAt(open + 1))) {
      out.add('<');
      at = open + 1;
      continue;
    }
    if (html.startsWith('<!--', open)) {
      at = after(html, '-->', open + 4);
      continue;
    }
    const close = html.indexOf('>', open);
    if (close === -1) break;
    const tag = html.slice(open + 1, close);
    at = close + 1;
    const name = /^\/?[a-z0-9]*/i.exec(tag)?.[0].toLowerCase() ?? '';
    if (UNREAD.has(name)) at = after(html, '>', afterClosing(html, name, at));
    else if (name === 'li') out.breakLine('- ');
    else if (name === 'img') out.add(attribute(tag, 'alt'));
    else if (name === 'a') link = { address: attribute(tag, 'href'), shown: '' };
    else if (name === '/a' && link !== undefined) {
      const shown = link.shown.trim();
      if (LINK.test(link.address) && shown !== link.address)
        out.add(shown === '' ? link.address : ` (${link.address})`);
      link = undefined;
    } else if (BLOCKS.has(name.replace('/', ''))) out.breakLine('');
  }
  return out.text();
}

function after(text: string, mark: string, from: number): number {
  const found = text.indexOf(mark, from);
  return found === -1 ? text.length : found + mark.length;
}

/** Where the closing tag of an element begins, or the end: an element that is never closed hides all that follows. */
function afterClosing(html: string, name: string, from: number): number {
  const pattern = new RegExp(`</${name}`, 'gi');
  pattern.lastIndex = from;
  return pattern.exec(html)?.index ?? html.length;
}

function attribute(tag: string, name: string): string {
  const match = new RegExp(`\\s${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)'|([^\\s"'>]+))`, 'i').exec(tag);
  return decodeEntities(match?.[1] ?? match?.[2] ?? match?.[3] ?? '').trim();
}

function decodeEntities(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(
    /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,8}));/gi,
    (whole, decimal?: string, hex?: string, name?: string) => {
      if (name !== undefined) return ENTITIES[name] ?? whole;
      const code = decimal === undefined ? Number.parseInt(hex ?? '', 16) : Number(decimal);
      const shown = code >= 32 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
      return shown ? String.fromCodePoint(code) : ' ';
    },
  );
}

/** Text in lines, white space drawn together as a browser does. What was added is not looked at again: it may be long. */
class Lines {
  readonly #done: string[] = [];
  #line = '';
  /** Whether a blank would be one too many: at the beginning, and after another. */
  #blank = true;

  add(text: string): void {
    const drawn = text.replace(/\s+/g, ' ');
    const added = this.#blank ? drawn.trimStart() : drawn;
    if (added === '') return;
    this.#line += added;
    this.#blank = added.endsWith(' ');
  }

  breakLine(mark: string): void {
    const line = this.#line.trimEnd();
    if (line !== '') this.#done.push(line);
    this.#line = mark;
    this.#blank = mark === '' || mark.endsWith(' ');
  }

  text(): string {
    this.breakLine('');
    return this.#done.join('\n');
  }
}
