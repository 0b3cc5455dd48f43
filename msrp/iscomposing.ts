import { parseDateTime } from './cpim.ts';
import { formatDateTime } from './cpim-format.ts';
import { MsrpError } from './errors.ts';
import { childOf, escapeXml, parseXml } from './xml.ts';

/** Media type of the status (RFC 3994 §8.1). */
export const ISCOMPOSING_MEDIA_TYPE = 'application/im-iscomposing+xml';

const NAMESPACE = 'urn:ietf:params:xml:ns:im-iscomposing';

/** Whether somebody is writing (RFC 3994 §3). */
export interface IsComposing {
  /** Every word but `active` means `idle` (§3.5). */
  readonly state: 'active' | 'idle';
  /** When something was last written. */
  readonly lastActive?: Date;
  /** What is being written: `text`, `text/html`, `audio`, … */
  readonly contentType?: string;
  /** Seconds until the writer tells again, at least 60 by §3.2; absent means 120 for the receiver (§3.3). */
  readonly refresh?: number;
}

/** Reads a status. Throws `MsrpError` 400 or 413. */
export function parseIsComposing(content: Uint8Array): IsComposing {
  const root = parseXml(content);
  if (root.name !== 'isComposing' || root.namespace !== NAMESPACE)
    throw new MsrpError(400, 'XML that is no isComposing');
  const state = childOf(root, 'state')?.text;
  if (state === undefined) throw new MsrpError(400, 'isComposing without a state');
  const lastActive = parseDateTime(childOf(root, 'lastactive')?.text ?? '');
  const contentType = childOf(root, 'contenttype')?.text;
  const refresh = /^\+?0*([1-9]\d{0,8})$/.exec(childOf(root, 'refresh')?.text ?? '')?.[1];
  return {
    state: state === 'active' ? 'active' : 'idle',
    ...(lastActive === undefined ? {} : { lastActive }),
    ...(contentType === undefined ? {} : { contentType }),
    ...(refresh === undefined ? {} : { refresh: Number(refresh) }),
  };
}

/** Writes a status; `parseIsComposing` gives back the same. Throws what `formatDateTime` throws. */
export function formatIsComposing(status: IsComposing): string {
  const { state, lastActive, contentType, refresh } = status;
  return (
    `<?xml version="1.0" encoding="UTF-8"?>\r\n<isComposing xmlns="${NAMESPACE}"><state>${state}</state>` +
    (lastActive === undefined ? '' : `<lastactive>${formatDateTime(lastActive)}</lastactive>`) +
    (contentType === undefined ? '' : `<contenttype>${escapeXml(contentType)}</contenttype>`) +
    (refresh === undefined ? '' : `<refresh>${refresh}</refresh>`) +
    '</isComposing>'
  );
}
