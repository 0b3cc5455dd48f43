import {
  answerSetup,
  AcceptedTypes,
  decisiveFingerprints,
  type FileDescription,
  type MsrpDescription,
  type MsrpMedia,
  peerOf,
  sameMsrpPath,
  setupAfterAnswer,
} from '../../msrp/index.ts';
import {
  answerDirection,
  checkNewOffer,
  createAnswer,
  createOffer,
  type Describer,
  matchAnswer,
  newOrigin,
  reverseDirection,
  type SdpMedia,
  type SessionDescription,
  succeed,
  withDirection,
} from '../../sip/index.ts';
import type { ChatManners } from '../chat/abilities.ts';
import type { ChatSession } from '../chat/chat-session.ts';
import type { Medium } from '../conference/events.ts';
import type { AudioBridge, AudioLine } from './audio.ts';
import { FileLines, type FileTransfer, refusedFile } from './file-lines.ts';
import { audioAnswer, audioOffer, connectionTo, msrpLine, withAllCodecs } from './media-lines.ts';
import {
  faultOf,
  type FileLine,
  type MediaPlan,
  type MediaPolicy,
  type MessageLine,
  type NoMedia,
  noMedia,
  planMedia,
} from './media-plan.ts';
import { type MsrpPlace, type MsrpPlaces, placeFor } from './msrp-places.ts';

/** What the media of a leg are made with. */
export interface LegMediaParts {
  readonly policy: MediaPolicy;
  readonly places: MsrpPlaces;
  /** The address of ours to which the peer's SIP came. */
  readonly local: string;
  readonly audio: AudioBridge;
  /** Absent in a call that only brings files. */
  readonly newChat?: (place: MsrpPlace) => ChatSession;
  /** What the peer does otherwise than others, as far as it is known by now. */
  readonly manners: () => ChatManners;
  /** The session of a file that the peer sends. */
  readonly newFile: (place: MsrpPlace, file: FileDescription) => FileTransfer;
  /** Tokens of our `chatroom` attribute, as the room's rules are now (RFC 7701 §8). */
  readonly chatroom: () => readonly string[];
  /** Printed as `s=`. */
  readonly title: string;
  readonly now: () => number;
}

/**
 * The media of one leg through all its offers and answers (RFC 3264): at most one chat session and one line of audio, at
 * fixed places among the lines. Or files alone, where that is all that the call is for.
 */
export class LegMedia {
  readonly #parts: LegMediaParts;
  #chat: ChatSession | undefined;
  #audio: AudioLine | undefined;
  readonly #files: FileLines;
  /** What we said last. */
  #local: SessionDescription | undefined;
  /** Our offer has no answer yet. */
  #offered = false;
  #silenced = false;
  /** What we take of the peer. */
  #acceptTypes = CPIM_ONLY;
  #closed = false;
  #plan: MediaPlan = { message: undefined, audio: undefined, files: [], faults: [] };

  constructor(parts: LegMediaParts) {
    this.#parts = parts;
    const { places, policy } = parts;
    this.#files = new FileLines({
      open: (line) => this.#fileFor(line),
      fingerprints: places.fingerprints,
      maxSize: policy.maxFile,
    });
  }

  /** The chat session agreed, whether it lives or not. */
  get chat(): ChatSession | undefined {
    return this.#chat;
  }

  /** Whether there is a line of audio. */
  get hasAudio(): boolean {
    return this.#audio !== undefined;
  }

  /** Whether an offer of ours has no answer yet. */
  get awaitsAnswer(): boolean {
    return this.#offered;
  }

  /** Whether the peer wants to hear what is said (RFC 3264 §8.4: it may hold the line). */
  get listens(): boolean {
    const direction = this.#plan.message?.media.direction;
    return direction === 'sendrecv' || direction === 'recvonly';
  }

  /** Whether the peer shall only listen to the chat, from the next offer or answer on. Tells whether one would say so now. */
  silence(silenced: boolean): boolean {
    const changed = this.#silenced !== silenced;
    this.#silenced = silenced;
    return changed && this.#plan.message !== undefined;
  }

  /** Answers an offer. A chat session whose path is still the same stays (RFC 4975 §8.4); another path is another session. */
  async answer(offer: SessionDescription): Promise<SessionDescription | NoMedia> {
    const before = this.#local;
    // What we said last has as many lines as what the peer said (RFC 3264 §6).
    const fault = before === undefined ? undefined : faultOf(() => checkNewOffer(before, offer));
    if (fault !== undefined) return fault;
    this.#offered = false;
    const filesOnly = this.#parts.newChat === undefined;
    const plan = planMedia(offer, this.#parts.policy, filesOnly);
    const chat = this.#chatFor(plan.message);
    const audio = plan.audio === undefined ? undefined : await this.#audioFor(plan.audio.peer.host);
    if (this.#closed) {
      chat?.close('the call is over');
      audio?.close();
      return noMedia('the call is over');
    }
    if (chat === undefined && audio === undefined && !(filesOnly && plan.files.length > 0)) {
      if (plan.audio !== undefined) return { ...noMedia('no port for audio is free'), forNow: true };
      return plan.faults.length > 0 ? plan : noMedia('a message line for the chat is needed');
    }
    this.#use(plan, chat, audio);
    this.#files.use(plan.files);
    const answer = createAnswer(this.#describer(), offer, (line, index) => {
      if (chat !== undefined && plan.message?.index === index) return this.#messageAnswer(chat, plan.message.media);
      if (audio !== undefined && plan.audio?.index === index) {
        return audioAnswer(audio, plan.audio, line, answerDirection(plan.audio.direction, this.#audioWish()));
      }
      const file = plan.files.find((each) => each.index === index);
      return (file === undefined ? undefined : this.#files.answer(file)) ?? refusedFile(line);
    });
    if (chat !== undefined && plan.message !== undefined && answerSetup(plan.message.media.setup) === 'active') {
      if (!chat.isBound) chat.dial();
    }
    return this.#say(answer);
  }

  /**
   * An offer of ours: what there is, or, at the start, a message line and one of audio. The latter is inactive for who
   * has called without an offer, and as configured for whom we call: an inactive line would look like a call on hold.
   */
  async offer(start: 'called' | 'calling' = 'called'): Promise<SessionDescription> {
    this.#offered = true;
    if (this.#local !== undefined) return this.#say(this.#offeredAgain(this.#local));
    const lines: SdpMedia[] = [];
    const scheme = this.#parts.policy.plain ? 'msrp' : 'msrps';
    const at = this.#parts.places.at(scheme, 'tcp', this.#parts.local);
    this.#chat = at === undefined ? undefined : this.#parts.newChat?.({ at });
    if (this.#chat !== undefined) lines.push(this.#messageOffer(this.#chat));
    this.#audio = this.#parts.policy.audio === 'decline' ? undefined : await this.#parts.audio.open(this.#parts.local);
    if (this.#closed) this.close('the call is over');
    const direction = start === 'called' ? 'inactive' : this.#audioWish();
    if (this.#audio !== undefined) lines.push(audioOffer(this.#audio, direction));
    return this.#say(createOffer(this.#describer(), lines));
  }

  /**
   * The offer that a re-INVITE without one asks for. It may be for another telephone, which takes the place of the one that
   * has called: so it has all codecs, as in a new call (RFC 3261 §14.2).
   */
  async offerAnew(): Promise<SessionDescription> {
    const index = this.#audio === undefined ? undefined : this.#plan.audio?.index;
    if (this.#local === undefined || index === undefined) return this.offer();
    this.#offered = true;
    const { media, ...session } = this.#offeredAgain(this.#local);
    return this.#say({ ...session, media: media.map((line, at) => (at === index ? withAllCodecs(line) : line)) });
  }

  /** Takes the peer's answer to our offer. Undefined: at least one line is in use. */
  settle(answer: SessionDescription): NoMedia | undefined {
    const offer = this.#local;
    this.#offered = false;
    if (offer === undefined) return noMedia('an answer without an offer');
    const fault = faultOf(() => {
      matchAnswer(offer, answer);
    });
    if (fault !== undefined) return fault;
    const plan = planMedia(answer, this.#parts.policy);
    const chat = plan.message === undefined ? undefined : this.#chat;
    const audio = plan.audio === undefined ? undefined : this.#audio;
    this.#use(plan, chat, audio);
    const fingerprints = decisiveFingerprints(plan.message?.media.fingerprints ?? []);
    if (fingerprints.length > 0) chat?.vouch(fingerprints);
    this.#files.settle(answer);
    if (chat !== undefined && setupAfterAnswer('actpass', plan.message?.media.setup) === 'active' && !chat.isBound) {
      chat.dial();
    }
    if (chat !== undefined || audio !== undefined) return undefined;
    return plan.faults.length > 0 ? plan : noMedia('no line is in use');
  }

  /** The media as the roster shows them, each with its direction as the participant sees it (RFC 4575 §5.8.5). */
  roster(): readonly Medium[] {
    const { message, audio } = this.#plan;
    const media: Medium[] = [];
    if (message !== undefined && this.#chat !== undefined) {
      media.push({ id: String(message.index), type: 'message', status: message.media.direction });
    }
    if (audio !== undefined && this.#audio !== undefined) {
      const status = reverseDirection(answerDirection(audio.direction, this.#audioWish()));
      media.push({ id: String(audio.index), type: 'audio', status });
    }
    return media;
  }

  /** Whether every file that was to come has come, or will not. */
  get filesAreOver(): boolean {
    return this.#files.areOver;
  }

  /** The participant is in the room: the files that it sends may be judged. */
  admitFiles(): void {
    this.#files.admit();
  }

  /** Ends what there is, and what is still to come. */
  close(detail: string): void {
    this.#closed = true;
    this.#files.close(detail);
    this.#chat?.close(detail);
    this.#audio?.close();
    this.#audio = undefined;
  }

  #chatFor(line: MessageLine | undefined): ChatSession | undefined {
    if (line === undefined) return undefined;
    const current = this.#chat;
    if (
      current?.open === true &&
      (current.remotePath === undefined || sameMsrpPath(current.remotePath, line.media.path))
    ) {
      return current;
    }
    const place = placeFor(line.media, this.#parts.places, this.#parts.local);
    return place === undefined ? undefined : this.#parts.newChat?.(place);
  }

  async #audioFor(peer: string): Promise<AudioLine | undefined> {
    const { audio, local } = this.#parts;
    const current = this.#audio;
    const stays = current !== undefined && (current.reaches(peer) || !audio.reaches(peer));
    return stays ? current : await audio.open(local, peer);
  }

  #fileFor({ media, file }: FileLine): FileTransfer | undefined {
    const place = placeFor(media, this.#parts.places, this.#parts.local);
    return place === undefined ? undefined : this.#parts.newFile(place, file);
  }

  #use(plan: MediaPlan, chat: ChatSession | undefined, audio: AudioLine | undefined): void {
    const before = this.#chat;
    if (this.#audio !== audio) this.#audio?.close();
    this.#plan = plan;
    this.#chat = chat;
    this.#audio = audio;
    // Only now, so that nobody takes it for one that is lost.
    if (before !== chat) before?.close(chat === undefined ? 'not wanted by the peer' : 'replaced by a new offer');
    if (chat !== undefined && plan.message !== undefined) {
      const { path, acceptTypes, acceptWrappedTypes, chatroom, maxSize } = plan.message.media;
      chat.meet(path, {
        acceptTypes,
        acceptWrappedTypes,
        cpim: acceptTypes.accepts('message/cpim'),
        maxSize,
        chatroom: chatroom !== undefined,
        privateMessages: chatroom?.includes('private-messages') === true,
        manners: this.#parts.manners(),
      });
    }
    if (audio !== undefined && plan.audio !== undefined) {
      audio.direct({ ...plan.audio.peer, direction: answerDirection(plan.audio.direction, this.#audioWish()) });
    }
  }

  #audioWish(): 'sendrecv' | 'inactive' {
    return this.#parts.policy.audio === 'silence' ? 'sendrecv' : 'inactive';
  }

  #messageAnswer(chat: ChatSession, offered: MsrpMedia): SdpMedia {
    this.#acceptTypes = offered.acceptTypes.accepts('message/cpim') ? CPIM_ONLY : CPIM_OR_TEXT;
    const direction = answerDirection(offered.direction, this.#chatWish());
    return this.#messageLine(chat, {
      setup: answerSetup(offered.setup),
      acceptTypes: this.#acceptTypes,
      direction,
    });
  }

  #messageLine(
    { localPath }: ChatSession,
    said: Pick<MsrpDescription, 'setup' | 'acceptTypes' | 'direction'>,
  ): SdpMedia {
    const { maxSize, fingerprints } = this.#parts.places;
    const chatroom = this.#parts.chatroom();
    // RFC 4975 §8.6: what stands in accept-types is not repeated.
    const acceptWrappedTypes = said.acceptTypes === CPIM_ONLY ? ANYTHING : ANYTHING_ELSE;
    return msrpLine({ path: localPath, acceptWrappedTypes, maxSize, chatroom, fingerprints, ...said });
  }

  #chatWish(): 'sendrecv' | 'sendonly' {
    return this.#silenced ? 'sendonly' : 'sendrecv';
  }

  /** The same description as an offer of ours, with the chat as we want it now. */
  #offeredAgain(description: SessionDescription): SessionDescription {
    const { message } = this.#plan;
    // RFC 4975 §5.4, §8.4: a session that has failed is not bound again, so its path would lead nowhere.
    if (message !== undefined && this.#chat?.open === false) this.#chat = this.#chatFor(message);
    const chat = this.#chat;
    const media = description.media.map((line, index) =>
      chat !== undefined && message?.index === index ? this.#messageOffer(chat) : this.#files.offered(line, index),
    );
    return { ...description, media };
  }

  /** RFC 6135 §4.2.2: an offer never says `passive`, also where an answer of ours did. */
  #messageOffer(chat: ChatSession): SdpMedia {
    const line = this.#messageLine(chat, { setup: 'actpass', acceptTypes: this.#acceptTypes });
    return { ...line, attributes: withDirection(line.attributes, this.#chatWish()) };
  }

  #describer(): Describer {
    const host = this.#chat === undefined ? (this.#audio?.host ?? this.#files.host) : peerOf(this.#chat.localPath).host;
    const connection = connectionTo(host ?? '127.0.0.1');
    return { connection, origin: this.#local?.origin ?? newOrigin(connection, this.#parts.now()) };
  }

  #say(description: SessionDescription): SessionDescription {
    const titled = { ...description, name: this.#parts.title };
    this.#local = this.#local === undefined ? titled : succeed(this.#local, titled);
    return this.#local;
  }
}

const CPIM_ONLY = new AcceptedTypes(['message/cpim']);
/** Deviation: RFC 7701 §5.2 wants the first alone, but who cannot write CPIM would be told that nothing is taken of it. */
const CPIM_OR_TEXT = new AcceptedTypes(['message/cpim', 'text/plain']);
const ANYTHING = new AcceptedTypes(['text/plain', 'text/html', '*']);
const ANYTHING_ELSE = new AcceptedTypes(['text/html', '*']);
