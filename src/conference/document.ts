/**
 * The conference document: `application/conference-info+xml` of RFC 4575, with the chat's own entry of RFC 7106 and
 * the nickname of RFC 6501. Elements stand in the order of the schema, media always have type and status, and every
 * document is valid, whatever the participants call themselves.
 */
import type { Conference } from './conference.ts';
import type { MediaDirection, Medium, Role } from './events.ts';
import type { AbsoluteUri, UserUri } from './ids.ts';
import { isPresent } from './roster.ts';
import type { Endpoint, Participant, Removal, Revision } from './roster.ts';
import type { UriEntry } from './settings.ts';
import { container, dateTime, element, textElement } from './xml.ts';

/** The media type of the document. */
export const CONFERENCE_INFO_TYPE = 'application/conference-info+xml';

/** Namespace of RFC 4575. */
export const CONFERENCE_INFO_NS = 'urn:ietf:params:xml:ns:conference-info';

/** Namespace of RFC 6501, whose `nickname` attribute a `<user>` carries. */
export const XCON_NS = 'urn:ietf:params:xml:ns:xcon-conference-info';

/** How a family of subscribers wants the document; all of it is valid for everybody. One style object per family. */
export interface DocumentStyle {
  /** How roles are called. Default: their own names. */
  readonly roleNames?: Readonly<Record<Role, string>>;
  /** `<free-text>` is left out. Some read it as a time. Default false. */
  readonly withoutFreeText?: boolean;
  /** No status within media. Default false: it is always there. */
  readonly withoutMediaStatus?: boolean;
  /** Whose call-info is shown (RFC 4575 §5.7.9: by privacy rules). Default `none`; never that of anonymous users. */
  readonly callInfo?: 'none' | 'all';
}

/** What differs from one subscription to the next. */
export interface Heading {
  /** The conference URI in the form that the subscriber used. */
  readonly entity: AbsoluteUri;
  /** Dense within the subscription (RFC 4575 §5.2). */
  readonly version: number;
}

/**
 * What everybody can be heard by (RFC 4575 §5.3.4). Audio is not among it: there is silence on it, until a mixer stands behind
 * `AudioBridge`, which belongs here then.
 */
const CHAT = { label: 'chat', type: 'message', status: 'sendrecv', displayText: 'Chat' } as const;

/** Writes the documents of one style. What was written of a user is kept and used again until the user changes. */
export class DocumentWriter {
  readonly #style: DocumentStyle;
  readonly #fullUsers = new WeakMap<Participant, string>();
  readonly #endpoints = new WeakMap<Endpoint, string>();
  #lastUsers:
    | { readonly conference: Conference; readonly since: Revision; readonly at: Revision; readonly xml: string }
    | undefined;

  constructor(style: DocumentStyle = {}) {
    this.#style = style;
  }

  /** The whole state of the conference. */
  full(conference: Conference, heading: Heading): string {
    return this.#document(
      heading,
      'full',
      this.#description(conference, heading),
      this.#hostInfo(conference),
      this.#state(conference),
      this.#fullUserList(conference),
    );
  }

  /**
   * All that changed after the revision; the version must be one above that of the subscriber's last document.
   * `undefined`: that is too long ago to be known, send the full state.
   */
  partial(conference: Conference, since: Revision, heading: Heading): string | undefined {
    const removals = since > conference.revision ? undefined : conference.removalsSince(since);
    if (removals === undefined) return undefined;
    return this.#document(
      heading,
      'partial',
      conference.descriptionChangedSince(since) ? this.#description(conference, heading) : '',
      conference.descriptionChangedSince(since) ? this.#hostInfo(conference) : '',
      conference.stateChangedSince(since) ? this.#state(conference) : '',
      this.#changedUserList(conference, since, removals),
    );
  }

  /** Whether what changed after the revision may take more than the whole state: at least as much has gone as has stayed. */
  mayExceedFull(conference: Conference, since: Revision): boolean {
    const gone = conference.removalsSince(since)?.length ?? Infinity;
    let stayed = 0;
    for (const user of conference.users()) {
      if (user.touched <= since) stayed += 1;
      if (stayed > gone) return false;
    }
    return true;
  }

  /** The conference has ceased to exist (RFC 4575 §4.6). */
  deleted(heading: Heading): string {
    return this.#document(heading, 'deleted');
  }

  #document(heading: Heading, state: 'full' | 'partial' | 'deleted', ...children: readonly string[]): string {
    const attributes = {
      xmlns: CONFERENCE_INFO_NS,
      'xmlns:xcon': XCON_NS,
      entity: heading.entity,
      state,
      version: String(heading.version),
    };
    return `<?xml version="1.0" encoding="UTF-8"?>\n${element('conference-info', attributes, ...children)}\n`;
  }

  #description(conference: Conference, heading: Heading): string {
    const { settings } = conference;
    const chat: UriEntry = {
      uri: heading.entity,
      displayText: settings.displayText ?? 'Group chat of this conference',
      purpose: 'grouptextchat',
    };
    const participation: UriEntry = { uri: heading.entity, purpose: 'participation' };
    const maximum = conference.setting('maximumUsers');
    return element(
      'conference-description',
      {},
      textElement('display-text', settings.displayText),
      textElement('subject', conference.subject),
      this.#style.withoutFreeText === true ? '' : textElement('free-text', settings.freeText),
      textElement('keywords', settings.keywords?.map((word) => word.replace(/\s+/g, '-')).join(' ')),
      uriList('conf-uris', [participation, ...(settings.confUris ?? [])]),
      uriList('service-uris', [chat, ...(settings.serviceUris ?? [])]),
      textElement('maximum-user-count', maximum === undefined ? undefined : unsigned(maximum)),
      container('available-media', AVAILABLE_MEDIA),
    );
  }

  #hostInfo(conference: Conference): string {
    const host = conference.settings.hostInfo;
    if (host === undefined) return '';
    return container(
      'host-info',
      textElement('display-text', host.displayText) +
        textElement('web-page', host.webPage) +
        uriList('uris', host.uris ?? []),
    );
  }

  #state(conference: Conference): string {
    return element(
      'conference-state',
      {},
      textElement('user-count', unsigned(conference.userCount)),
      textElement('active', String(conference.active)),
      textElement('locked', String(conference.locked)),
    );
  }

  #fullUserList(conference: Conference): string {
    return this.#remembered(conference, -1, () => {
      let users = '';
      for (const user of conference.users()) users += this.#fullUser(user);
      return element('users', {}, users);
    });
  }

  #changedUserList(conference: Conference, since: Revision, removals: readonly Removal[]): string {
    return this.#remembered(conference, since, () => {
      let users = '';
      for (const user of conference.users()) {
        if (user.touched > since) users += this.#changedUser(user, since, removals);
      }
      for (const { entity, endpointKey } of removals) {
        if (endpointKey === undefined) users += element('user', { entity, state: 'deleted' });
      }
      return users === '' ? '' : element('users', { state: 'partial' }, users);
    });
  }

  /** The list of users is the same for all subscribers who know as much: written once for them. */
  #remembered(conference: Conference, since: Revision, write: () => string): string {
    const last = this.#lastUsers;
    if (last?.conference === conference && last.since === since && last.at === conference.revision) return last.xml;
    const xml = write();
    this.#lastUsers = { conference, since, at: conference.revision, xml };
    return xml;
  }

  #fullUser(user: Participant): string {
    const known = this.#fullUsers.get(user);
    if (known !== undefined) return known;
    const endpoints = user.endpoints.map((endpoint) => this.#endpoint(user, endpoint));
    const xml = this.#user(user, 'full', endpoints.join(''));
    this.#fullUsers.set(user, xml);
    return xml;
  }

  #changedUser(user: Participant, since: Revision, removals: readonly Removal[]): string {
    // A partial element cannot take a name away, so a change of the user itself is told in full.
    if (user.changed > since) return this.#fullUser(user);
    const changed = user.endpoints
      .filter((endpoint) => endpoint.changed > since)
      .map((endpoint) => this.#endpoint(user, endpoint));
    const removed = removals.flatMap(({ entity, endpointKey }) =>
      entity === user.entity && endpointKey !== undefined ? [deletedEndpoint(endpointKey)] : [],
    );
    return this.#user(user, 'partial', [...changed, ...removed].join(''));
  }

  #user(user: Participant, state: 'full' | 'partial', endpoints: string): string {
    const { roleNames } = this.#style;
    const displayText = user.displayName ?? user.nickname ?? defaultName(user.entity);
    return element(
      'user',
      { entity: user.entity, state, 'xcon:nickname': user.nickname },
      textElement('display-text', displayText),
      container('roles', textElement('entry', roleNames?.[user.role] ?? user.role)),
      endpoints,
    );
  }

  #endpoint(user: Participant, endpoint: Endpoint): string {
    const silent = user.muted || user.role === 'visitor';
    // An endpoint is written anew when it changes, and all of a user's when the user does.
    const known = this.#endpoints.get(endpoint);
    if (known !== undefined && endpoint.changed >= user.changed) return known;
    const { departure, callInfo } = endpoint;
    const showCall = this.#style.callInfo === 'all' && endpoint.entity === endpoint.user;
    const media = endpoint.media.map((medium) => shownMedium(medium, silent));
    const xml = element(
      'endpoint',
      { entity: endpoint.key, state: 'full' },
      textElement('status', shownStatus(endpoint, media, silent)),
      textElement('joining-method', isPresent(endpoint) || departure !== undefined ? endpoint.method : undefined),
      execution('joining-info', { at: endpoint.joinedAt, reason: endpoint.joinReason, by: endpoint.joinedBy }),
      textElement('disconnection-method', departure?.method),
      departure === undefined
        ? ''
        : execution('disconnection-info', { at: departure.at, reason: departure.reason, by: departure.by }),
      media.map((medium) => this.#medium(medium)).join(''),
      callInfo === undefined || !showCall
        ? ''
        : container(
            'call-info',
            container(
              'sip',
              textElement('call-id', callInfo.callId) +
                textElement('from-tag', callInfo.fromTag) +
                textElement('to-tag', callInfo.toTag),
            ),
          ),
    );
    this.#endpoints.set(endpoint, xml);
    return xml;
  }

  #medium(medium: Medium): string {
    return element(
      'media',
      { id: medium.id },
      textElement('display-text', medium.displayText),
      textElement('type', medium.type),
      textElement('label', medium.label),
      textElement('src-id', medium.srcId),
      this.#style.withoutMediaStatus === true ? '' : textElement('status', medium.status),
    );
  }
}

const AVAILABLE_MEDIA = element(
  'entry',
  { label: CHAT.label },
  textElement('display-text', CHAT.displayText),
  textElement('type', CHAT.type),
  textElement('status', CHAT.status),
);

/** RFC 4575 §5.3.1: each URI once. */
function uriList(name: string, entries: readonly UriEntry[]): string {
  const byUri = new Map<AbsoluteUri, UriEntry>();
  for (const entry of entries) if (!byUri.has(entry.uri)) byUri.set(entry.uri, entry);
  const formatted = [...byUri].map(([uri, { displayText, purpose }]) =>
    element(
      'entry',
      {},
      textElement('uri', uri),
      textElement('display-text', displayText),
      textElement('purpose', purpose),
    ),
  );
  return container(name, formatted.join(''));
}

/** RFC 4575 §5.8.3: its label is the one of available-media, where the conference offers a medium of that type. */
function shownMedium(medium: Medium, silent: boolean): Medium {
  const label = medium.type === CHAT.type ? CHAT.label : medium.label;
  const status = silent && medium.type === CHAT.type ? withoutSending(medium.status) : medium.status;
  return { ...medium, status, ...(label === undefined ? {} : { label }) };
}

/** RFC 4575 §5.8.5: the stream of somebody muted is shown as recvonly. */
function withoutSending(direction: MediaDirection): MediaDirection {
  switch (direction) {
    case 'sendrecv':
    case 'recvonly':
      return 'recvonly';
    case 'sendonly':
    case 'inactive':
      return 'inactive';
  }
}

/** RFC 4575 §5.7.3: an endpoint is muted when no medium of it is heard any more; else its most active medium counts. */
function shownStatus(endpoint: Endpoint, media: readonly Medium[], silent: boolean): string {
  const heard = media.some(({ status }) => status === 'sendrecv' || status === 'sendonly');
  return endpoint.status === 'connected' && silent && media.length > 0 && !heard ? 'muted-via-focus' : endpoint.status;
}

function execution(
  name: string,
  { at, reason, by }: { readonly at: number; readonly reason: string | undefined; readonly by: UserUri | undefined },
): string {
  return element(name, {}, textElement('when', dateTime(at)), textElement('reason', reason), textElement('by', by));
}

function deletedEndpoint(key: string): string {
  return element('endpoint', { entity: key, state: 'deleted' });
}

/** The user part of a URI, decoded: what is shown of somebody who gave no name. */
function defaultName(uri: string): string {
  const user = /^[^:]+:(?:\/\/)?([^@;?]+)/.exec(uri)?.[1] ?? uri;
  try {
    return decodeURIComponent(user);
  } catch {
    return user;
  }
}

/** As xs:unsignedInt. */
function unsigned(n: number): string {
  return String(Math.min(Math.max(Math.trunc(n) || 0, 0), 0xffffffff));
}
