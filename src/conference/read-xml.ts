/** Reading XML documents of others: bounded, without entities of their own, and what to ask of the result. */
import { XMLParser } from 'fast-xml-parser';

/** An element: its attributes under `@name`, its children under their local names, its text under `#text`. */
export type Node = Readonly<Record<string, unknown>>;

// Elements of the formats read here that may stand more than once; they are arrays even when there is one.
const LISTS = new Set(['user', 'endpoint', 'media', 'entry', 'list']);

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  removeNSPrefix: true,
  parseTagValue: false,
  parseAttributeValue: false,
  htmlEntities: true,
  isArray: (name) => LISTS.has(name),
});

/** Reads a document of at most `max` UTF-16 code units; what is wrong with it comes back as a short text. */
export function parseXml(xml: string, max: number): { readonly root: Node } | { readonly fault: string } {
  if (xml.length > max) return { fault: 'document too long' };
  // Nothing in the formats read here needs one, and entities of its own are only good for attacks.
  if (xml.includes('<!DOCTYPE')) return { fault: 'document type declaration' };
  try {
    const root: unknown = parser.parse(xml);
    return isNode(root) ? { root } : { fault: 'no element' };
  } catch {
    return { fault: 'not well-formed' };
  }
}

/** The text of an attribute. */
export function attribute(node: Node, name: string): string | undefined {
  const value = node[`@${name}`];
  return typeof value === 'string' ? value : undefined;
}

/** The first child of that name. */
export function child(node: Node, name: string): Node | undefined {
  const value = list(node[name])[0];
  if (isNode(value)) return value;
  // An element without attributes and children is read as its text.
  return typeof value === 'string' ? {} : undefined;
}

/** All children of that name that hold more than text. */
export function children(node: Node | undefined, name: string): readonly Node[] {
  return list(node?.[name]).filter(isNode);
}

/** The text of the first child of that name. */
export function text(node: Node, name: string): string | undefined {
  return textOf(list(node[name])[0]);
}

/** The text of an element as the parser gives it. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  const inside = isNode(value) ? value['#text'] : undefined;
  return typeof inside === 'string' ? inside : undefined;
}

/** What the parser gives for an element that may repeat, as a list. */
export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : value === undefined ? [] : [value];
}

/** A non-negative whole number of at most ten digits. */
export function whole(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,10}$/.test(value) ? Number(value) : undefined;
}

/** xs:boolean. */
export function boolean(value: string | undefined): boolean | undefined {
  if (value === 'true' || value === '1') return true;
  return value === 'false' || value === '0' ? false : undefined;
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
