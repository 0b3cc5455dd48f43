import { randomBytes } from 'node:crypto';
import { Assembler, type FileDescription, type MsrpEndpoint } from '../../msrp/index.ts';
import type { SipUserAgent } from '../../sip/index.ts';
import type { ChatManners } from '../chat/abilities.ts';
import { ChatSession } from '../chat/chat-session.ts';
import type { CongestionStep } from '../chat/congestion.ts';
import { FileSession, type FileSessionParts } from '../chat/file-session.ts';
import type { Release } from '../chat/host.ts';
import type { PastWish } from '../chat/past-wish.ts';
import type { ChatRoom } from '../chat/room.ts';
import type { Seat } from '../chat/rules.ts';
import { sipReason } from '../chat/sip-reason.ts';
import type { Speaker } from '../chat/speaker.ts';
import type { JoiningMethod } from '../conference/events.ts';
import { type EndpointId, endpointId, type UserUri } from '../conference/ids.ts';
import type { AudioBridge } from './audio.ts';
import { speakerOf, type Approach } from './caller.ts';
import { type DialogName, EndedCalls } from './ended-calls.ts';
import { Leg } from './leg.ts';
import { LegMedia } from './leg-media.ts';
import type { AudioMode, MediaPolicy } from './media-plan.ts';
import type { MsrpPlace, MsrpPlaces } from './msrp-places.ts';
import { OnePerUri } from './one-per-uri.ts';
import type { PeerProfile } from './peers.ts';
import { plainText } from './text-in.ts';
import { TextLeg } from './text-leg.ts';
import { DEFAULT_TEXT_LIMITS } from './text-out.ts';
import { titleOf } from './title.ts';
import { Turns } from './turns.ts';

/** Large texts by MESSAGE that go out in one turn of the event loop, to all peers together: some milliseconds' work. */
const LARGE_TEXTS = 16;

/** Limits and manners of all legs. */
export interface LegOptions {
  readonly audio: AudioMode;
  /** How long a leg waits for a new chat session, in ms. */
  readonly grace: number;
  /** How long a chat session may stay without its first request, in ms. */
  readonly bindTimeout: number;
  /** Octets up to which a message is collected; larger ones are passed on as they come. */
  readonly collected: number;
  /** Milliseconds without a chunk after which a message is given up (RFC 7701 §6.1). */
  readonly chunkTimeout: number;
  /** Milliseconds for which a recipient may read too slowly (RFC 7701 §6.4). */
  readonly congestedFor: number;
  /** Octets that may wait for one recipient. */
  readonly maxQueuedBytes: number;
  /** Octets of one chunk at most to who is behind a relay (RFC 4976). */
  readonly relayedChunkBytes: number;
  /** Files that one leg may be sending at once. */
  readonly filesAtOnce: number;
}

/** What the maker of legs is made with. */
export interface LegMakerParts {
  readonly options: LegOptions;
  readonly endpoint: MsrpEndpoint;
  readonly places: MsrpPlaces;
  readonly audio: AudioBridge;
  /** Sends texts outside of calls. */
  readonly userAgent: () => Pick<SipUserAgent, 'request'>;
  readonly now: () => number;
  /** A line for the operator. */
  readonly info: (line: string) => void;
  /** Somebody reads too slowly: a step of what is done about it (RFC 7701 §6.4). */
  readonly congestion: (step: CongestionStep) => void;
}

/** Who comes in, where and how. */
export interface Entrance extends Approach {
  readonly room: ChatRoom;
  readonly seat: Seat;
  readonly release: Release;
  /** The address of ours that its SIP uses. */
  readonly local: string;
  readonly method: JoiningMethod;
  /** Who has asked for it to be called. */
  readonly by?: UserUri;
  /** It is in the roster. */
  readonly onJoined?: () => void;
  /** The Subject header of its INVITE. */
  readonly subject?: string | undefined;
  /** The device, where it names itself. */
  readonly instance?: string | undefined;
  /** What of the room's past it wants, at most. */
  readonly wish?: PastWish;
}

/** Makes the legs of all conferences, for those who dial in and those who are dialled, and knows which are alive. */
export class LegMaker {
  readonly #parts: LegMakerParts;
  readonly #alive = new Set<Leg>();
  readonly #textTurns = new Turns(LARGE_TEXTS);
  readonly #onePerUri = new OnePerUri();
  readonly #byId = new Map<EndpointId, Leg>();
  /** They are asked for several times by each who comes in. */
  readonly #byUser = new Map<UserUri, Set<Leg>>();
  /** The calls that are over. */
  readonly ended: EndedCalls;

  constructor(parts: LegMakerParts) {
    this.#parts = parts;
    this.ended = new EndedCalls(parts.now);
  }

  /** All legs that are not over. */
  get alive(): ReadonlySet<Leg> {
    return this.#alive;
  }

  /** Whether large texts have yet to go out by MESSAGE, so that further ones would only wait behind them. */
  get congested(): boolean {
    return this.#textTurns.waiting > 0;
  }

  /** The legs of somebody in a room. */
  of(room: ChatRoom, user: UserUri): Leg[] {
    return [...(this.#byUser.get(user) ?? [])].filter((leg) => leg.room === room);
  }

  /** The leg that lives in a dialog (RFC 3261 §12: Call-ID, our tag, the peer's tag). */
  inDialog(callId: string, localTag: string, remoteTag: string): Leg | undefined {
    return [...this.#alive].find(({ session }) => {
      const dialog = session?.dialog;
      return dialog?.callId === callId && dialog.localTag === localTag && dialog.remoteTag === remoteTag;
    });
  }

  /** A leg of somebody, in whatever room, whose dialog shows how to reach him. */
  reaching(user: UserUri): Leg | undefined {
    return [...(this.#byUser.get(user) ?? [])].find((leg) => leg.session?.dialog.flow !== undefined);
  }

  /** The leg of an endpoint, while it is alive. */
  find(id: EndpointId): Leg | undefined {
    return this.#byId.get(id);
  }

  /** Makes a leg; it is alive from now on, until it ends or is abandoned. */
  make(entrance: Entrance): Leg {
    const { room, caller, profile, local, method, seat, release, instance, wish = {} } = entrance;
    const { options, places, audio, now, info } = this.#parts;
    const id = newEndpointId();
    const speaker = speakerOf(entrance, id);
    // RFC 4975 §5.4: a message may go on over the next session of the leg.
    const assembler = new Assembler({
      // What a sender says of its size counts characters with some, and UTF-8 has up to four octets for one.
      maxMessageBytes: 4 * options.collected,
      chunkTimeout: options.chunkTimeout,
    });
    const media = new LegMedia({
      policy: this.#policy(room, local, profile),
      places,
      local,
      audio,
      manners: () => mannersOf(leg.profile),
      newChat: (place) => this.#newChat(room, speaker, place, assembler, () => leg),
      newFile: (place, file) =>
        this.#newFile(room, speaker, place, file, {
          onAborted: () => {
            leg.fileAborted();
          },
        }),
      chatroom: () => room.rules.features,
      title: sessionName(room),
      now,
    });
    const { userAgent } = this.#parts;
    const limits = DEFAULT_TEXT_LIMITS;
    const texts = new TextLeg({
      room,
      speaker,
      known: caller.alias === undefined,
      profile: () => leg.profile,
      userAgent,
      turns: this.#textTurns,
      onePerUri: this.#onePerUri,
      limits,
      now,
      info,
      over: () => {
        leg.textsOver();
      },
    });
    if (profile.directions) media.silence(room.rules.isSilenced(caller.user));
    const onGone = (gone: Leg, dialog: DialogName | undefined): void => {
      assembler.abort('its sender has left');
      if (dialog !== undefined) this.ended.add(dialog);
      this.#remove(gone);
    };
    const { grace } = options;
    const leg: Leg = new Leg({
      id,
      room,
      speaker,
      caller,
      displayName: room.rules.shownAs(caller.user, caller.displayName),
      profile,
      method,
      media,
      texts,
      seat,
      release,
      instance,
      others: () => this.of(room, caller.user).filter((other) => other !== leg && other.instance === instance),
      by: entrance.by,
      onJoined: entrance.onJoined,
      subject: entrance.subject,
      wish,
      grace,
      now,
      onGone,
      info,
    });
    this.#add(leg);
    return leg;
  }

  #add(leg: Leg): void {
    this.#alive.add(leg);
    this.#byId.set(leg.id, leg);
    const { user } = leg.caller;
    const ofUser = this.#byUser.get(user);
    if (ofUser === undefined) this.#byUser.set(user, new Set([leg]));
    else ofUser.add(leg);
  }

  #remove(leg: Leg): void {
    this.#alive.delete(leg);
    this.#byId.delete(leg.id);
    const { user } = leg.caller;
    const ofUser = this.#byUser.get(user);
    ofUser?.delete(leg);
    if (ofUser?.size === 0) this.#byUser.delete(user);
  }

  /** The media of a call that only brings files, sent as this speaker; `over`: one of them has come, or will not. */
  fileMedia(
    { room, profile, local }: Pick<Entrance, 'room' | 'profile' | 'local'>,
    speaker: Speaker,
    over: () => void,
  ): LegMedia {
    const { places, audio, now } = this.#parts;
    return new LegMedia({
      policy: this.#policy(room, local, profile),
      places,
      local,
      audio,
      manners: () => mannersOf(profile),
      newFile: (place, file) => this.#newFile(room, speaker, place, file, { onOver: over }),
      chatroom: () => [],
      title: sessionName(room),
      now,
    });
  }

  #policy(room: ChatRoom, local: string, { bareText }: PeerProfile): MediaPolicy {
    const { options, places } = this.#parts;
    return {
      audio: options.audio,
      tls: places.at('msrps', 'tcp', local) !== undefined,
      plain: !room.rules.requiresTls,
      bareText,
      maxFile: room.rules.maxMessage,
      maxFiles: options.filesAtOnce,
    };
  }

  #newChat(room: ChatRoom, speaker: Speaker, place: MsrpPlace, assembler: Assembler, leg: () => Leg): ChatSession {
    const { endpoint, options, now, info, congestion } = this.#parts;
    const chat: ChatSession = new ChatSession({
      endpoint,
      room,
      speaker,
      collected: options.collected,
      congestedFor: options.congestedFor,
      session: {
        ...place,
        assembler,
        maxRelayedChunkBytes: options.relayedChunkBytes,
        // Deviation: RFC 4975 §6.1 compares whole URIs. Clients name their own idea of where they are, and boxes on the way
        // rewrite it (what RFC 6714 came of); our session ids are as hard to guess as the URI (§14.1), so nothing is lost.
        matchBySessionId: true,
        maxQueuedBytes: options.maxQueuedBytes,
        bindTimeout: options.bindTimeout,
      },
      now,
      onBound: () => {
        leg().chatBound();
      },
      onCongestion: (step, leftOut = 0) => {
        congestion(step);
        const who = `${room.uri}: ${speaker.shown}`;
        if (step === 'marked') info(`${who} reads too slowly: messages are left out`);
        else if (step === 'relieved') info(`${who} reads fast enough again: ${String(leftOut)} messages were left out`);
        else if (step === 'let_go') {
          info(`${who} has read too slowly for too long: let go`);
          leg().end({ method: 'failed', reason: sipReason(480, 'reads too slowly') });
        }
      },
      onClosed: (reason, detail) => {
        leg().progress.left(chat);
        // One that was replaced by another offer is nobody's loss.
        if (leg().media.chat === chat) leg().chatClosed(`${reason}: ${detail}`);
        else room.arrivals.leave(chat);
      },
    });
    return chat;
  }

  #newFile(
    room: ChatRoom,
    speaker: Speaker,
    place: MsrpPlace,
    file: FileDescription,
    told: Pick<FileSessionParts, 'onOver' | 'onAborted'>,
  ): FileSession {
    const { endpoint, options, now } = this.#parts;
    return new FileSession({
      endpoint,
      room,
      speaker,
      file,
      collected: options.collected,
      congestedFor: options.congestedFor,
      chunkTimeout: options.chunkTimeout,
      ...told,
      session: {
        ...place,
        // As for chat sessions.
        matchBySessionId: true,
        bindTimeout: options.bindTimeout,
      },
      now,
    });
  }
}

function mannersOf(profile: PeerProfile): ChatManners {
  const { chunks, bareNicknames, bareText } = profile;
  return { chunks, bareNicknames, readBare: bareText ? (text) => plainText(text, profile) : undefined };
}

/** A key for an endpoint: never used twice. */
export function newEndpointId(): EndpointId {
  return endpointId(randomBytes(9).toString('base64url'));
}

/**
 * RFC 8866 §5.3: `-` where there is none. Deviation: RFC 3264 §5 recommends that for all calls; the name of a room means
 * something, and some clients show it.
 */
function sessionName(room: ChatRoom): string {
  const title = titleOf(room) ?? '';
  return title.replace(/[\r\n\0]/g, ' ').trim() || '-';
}
