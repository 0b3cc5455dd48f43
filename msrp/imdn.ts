import { type CpimAddress, type CpimMessage, cpimValues, parseCpimAddress } from './cpim.ts';
import { type CpimExtension, formatCpimAddress } from './cpim-format.ts';
import { MsrpError } from './errors.ts';
import { childOf, escapeXml, parseXml, type XmlElement } from './xml.ts';

/** Namespace of the CPIM headers (RFC 5438 §6.1). */
export const IMDN_NAMESPACE = 'urn:ietf:params:imdn';
/** Media type of a notification (RFC 5438 §11.1.8); its Content-Disposition is `notification` (§7.2.1). */
export const IMDN_MEDIA_TYPE = 'message/imdn+xml';

const XML_NAMESPACE = 'urn:ietf:params:xml:ns:imdn';

/** The CPIM headers of RFC 5438 §6. */
export interface ImdnHeaders {
  readonly messageId?: string;
  /** `positive-delivery`, `negative-delivery`, `processing`, `display` and others, parameters cut off. */
  readonly dispositionNotification: readonly string[];
  readonly originalTo?: CpimAddress;
  /** In order, the top one first. */
  readonly recordRoute: readonly CpimAddress[];
  readonly route: readonly CpimAddress[];
}

/** What became of a message, by kind of notification (RFC 5438 §11.1.7). */
export type Disposition =
  | { readonly kind: 'delivery'; readonly status: 'delivered' | 'failed' | 'forbidden' | 'error' }
  | { readonly kind: 'processing'; readonly status: 'processed' | 'stored' | 'forbidden' | 'error' }
  | { readonly kind: 'display'; readonly status: 'displayed' | 'forbidden' | 'error' };

/** A notification (RFC 5438 §11). */
export interface Imdn {
  /** imdn.Message-ID of the message it is about. */
  readonly messageId: string;
  /** DateTime of that message, as it was written there. */
  readonly dateTime: string;
  readonly recipientUri?: string;
  readonly originalRecipientUri?: string;
  readonly subject?: string;
  /** Undefined when the notification is of a kind or status that RFC 5438 does not define. */
  readonly disposition: Disposition | undefined;
}

/** Reads the IMDN headers of a message, whatever prefix it uses. Throws `MsrpError` 400 for an unreadable address. */
export function imdnHeadersOf(message: CpimMessage): ImdnHeaders {
  const values = (name: string): string[] => cpimValues(message, IMDN_NAMESPACE, name);
  const addresses = (name: string): CpimAddress[] => values(name).map(parseCpimAddress);
  const messageId = values('Message-ID')[0]?.trim();
  const [originalTo] = addresses('Original-To');
  const requests = values('Disposition-Notification').flatMap((value) => value.split(','));
  return {
    ...(messageId === undefined || messageId === '' ? {} : { messageId }),
    dispositionNotification: requests.map((each) => (each.split(';', 1)[0] ?? '').trim()).filter((each) => each !== ''),
    ...(originalTo === undefined ? {} : { originalTo }),
    recordRoute: addresses('IMDN-Record-Route'),
    route: addresses('IMDN-Route'),
  };
}

/** The headers for a draft; `imdnHeadersOf` gives back the same. */
export function imdnExtensions(headers: Partial<ImdnHeaders>): CpimExtension[] {
  const header = (name: string, value: string): CpimExtension => ({
    namespace: IMDN_NAMESPACE,
    prefix: 'imdn',
    name,
    value,
  });
  const { messageId, dispositionNotification = [], originalTo, recordRoute = [], route = [] } = headers;
  return [
    ...(messageId === undefined ? [] : [header('Message-ID', messageId)]),
    ...(dispositionNotification.length === 0
      ? []
      : [header('Disposition-Notification', dispositionNotification.join(', '))]),
    ...(originalTo === undefined ? [] : [header('Original-To', addressText(originalTo))]),
    ...recordRoute.map((address) => header('IMDN-Record-Route', addressText(address))),
    ...route.map((address) => header('IMDN-Route', addressText(address))),
  ];
}

/** Whether a message is a notification, going by its media type (RFC 5438 §9). */
export function isImdn(message: CpimMessage): boolean {
  return message.contentType.mediaType === IMDN_MEDIA_TYPE;
}

/** Reads a notification. Throws `MsrpError` 400 or 413. */
export function parseImdn(content: Uint8Array): Imdn {
  const root = parseXml(content);
  if (root.name !== 'imdn' || root.namespace !== XML_NAMESPACE) throw new MsrpError(400, 'XML that is no IMDN');
  const text = (name: string): string | undefined => childOf(root, name)?.text;
  const messageId = text('message-id');
  if (messageId === undefined || messageId === '') throw new MsrpError(400, 'IMDN without a message-id');
  const recipientUri = text('recipient-uri');
  const originalRecipientUri = text('original-recipient-uri');
  const subject = text('subject');
  return {
    messageId,
    dateTime: text('datetime') ?? '',
    ...(recipientUri === undefined ? {} : { recipientUri }),
    ...(originalRecipientUri === undefined ? {} : { originalRecipientUri }),
    ...(subject === undefined ? {} : { subject }),
    disposition: dispositionOf(root),
  };
}

/**
 * Writes a notification; `parseImdn` gives back the same, but for one URI given without the other: the schema has both
 * or neither (RFC 5438 §11.1.9), so each then stands for both.
 */
export function formatImdn(imdn: Imdn): string {
  const element = (name: string, text: string | undefined): string =>
    text === undefined ? '' : `<${name}>${escapeXml(text)}</${name}>`;
  const { disposition } = imdn;
  const notification =
    disposition === undefined
      ? ''
      : `<${disposition.kind}-notification><status><${disposition.status}/></status></${disposition.kind}-notification>`;
  return (
    `<?xml version="1.0" encoding="UTF-8"?>\r\n<imdn xmlns="${XML_NAMESPACE}">` +
    element('message-id', imdn.messageId) +
    element('datetime', imdn.dateTime) +
    element('recipient-uri', imdn.recipientUri ?? imdn.originalRecipientUri) +
    element('original-recipient-uri', imdn.originalRecipientUri ?? imdn.recipientUri) +
    element('subject', imdn.subject) +
    `${notification}</imdn>`
  );
}

const DELIVERY = ['delivered', 'failed', 'forbidden', 'error'] as const;
const PROCESSING = ['processed', 'stored', 'forbidden', 'error'] as const;
const DISPLAY = ['displayed', 'forbidden', 'error'] as const;

function dispositionOf(root: XmlElement): Disposition | undefined {
  const delivery = statusOf(root, 'delivery-notification', DELIVERY);
  if (delivery !== undefined) return { kind: 'delivery', status: delivery };
  const processing = statusOf(root, 'processing-notification', PROCESSING);
  if (processing !== undefined) return { kind: 'processing', status: processing };
  const display = statusOf(root, 'display-notification', DISPLAY);
  return display === undefined ? undefined : { kind: 'display', status: display };
}

function statusOf<Word extends string>(root: XmlElement, name: string, words: readonly Word[]): Word | undefined {
  const notification = childOf(root, name);
  const status = notification && childOf(notification, 'status');
  return words.find((word) => status !== undefined && childOf(status, word) !== undefined);
}

/** Addresses go through the escapes of the header once more, so only plain ones are printed with a name. */
function addressText(address: CpimAddress): string {
  return formatCpimAddress(address, { names: 'plain' });
}
