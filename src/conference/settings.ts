/** What the configuration says of one conference, as far as its state and its document show it. */
import type { Role, SettingValues } from './events.ts';
import type { AbsoluteUri, UserUri } from './ids.ts';

/** One entry of conf-uris, service-uris or host-info (RFC 4575 §5.3.1, §5.3.2, §5.4.3). */
export interface UriEntry {
  readonly uri: AbsoluteUri;
  readonly displayText?: string;
  /** `participation`, `streaming`, `web-page`, `recording`, `event`, `grouptextchat` (RFC 7106)… */
  readonly purpose?: string;
}

/** Who hosts the conference (RFC 4575 §5.4). */
export interface HostInfo {
  readonly displayText?: string;
  readonly webPage?: AbsoluteUri;
  readonly uris?: readonly UriEntry[];
}

/** The configured side of a conference. What it has from `SettingValues` may change while the conference lives; by default there is no limit, no lobby, no PIN, and everybody may join. */
export interface ConferenceSettings extends Partial<SettingValues> {
  readonly displayText?: string;
  /** The subject until somebody gives another one. */
  readonly subject?: string;
  readonly freeText?: string;
  readonly keywords?: readonly string[];
  /** More ways to call the conference than its own URI. */
  readonly confUris?: readonly UriEntry[];
  /** More services than the conference's own chat, which is always advertised. */
  readonly serviceUris?: readonly UriEntry[];
  readonly hostInfo?: HostInfo;
  /** Roles by identity; a role given in the conference goes before it. */
  readonly roles?: ReadonlyMap<UserUri, Role>;
  /** Role of everybody else. Default `participant`. */
  readonly defaultRole?: Role;
  /** Seconds between two texts of one participant. Default 0. */
  readonly slowMode?: number;
}
