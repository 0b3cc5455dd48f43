/**
 * What families of clients can and cannot do, where they differ from the RFCs. Everything that hurts nobody is done for
 * everybody and is not in here; this table holds only what bends a rule for the sake of a family.
 *
 * A peer is known by its User-Agent (or Server) header and by the feature tags of its Contact. Later families win over
 * earlier ones, configured ones over all. Of one that is not known, its Accept says in what form it takes texts.
 */

import { matchesMediaType, type MediaType, Params, SipError, type SipMessage } from '../../sip/index.ts';

/** What the service must know about a peer to serve it. */
export interface PeerProfile {
  /** For the log: the families that matched, `any` if none did. */
  readonly family: string;
  /** Takes a message in several SENDs. If not, each goes out as one unbroken SEND (against RFC 4975 §7.1.1). */
  readonly chunks: boolean;
  /** Sends plain text over MSRP without CPIM, and may take nothing else (against RFC 7701 §5.2, §6). */
  readonly bareText: boolean;
  /** Sends Use-Nickname without the quotes of RFC 7701 §7.1. */
  readonly bareNicknames: boolean;
  /** Understands partial conference documents. If not, each NOTIFY carries the full state. */
  readonly roster: 'partial' | 'full';
  /** Takes a message line that is not sendrecv. If not, who is muted is told when he speaks. */
  readonly directions: boolean;
  /** What roles are called: by their own names, or `admin` and `participant` (all that it knows). */
  readonly roles: 'own' | 'admin';
  /** May get `<free-text>` in the conference description. */
  readonly freeText: boolean;
  /** May get `<status>` within `<media>`. */
  readonly mediaStatus: boolean;
  /** Where texts by SIP MESSAGE are shown: within the call, out of it at the address of record, or nowhere. */
  readonly message: 'in-dialog' | 'out-of-dialog' | 'none';
  /** The form in which it shows texts by SIP MESSAGE. */
  readonly text: 'cpim' | 'plain';
  /** Final status for a MESSAGE that was taken: 202 is right (RFC 3428 §7), some show it as undelivered. */
  readonly messageTaken: 200 | 202;
  /** One leg that speaks for many: its texts name the real author and must not come back to it. */
  readonly bridge: 'none' | 'confbridge' | 'freeswitch';
  /** What of its own making must not enter the room, as the start of a text. */
  readonly swallow: readonly string[];
}

/** What can be said of a family in the configuration: any part of the profile. */
export type PeerTraits = Partial<Omit<PeerProfile, 'family'>>;

/** One row of the table. */
export interface PeerFamily extends PeerTraits {
  readonly family: string;
  /** Matches the User-Agent or Server header. */
  readonly userAgent?: RegExp;
  /** A feature tag in the Contact that gives the family away, in lower case. */
  readonly featureTag?: string;
}

/** How a peer that follows the RFCs is served. */
const ANY: PeerProfile = {
  family: 'any',
  chunks: true,
  bareText: false,
  bareNicknames: false,
  roster: 'partial',
  directions: true,
  roles: 'own',
  freeText: true,
  mediaStatus: true,
  message: 'in-dialog',
  text: 'plain',
  messageTaken: 202,
  bridge: 'none',
  swallow: ['?OTR'],
};

/** The families we know. */
export const PEER_FAMILIES: readonly PeerFamily[] = [
  // Joins the bytes of a second chunk as text and hangs up; sends nicknames bare; takes a partial document for the whole.
  {
    family: 'sipsimple',
    userAgent: /sipsimple|blink|sylkserver|ag[ -]projects/i,
    chunks: false,
    directions: false,
    bareNicknames: true,
    roster: 'full',
  },
  // Reads <free-text> as a time; shows texts within a call it has dialled to nobody; takes CPIM only where its From is
  // the From of the MESSAGE, which is the room here.
  {
    family: 'linphone',
    userAgent: /linphone|belle-sip|flexisip/i,
    roles: 'admin',
    freeText: false,
    message: 'out-of-dialog',
    text: 'plain',
    messageTaken: 200,
  },
  {
    family: 'linphone',
    featureTag: '+org.linphone.specs',
    roles: 'admin',
    freeText: false,
    message: 'out-of-dialog',
    text: 'plain',
    messageTaken: 200,
  },
  // Never subscribes again after a gap and shows CPIM raw; dense versions and plain texts are what it needs.
  { family: 'jitsi', userAgent: /^jitsi|jigasi/i, text: 'plain' },
  // Takes any <status> inside <user> for the user's own, and an unknown word for an error.
  { family: 'rcs', featureTag: '+g.oma.sip-im', mediaStatus: false },
  // Writes each text into one SEND, bare, whatever was agreed; reads both bare text and what is within CPIM.
  {
    family: 'freeswitch',
    userAgent: /freeswitch|mod_sofia/i,
    chunks: false,
    bareText: true,
    directions: false,
    bridge: 'freeswitch',
  },
  { family: 'asterisk', userAgent: /asterisk|fpbx/i, bridge: 'confbridge' },
];

/** What a peer shows of itself. */
export interface PeerSigns {
  /** User-Agent or Server header, as it came. */
  readonly userAgent: string | undefined;
  /** Names of the parameters of its Contact, in lower case. */
  readonly featureTags: readonly string[];
  /** The media ranges of its Accept; undefined where it has none. */
  readonly accept?: readonly MediaType[] | undefined;
}

/** Finds the profile of a peer; the families of the configuration stand last, so that they win. */
export class PeerTable {
  #families: readonly PeerFamily[] = PEER_FAMILIES;

  constructor(configured: readonly PeerFamily[] = []) {
    this.configure(configured);
  }

  /** Takes other families for the configured ones; calls that are under way keep their profiles. */
  configure(configured: readonly PeerFamily[]): void {
    this.#families = [...PEER_FAMILIES, ...configured];
  }

  /** The traits of all families that match, later over earlier. */
  profileOf(signs: PeerSigns): PeerProfile {
    const unknown = { ...ANY, text: formOf(signs.accept) };
    let profile: PeerProfile = unknown;
    for (const row of this.#families) {
      if (!matches(row, signs)) continue;
      const { userAgent: _userAgent, featureTag: _featureTag, ...traits } = row;
      const family =
        profile === unknown || profile.family === row.family ? row.family : `${profile.family}+${row.family}`;
      profile = { ...profile, ...traits, family };
    }
    return profile;
  }
}

function matches(row: PeerFamily, signs: PeerSigns): boolean {
  if (row.userAgent !== undefined && signs.userAgent !== undefined && row.userAgent.test(signs.userAgent)) return true;
  return row.featureTag !== undefined && signs.featureTags.includes(row.featureTag);
}

/** Plain text, but for who takes CPIM and no plain text (RFC 3261 §20.1). An Accept may name only the bodies of the call. */
function formOf(accept: readonly MediaType[] = []): PeerProfile['text'] {
  const ranges = accept.map(({ type }) => type);
  const takes = (type: string): boolean => matchesMediaType({ type, params: Params.none }, ranges);
  return takes('message/cpim') && !takes('text/plain') ? 'cpim' : 'plain';
}

/** What a message shows of its sender. */
export function signsOf(message: SipMessage): PeerSigns {
  const featureTags = [...(message.contact?.params ?? [])].map(({ name }) => name.toLowerCase());
  return { userAgent: message.userAgent ?? message.server, featureTags, accept: acceptOf(message) };
}

/** An Accept that cannot be read says nothing: a call is not lost for it. */
function acceptOf(message: SipMessage): readonly MediaType[] | undefined {
  try {
    return message.accept;
  } catch (fault) {
    if (fault instanceof SipError) return undefined;
    throw fault;
  }
}
