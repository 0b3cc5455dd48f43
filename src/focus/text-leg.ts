import {
  type Answer,
  type Content,
  formatUri,
  type IncomingRequest,
  type InviteSession,
  type NameAddr,
  type Outcome,
  Params,
  parseUri,
  type SipUserAgent,
  type Uri,
} from '../../sip/index.ts';
import { textAlias } from '../chat/domains.ts';
import type { Verdict } from '../chat/posts.ts';
import type { ChatRefusal } from '../chat/refusals.ts';
import type { ChatRoom } from '../chat/room.ts';
import type { Speaker } from '../chat/speaker.ts';
import type { EventNumber } from '../conference/ids.ts';
import { MOST_BY_UDP, wantsPrivacy } from './caller.ts';
import { LoopGuard } from './loop-guard.ts';
import type { OnePerUri } from './one-per-uri.ts';
import type { PeerProfile } from './peers.ts';
import { messageRefusal } from './refusals.ts';
import { readMessage } from './text-in.ts';
import { type TextLimits, TextOut } from './text-out.ts';
import { shortTitleOf } from './title.ts';
import type { Turns } from './turns.ts';

/** To what a machine gives back: a person would see that it was not said. */
const LOOP: ChatRefusal = { refused: 'loop', reason: 'A loop: you were just told this' };

/** To who wants to be anonymous for one text. */
const KNOWN = 'You Are Known Here by Your Call, and so Is What You Write';

/** What the texts of one leg are made with. */
export interface TextLegParts {
  readonly room: ChatRoom;
  readonly speaker: Speaker;
  /** Others see who it is: it has asked for no privacy. */
  readonly known: boolean;
  /** Of who is called it is known only when it has answered. */
  readonly profile: () => PeerProfile;
  /** Sends what goes out of dialogs. */
  readonly userAgent: () => Pick<SipUserAgent, 'request'>;
  /** For large texts that go out; shared with all other legs. */
  readonly turns: Turns;
  /** For texts that go out of dialogs; shared with all other legs. */
  readonly onePerUri: OnePerUri;
  readonly limits: TextLimits;
  readonly now: () => number;
  /** A line for the operator. */
  readonly info: (line: string) => void;
  /** The peer gets no more texts, but its call goes on. */
  readonly over: () => void;
}

/**
 * SIP MESSAGE in both directions for one leg (RFC 3428): what it writes is posted to the room; what the room says goes to
 * it, within the call or out of it, while it has no MSRP session.
 */
export class TextLeg {
  readonly #parts: TextLegParts;
  readonly #guard = new LoopGuard();
  #out: TextOut | undefined;
  /** The form that the peer takes, as far as it was tried. */
  #form: TextOut['form'] | undefined;
  /** It has given texts of others: what it is sent is shown to all of them. */
  #speaksForMany = false;
  /** Whether a loop was noted, so that it makes one line and not a thousand. */
  #noted = false;

  constructor(parts: TextLegParts) {
    this.#parts = parts;
  }

  /** Whether the peer takes what the room says, as far as is known. */
  takes(session: InviteSession): boolean {
    return this.#parts.profile().message !== 'none' && session.allows('MESSAGE') !== false && this.#out?.open !== false;
  }

  /** A recipient for the room; `undefined` where the peer takes no texts. The same one as long as it delivers. */
  recipient(session: InviteSession): TextOut | undefined {
    const { room, speaker, turns, limits, info, now, over } = this.#parts;
    const profile = this.#parts.profile();
    if (!this.takes(session)) return undefined;
    const inside = profile.message === 'in-dialog';
    this.#out ??= new TextOut({
      endpoint: speaker.endpoint,
      user: speaker.user,
      room,
      roomUri: speaker.roomUri,
      form: this.#form ?? profile.text,
      takesPrivate: () => !this.#speaksForMany,
      space: () => (inside ? Infinity : this.#spaceOutside(session)),
      flowQueued: () => session.dialog.flow?.queued ?? 0,
      send: (content, done) => {
        if (inside) session.request('MESSAGE', content, done);
        else this.#sendOutside(session, content, done);
      },
      onSent: (text) => {
        this.#guard.sent(text, now());
      },
      turns,
      limits,
      info,
      over,
    });
    this.#out.speakOn();
    return this.#out;
  }

  /** A MESSAGE of the peer's: answered when the log has it. Throws SipError for what cannot be read. */
  async receive({ request, session }: IncomingRequest): Promise<Answer> {
    const { room, speaker, now } = this.#parts;
    const profile = this.#parts.profile();
    const taken = { status: profile.messageTaken };
    if (request.body.length === 0) return taken;
    // RFC 3323 §4.2: he would be known by it, and nothing said can be unsaid.
    if (wantsPrivacy(request) && this.#parts.known) return { status: 403, reason: KNOWN };
    const { posting, text, namesAuthor } = readMessage(request, {
      room,
      speaker,
      profile,
      now: now(),
    });
    this.#speaksForMany ||= namesAuthor;
    if (text?.trim() === '') return taken;
    if (text !== undefined && room.rules.stopsLoops && this.#isLoop(text)) {
      return messageRefusal(LOOP, session !== undefined);
    }
    const verdict = await new Promise<Verdict>((settled) => {
      room.posts.take(speaker, posting, settled);
    });
    return typeof verdict === 'object' ? messageRefusal(verdict, session !== undefined) : taken;
  }

  /** The peer has been heard from; tells whether it gets texts again that it had not taken for long. */
  resume(): boolean {
    return this.#out?.resume() === true;
  }

  /** The last message up to which the peer has surely had all that was for it; undefined when there was none. */
  get position(): EventNumber | undefined {
    return this.#out?.position;
  }

  /** The newest message that waits or is on its way, and need not be given again. */
  get given(): EventNumber | undefined {
    return this.#out?.given;
  }

  /** As `position`: a text counts when it is answered. */
  get answered(): EventNumber | undefined {
    return this.position;
  }

  /** True while one is on its way that the peer may have read: `answered` is called when that is known, or not soon. */
  hush(answered: () => void): boolean {
    return this.#out?.hush(answered) === true;
  }

  /** What waits, and what is said from now on, goes another way, until a recipient is asked for again. */
  end(): void {
    if (this.#out === undefined || this.#out.refuses) return;
    this.#form = this.#out.form;
    this.#out.close();
    this.#out = undefined;
  }

  /** Nothing more goes out. */
  close(): void {
    this.#out?.close();
  }

  #isLoop(text: string): boolean {
    const { speaker, now, info } = this.#parts;
    const isLoop = this.#guard.givesBack(text, now());
    if (isLoop && !this.#noted) info(`${speaker.user} gives back what it is told: not said again`);
    this.#noted = isLoop;
    return isLoop;
  }

  /**
   * RFC 3428 §8: a MESSAGE out of the call has at most 1300 octets, unless it goes over one connection that minds
   * congestion: with a proxy between, nobody knows what the links beyond it are.
   */
  #spaceOutside(session: InviteSession): number {
    const { dialog } = session;
    if (dialog.flow?.reliable === true && dialog.routeSet.length === 0) return Infinity;
    const { from, to } = this.#ends();
    const headers = [from, to, ...dialog.routeSet].map(({ displayName = '', uri }) => displayName + formatUri(uri));
    const size = [formatUri(dialog.remoteTarget), ...headers].reduce((sum, each) => sum + Buffer.byteLength(each), 0);
    return MOST_BY_UDP - HEAD - size - ROUTE * dialog.routeSet.length;
  }

  /**
   * Out of the call, to where it is registered: From the room, To the user. The From is another user part than the one
   * the roster is known by, since a client that has chat and roster under one URI is known to crash.
   */
  #sendOutside(session: InviteSession, content: Content, done: (outcome: Outcome) => void): void {
    const { onePerUri, userAgent } = this.#parts;
    const { dialog } = session;
    const out = this.#out;
    const uri = dialog.remoteTarget;
    onePerUri.take(formatUri(uri), (over) => {
      if (out?.open === false) {
        over();
        return;
      }
      const { flow, routeSet: route } = dialog;
      const way = { uri, route, ...(flow === undefined ? {} : { flow }) };
      userAgent().request({ method: 'MESSAGE', ...way, ...this.#ends(), ...content }, (outcome) => {
        done(outcome);
        over();
      });
    });
  }

  #ends(): { readonly from: NameAddr; readonly to: NameAddr } {
    const { room, speaker } = this.#parts;
    return {
      from: address(textAlias(parseUri(speaker.roomUri)), shortTitleOf(room)),
      to: address(parseUri(speaker.user), undefined),
    };
  }
}

/** Octets in the head of a MESSAGE besides the URIs. */
const HEAD = 450;
/** Of each Route, besides its URI and the parameters of that. */
const ROUTE = 'Route: <>\r\n'.length;

function address(uri: Uri, displayName: string | undefined): NameAddr {
  return { uri, params: Params.none, ...(displayName === undefined ? {} : { displayName }) };
}
