/**
 * What clients say about a message besides its text, as far as we know it. All of it is carried untouched; it is read
 * only to tell it in words to peers that can show plain text alone.
 *
 * | Mark | Where it stands |
 * |---|---|
 * | reply | `Replying-To-Message-ID`, `Replying-To-Sender` in `tag:linphone.org,2020:params:groupchat` |
 * | reaction | `Content-Disposition: Reaction` (RFC 9078) with `In-Reply-To` in that namespace or among the MIME headers |
 * | forwarded | `Forward-Info` in `urn:ietf:params:imdn` |
 * | file | `filename` of Content-Disposition (RFC 2183) |
 * | file on a server | a body of `application/vnd.gsma.rcs-ft-http+xml` |
 * | place | a body of `application/vnd.gsma.rcspushlocation+xml` |
 */
import {
  contentOf,
  CPIM_NAMESPACE,
  type CpimMessage,
  cpimValues,
  IMDN_NAMESPACE,
  mimeValue,
  MsrpError,
  notUnderstood,
} from '../../msrp/index.ts';
import { attribute, child, list, type Node, parseXml, text } from '../conference/read-xml.ts';

const LINPHONE = 'tag:linphone.org,2020:params:groupchat';

/** What a message is besides its content. */
export interface Marks {
  /** imdn.Message-ID of the message that it answers. */
  readonly replyTo?: string;
  /** URI of whoever wrote that. */
  readonly replyToSender?: string;
  /** imdn.Message-ID of the message that it is a reaction to. */
  readonly reactionTo?: string;
  readonly forwarded: boolean;
  readonly fileName?: string;
}

/** Reads the marks of a message. */
export function marksOf(cpim: CpimMessage): Marks {
  const linphone = (name: string): string | undefined => cpimValues(cpim, LINPHONE, name)[0]?.trim();
  const disposition = mimeValue(cpim, 'content-disposition') ?? '';
  const isReaction = /^\s*reaction\s*(?:;|$)/i.test(disposition);
  const reactionTo = isReaction ? (linphone('In-Reply-To') ?? mimeValue(cpim, 'in-reply-to')) : undefined;
  const replyTo = linphone('Replying-To-Message-ID');
  const replyToSender = linphone('Replying-To-Sender')?.replace(/^.*<|>.*$/g, '');
  const fileName = /;\s*filename\s*=\s*(?:"([^"]*)"|([^\s;"]+))/i.exec(disposition);
  const name = fileName?.[1] ?? fileName?.[2];
  return {
    forwarded: cpimValues(cpim, IMDN_NAMESPACE, 'Forward-Info').length > 0,
    // RFC 9078 §2: as in mail, where it stands in angle brackets.
    ...(reactionTo === undefined ? {} : { reactionTo: reactionTo.trim().replace(/^<(.*)>$/, '$1') }),
    ...(replyTo === undefined ? {} : { replyTo }),
    ...(replyToSender === undefined ? {} : { replyToSender }),
    ...(name === undefined || name === '' ? {} : { fileName: name }),
  };
}

/**
 * What a message says must be understood (RFC 3862 §3.5) and cannot be told in words, as written there. Who takes CPIM
 * judges that for himself.
 */
export function needsOf(cpim: CpimMessage): readonly string[] {
  return notUnderstood(cpim, (namespace = '', name) => TOLD.get(namespace)?.has(name) === true);
}

/** What is shown in words, or has nothing that plain text would have to show. */
const TOLD: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  [CPIM_NAMESPACE, new Set(['From', 'To', 'cc', 'DateTime', 'Subject', 'NS', 'Require'])],
  [IMDN_NAMESPACE, new Set(['Message-ID', 'Disposition-Notification', 'Forward-Info', 'Original-To'])],
  [LINPHONE, new Set(['Replying-To-Message-ID', 'Replying-To-Sender', 'In-Reply-To'])],
]);

/** A body that stands for something elsewhere, in a line of words; undefined for any other, or when it cannot be read. */
export function describedBody(cpim: CpimMessage): string | undefined {
  switch (cpim.contentType.mediaType) {
    case 'application/vnd.gsma.rcs-ft-http+xml':
      return remoteFile(xmlOf(cpim));
    case 'application/vnd.gsma.rcspushlocation+xml':
      return place(xmlOf(cpim));
    default:
      return undefined;
  }
}

/** Octets as people say them. */
export function sizeOf(bytes: number): string {
  if (bytes < 1024) return `${String(bytes)} bytes`;
  return bytes < 1_048_576 ? `${String(Math.round(bytes / 1024))} KiB` : `${(bytes / 1_048_576).toFixed(1)} MiB`;
}

function xmlOf(cpim: CpimMessage): Node | undefined {
  try {
    const read = parseXml(new TextDecoder().decode(contentOf(cpim)), 65_536);
    return 'root' in read ? read.root : undefined;
  } catch (fault) {
    if (fault instanceof MsrpError) return undefined;
    throw fault;
  }
}

function remoteFile(root: Node | undefined): string | undefined {
  const infos = list(root && child(root, 'file')?.['file-info']).filter(isNode);
  // There may be a preview before the file itself.
  const info = infos.find((each) => attribute(each, 'type') !== 'thumbnail');
  const data = info && child(info, 'data');
  const url = data && attribute(data, 'url');
  if (info === undefined || url === undefined || !/^https?:\/\/\S+$/i.test(url)) return undefined;
  const size = text(info, 'file-size');
  const known = size !== undefined && /^\d{1,15}$/.test(size) ? sizeOf(Number(size)) : undefined;
  const words = [text(info, 'file-name'), text(info, 'content-type'), known].filter((word) => word !== undefined);
  return `[${words.join(', ')}: ${url}]`;
}

function place(root: Node | undefined): string | undefined {
  const envelope = root && child(root, 'rcsenvelope');
  const location = envelope && child(envelope, 'rcspushlocation');
  if (location === undefined) return undefined;
  const label = attribute(location, 'label');
  const position = findText(location, 'pos');
  return position === undefined ? undefined : `[a place: ${label === undefined ? '' : `${label}, `}${position}]`;
}

/** The text of the first element of that name, however deep; the reader has bounded the depth. */
function findText(node: Node, name: string): string | undefined {
  const own = text(node, name);
  if (own !== undefined) return own.trim().replace(/\s+/g, ', ');
  for (const value of Object.values(node)) {
    const found = list(value)
      .filter(isNode)
      .map((inner) => findText(inner, name))
      .find((each) => each !== undefined);
    if (found !== undefined) return found;
  }
  return undefined;
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
