import { XMLParser } from 'fast-xml-parser';
import { MsrpError } from './errors.ts';

/** An XML element, namespaces resolved. */
export interface XmlElement {
  /** Local name. */
  readonly name: string;
  /** Namespace URI; empty for none. */
  readonly namespace: string;
  readonly children: readonly XmlElement[];
  /** All character data directly inside, blanks at both ends removed. */
  readonly text: string;
}

const ATTRIBUTES = ':@';
const CDATA = '#cdata';
const TEXT = '#text';
const parser = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: '',
  cdataPropName: CDATA,
  textNodeName: TEXT,
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: false,
  processEntities: false,
  ignoreDeclaration: true,
  ignorePiTags: true,
  maxNestedTags: 32,
});

/**
 * Reads a small XML document to its root element. Throws `MsrpError`: 413 above `maxBytes` (default 65,536), 400 when
 * it has no element, is not UTF-8, nests deeper than 32 elements, or has a document type (so no entity can grow).
 * A tag left open or closed by another name is forgiven.
 */
export function parseXml(bytes: Uint8Array, maxBytes = 65_536): XmlElement {
  if (bytes.length > maxBytes) throw new MsrpError(413, `XML of more than ${maxBytes} octets`);
  const text = decode(bytes);
  if (text.includes('<!DOCTYPE')) throw new MsrpError(400, 'XML with a document type');
  const root = elementsOf(parse(text), new Map([['', '']]))[0];
  if (root === undefined) throw new MsrpError(400, 'XML without a root element');
  return root;
}

/** The first child of that name in the parent's own namespace. */
export function childOf(element: XmlElement, name: string): XmlElement | undefined {
  return element.children.find((child) => child.name === name && child.namespace === element.namespace);
}

/** Writes text as character data or attribute value; what XML 1.0 cannot hold is dropped. */
export function escapeXml(text: string): string {
  const markup: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text
    .replace(/[^\P{Cc}\t\n\u0080-\u009f]|[\ufffe\uffff]|\p{Cs}/gu, '')
    .replace(/[&<>"]/g, (char) => markup[char] ?? '');
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new MsrpError(400, 'XML that is not UTF-8');
  }
}

function parse(text: string): unknown {
  try {
    return parser.parse(text);
  } catch {
    throw new MsrpError(400, 'XML that cannot be read');
  }
}

function elementsOf(nodes: unknown, outer: ReadonlyMap<string, string>): XmlElement[] {
  if (!Array.isArray(nodes)) return [];
  return nodes.flatMap((node: unknown) => {
    if (!isRecord(node)) return [];
    const tag = Object.keys(node).find((key) => key !== ATTRIBUTES && key !== TEXT && key !== CDATA);
    if (tag === undefined) return [];
    const namespaces = declarationsOf(node[ATTRIBUTES], outer);
    const [prefix, name] = tag.includes(':')
      ? [tag.slice(0, tag.indexOf(':')), tag.slice(tag.indexOf(':') + 1)]
      : ['', tag];
    const inner = node[tag];
    return [
      { name, namespace: namespaces.get(prefix) ?? '', children: elementsOf(inner, namespaces), text: textOf(inner) },
    ];
  });
}

function declarationsOf(attributes: unknown, outer: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  if (!isRecord(attributes)) return outer;
  const namespaces = new Map(outer);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value !== 'string') continue;
    if (name === 'xmlns') namespaces.set('', unescapeXml(value));
    else if (name.startsWith('xmlns:')) namespaces.set(name.slice(6), unescapeXml(value));
  }
  return namespaces;
}

function textOf(nodes: unknown): string {
  if (!Array.isArray(nodes)) return '';
  const pieces = nodes.map((node: unknown) => {
    if (!isRecord(node)) return '';
    const text = node[TEXT];
    if (typeof text === 'string') return unescapeXml(text);
    const inner: unknown = node[CDATA];
    const literal: unknown = Array.isArray(inner) ? inner[0] : undefined;
    return isRecord(literal) && typeof literal[TEXT] === 'string' ? literal[TEXT] : '';
  });
  return pieces.join('').trim();
}

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ['amp', '&'],
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', "'"],
]);

/** Without a document type there are no entities but these. */
function unescapeXml(text: string): string {
  return text.replace(
    /&(?:#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6})|([a-z]{2,4}));/g,
    (whole, decimal?: string, hex?: string, name?: string) => {
      if (name !== undefined) return ENTITIES.get(name) ?? whole;
      const code = decimal === undefined ? parseInt(hex ?? '', 16) : Number(decimal);
      return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
    },
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
