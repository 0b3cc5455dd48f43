/** Lists of recipients: `application/resource-lists+xml` (RFC 4826 §3) with the attributes of RFC 5364. */
import { attribute, boolean, child, children, parseXml, text, type Node } from './read-xml.ts';
import { element, textElement } from './xml.ts';

/** How openly somebody is named to the others (RFC 5364 §4). */
export type CopyControl = 'to' | 'cc' | 'bcc';

/** One of those whom a request is meant for. */
export interface Recipient {
  /** As it stands in the list; whether it can be called is for its reader to say. */
  readonly uri: string;
  readonly displayName?: string;
  readonly copyControl: CopyControl;
  /** Others may learn that there is somebody, not who. */
  readonly anonymize: boolean;
}

/** The list is refused: 400 when it cannot be understood, 413 when it is too long; the text says why. */
export interface ListRefusal {
  readonly refused: 400 | 413;
  readonly reason: string;
}

/** What a list may cost. */
export interface ListLimits {
  /** Most entries. Default 100. */
  readonly entries?: number;
  /** Longest document in octets. Default 256 KiB. */
  readonly bytes?: number;
}

/** RFC 5364 §4: of two entries for one URI, the one that names the recipient more openly counts. */
const PRECEDENCE: readonly CopyControl[] = ['to', 'cc', 'bcc'];

/** Who stands in place of an anonymous recipient (RFC 5364 §4). */
const ANONYMOUS = 'sip:anonymous@anonymous.invalid';

/**
 * Reads a list, those of its inner lists too; each recipient once, in the order of first mention. An entry without
 * copyControl is a `bcc` (RFC 5364 §4). References to lists kept elsewhere (`entry-ref`, `external`) are refused with
 * 400: RFC 5363 §4.1 wants flat lists, and to leave some out in silence would be worse.
 */
export function parseResourceLists(body: Uint8Array, limits: ListLimits = {}): readonly Recipient[] | ListRefusal {
  const { entries = 100, bytes = 256 * 1024 } = limits;
  if (body.length > bytes) return { refused: 413, reason: `a recipient list of more than ${bytes} octets` };
  const document = parseXml(new TextDecoder().decode(body), bytes);
  if ('fault' in document) return { refused: 400, reason: `recipient list: ${document.fault}` };
  const root = child(document.root, 'resource-lists');
  if (root === undefined) return { refused: 400, reason: 'recipient list: no resource-lists element' };
  return gathered(recipientsIn(root), entries);
}

/**
 * Prints the list that recipients are shown (`Content-Disposition: recipient-list-history; handling=optional`,
 * RFC 5364 §6): blind ones left out, anonymous ones counted, the others by name.
 */
export function formatRecipientHistory(recipients: readonly Recipient[]): string {
  const groups = (['to', 'cc'] as const).map((copyControl) => {
    const group = recipients.filter((recipient) => recipient.copyControl === copyControl);
    const named = group.filter((recipient) => !recipient.anonymize);
    const hidden = group.length - named.length;
    const anonymous = { uri: ANONYMOUS, 'cp:copyControl': copyControl, 'cp:count': `${hidden}` };
    return named.map(entryOf).join('') + (hidden > 0 ? element('entry', anonymous) : '');
  });
  const namespaces = {
    xmlns: 'urn:ietf:params:xml:ns:resource-lists',
    'xmlns:cp': 'urn:ietf:params:xml:ns:copycontrol',
  };
  const lists = element('resource-lists', namespaces, element('list', {}, ...groups));
  return `<?xml version="1.0" encoding="UTF-8"?>\r\n${lists}`;
}

/** The entries of a list and of the lists in it; an own stack, since a hostile list may nest deeper than ours. */
function* entriesOf(root: Node): Generator<Node | 'elsewhere'> {
  const open: Node[] = [...children(root, 'list')].reverse();
  for (let list = open.pop(); list !== undefined; list = open.pop()) {
    if ('entry-ref' in list || 'external' in list) yield 'elsewhere';
    yield* children(list, 'entry');
    open.push(...[...children(list, 'list')].reverse());
  }
}

function* recipientsIn(root: Node): Generator<Recipient | ListRefusal> {
  for (const node of entriesOf(root)) {
    if (node === 'elsewhere') yield { refused: 400, reason: 'recipient list: a reference to another list' };
    else yield recipientOf(node) ?? { refused: 400, reason: 'recipient list: an entry without uri' };
  }
}

function recipientOf(node: Node): Recipient | undefined {
  const uri = attribute(node, 'uri')?.trim();
  if (uri === undefined || uri === '') return undefined;
  const copyControl = PRECEDENCE.find((known) => known === attribute(node, 'copyControl')) ?? 'bcc';
  const displayName = text(node, 'display-name');
  const anonymize = boolean(attribute(node, 'anonymize')) ?? false;
  return { uri, copyControl, anonymize, ...(displayName === undefined ? {} : { displayName }) };
}

/**
 * Several lists as if they were one (RFC 5363 §4.1): each recipient once, as openly as any of them names him.
 * @param entries how many they may be at most
 */
export function joinLists(
  lists: readonly (readonly Recipient[])[],
  entries: number,
): readonly Recipient[] | ListRefusal {
  return gathered(lists.flat(), entries);
}

/** Each recipient once, and no more of them than that; or the first refusal. */
function gathered(recipients: Iterable<Recipient | ListRefusal>, entries: number): readonly Recipient[] | ListRefusal {
  const found = new Map<string, Recipient>();
  for (const recipient of recipients) {
    if ('refused' in recipient) return recipient;
    found.set(recipient.uri, moreOpen(found.get(recipient.uri), recipient));
    if (found.size > entries) return { refused: 413, reason: `more than ${entries} recipients` };
  }
  return [...found.values()];
}

function moreOpen(known: Recipient | undefined, next: Recipient): Recipient {
  if (known === undefined) return next;
  return PRECEDENCE.indexOf(next.copyControl) < PRECEDENCE.indexOf(known.copyControl) ? next : known;
}

function entryOf(recipient: Recipient): string {
  const attributes = { uri: recipient.uri, 'cp:copyControl': recipient.copyControl };
  return element('entry', attributes, textElement('display-name', recipient.displayName));
}
