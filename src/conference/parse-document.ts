/** Reading `application/conference-info+xml` (RFC 4575): what a client makes of a NOTIFY. */
import { attribute, boolean, child, children, list, parseXml, text, textOf, whole, type Node } from './read-xml.ts';

/** RFC 4575 §4.4. */
export type ElementState = 'full' | 'partial' | 'deleted';

/** An entry of conf-uris, service-uris or host-info. */
export interface InfoUri {
  readonly uri: string;
  readonly displayText?: string;
  readonly purpose?: string;
}

/** RFC 4575 §5.3. */
export interface InfoDescription {
  readonly displayText?: string;
  readonly subject?: string;
  readonly freeText?: string;
  readonly keywords?: readonly string[];
  readonly confUris: readonly InfoUri[];
  readonly serviceUris: readonly InfoUri[];
  readonly maximumUserCount?: number;
  readonly availableMedia: readonly InfoMedium[];
}

/** RFC 4575 §5.4. */
export interface InfoHost {
  readonly displayText?: string;
  readonly webPage?: string;
  readonly uris: readonly InfoUri[];
}

/** RFC 4575 §5.5. */
export interface InfoState {
  readonly userCount?: number;
  readonly active?: boolean;
  readonly locked?: boolean;
}

/** RFC 4575 §5.8; `id` is the label in available-media. */
export interface InfoMedium {
  readonly id: string;
  readonly displayText?: string;
  readonly type?: string;
  readonly label?: string;
  readonly srcId?: string;
  readonly status?: string;
}

/** The execution-type: joining-info, disconnection-info. */
export interface InfoExecution {
  readonly when?: string;
  readonly reason?: string;
  readonly by?: string;
}

/** RFC 4575 §5.7. */
export interface InfoEndpoint {
  readonly entity: string;
  readonly state: ElementState;
  readonly displayText?: string;
  readonly status?: string;
  readonly joiningMethod?: string;
  readonly joiningInfo?: InfoExecution;
  readonly disconnectionMethod?: string;
  readonly disconnectionInfo?: InfoExecution;
  readonly media: readonly InfoMedium[];
}

/** RFC 4575 §5.6, with the nickname of RFC 6501. */
export interface InfoUser {
  readonly entity: string;
  readonly state: ElementState;
  readonly displayText?: string;
  readonly nickname?: string;
  readonly roles: readonly string[];
  readonly endpoints: readonly InfoEndpoint[];
}

/** One conference document. */
export interface ConferenceInfo {
  readonly entity: string;
  readonly state: ElementState;
  readonly version: number;
  readonly description?: InfoDescription;
  readonly host?: InfoHost;
  readonly conferenceState?: InfoState;
  /** Absent when the document says nothing about users. */
  readonly users?: { readonly state: ElementState; readonly list: readonly InfoUser[] };
}

/** The bytes are no conference document. */
export class ConferenceInfoError extends Error {
  override readonly name = 'ConferenceInfoError';
}

/** Longest document read, in UTF-16 code units. */
const MAX_DOCUMENT = 8 * 1024 * 1024;

/** Reads a document. Elements without their key (RFC 4575 §4.5) and unknown ones are passed over. Throws `ConferenceInfoError`. */
export function parseConferenceInfo(xml: string): ConferenceInfo {
  const document = parseXml(xml, MAX_DOCUMENT);
  if ('fault' in document) throw new ConferenceInfoError(document.fault);
  const root = child(document.root, 'conference-info');
  const entity = root && attribute(root, 'entity');
  if (root === undefined || entity === undefined) throw new ConferenceInfoError('no conference-info with an entity');
  const version = whole(attribute(root, 'version'));
  if (version === undefined) throw new ConferenceInfoError('no version');
  return {
    entity,
    state: stateOf(root),
    version,
    ...given('description', child(root, 'conference-description'), description),
    ...given('host', child(root, 'host-info'), host),
    ...given('conferenceState', child(root, 'conference-state'), conferenceState),
    ...given('users', child(root, 'users'), (users) => ({
      state: stateOf(users),
      list: children(users, 'user').flatMap(user),
    })),
  };
}

function description(node: Node): InfoDescription {
  return {
    ...given('displayText', text(node, 'display-text')),
    ...given('subject', text(node, 'subject')),
    ...given('freeText', text(node, 'free-text')),
    ...given('keywords', text(node, 'keywords'), (words) => words.split(/\s+/).filter((word) => word !== '')),
    confUris: uris(child(node, 'conf-uris')),
    serviceUris: uris(child(node, 'service-uris')),
    ...given('maximumUserCount', whole(text(node, 'maximum-user-count'))),
    availableMedia: children(child(node, 'available-media'), 'entry').flatMap((entry) => medium(entry, 'label')),
  };
}

function host(node: Node): InfoHost {
  return {
    ...given('displayText', text(node, 'display-text')),
    ...given('webPage', text(node, 'web-page')),
    uris: uris(child(node, 'uris')),
  };
}

function conferenceState(node: Node): InfoState {
  return {
    ...given('userCount', whole(text(node, 'user-count'))),
    ...given('active', boolean(text(node, 'active'))),
    ...given('locked', boolean(text(node, 'locked'))),
  };
}

function uris(node: Node | undefined): readonly InfoUri[] {
  return children(node, 'entry').flatMap((entry) => {
    const uri = text(entry, 'uri');
    if (uri === undefined) return [];
    return {
      uri,
      ...given('displayText', text(entry, 'display-text')),
      ...given('purpose', text(entry, 'purpose')),
    };
  });
}

function user(node: Node): InfoUser | readonly [] {
  const entity = attribute(node, 'entity');
  if (entity === undefined) return [];
  return {
    entity,
    state: stateOf(node),
    ...given('displayText', text(node, 'display-text')),
    ...given('nickname', attribute(node, 'nickname')),
    roles: list(child(node, 'roles')?.['entry']).flatMap((entry) => textOf(entry) ?? []),
    endpoints: children(node, 'endpoint').flatMap(endpoint),
  };
}

function endpoint(node: Node): InfoEndpoint | readonly [] {
  const entity = attribute(node, 'entity');
  if (entity === undefined) return [];
  return {
    entity,
    state: stateOf(node),
    ...given('displayText', text(node, 'display-text')),
    ...given('status', text(node, 'status')),
    ...given('joiningMethod', text(node, 'joining-method')),
    ...given('joiningInfo', child(node, 'joining-info'), execution),
    ...given('disconnectionMethod', text(node, 'disconnection-method')),
    ...given('disconnectionInfo', child(node, 'disconnection-info'), execution),
    media: children(node, 'media').flatMap((one) => medium(one, 'id')),
  };
}

function medium(node: Node, key: 'id' | 'label'): InfoMedium | readonly [] {
  const id = attribute(node, key);
  if (id === undefined) return [];
  return {
    id,
    ...given('displayText', text(node, 'display-text')),
    ...given('type', text(node, 'type')),
    ...given('label', text(node, 'label')),
    ...given('srcId', text(node, 'src-id')),
    ...given('status', text(node, 'status')),
  };
}

function execution(node: Node): InfoExecution {
  return {
    ...given('when', text(node, 'when')),
    ...given('reason', text(node, 'reason')),
    ...given('by', text(node, 'by')),
  };
}

function stateOf(node: Node): ElementState {
  const state = attribute(node, 'state');
  return state === 'partial' || state === 'deleted' ? state : 'full';
}

/** `{ [name]: read(value) }`, or nothing when there is no value. */
function given<Name extends string, T>(name: Name, value: T | undefined): { readonly [K in Name]?: T };
function given<Name extends string, T, R>(
  name: Name,
  value: T | undefined,
  read: (value: T) => R,
): { readonly [K in Name]?: R };
function given(name: string, value: unknown, read: (value: unknown) => unknown = (same) => same): object {
  return value === undefined ? {} : { [name]: read(value) };
}
