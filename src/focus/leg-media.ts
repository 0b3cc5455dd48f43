import {
  answerSetup,
  AcceptedTypes,
  decisiveFingerprints,
  type FileDescription,
  formatMsrpMedia,
  type Fingerprint,
  type LocalAddress,
  type MsrpDescription,
  type MsrpMedia,
  peerOf,
  type MsrpScheme,
  type Setup,
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
  type SdpConnection,
  type SdpMedia,
  type SessionDescription,
  SipError,
  succeed,
  withDirection,
} from '../../sip/index.ts';
import type { ChatManners } from '../chat/abilities.ts';
import type { ChatSession } from '../chat/chat-session.ts';
import type { Medium } from '../conference/events.ts';
import type { AudioBridge, AudioLine } from './audio.ts';
import { AUDIO_CODECS, type Direction } from './audio.ts';
import { FileLines, type FileTransfer, refusedFile } from './file-lines.ts';
import {
  type AudioOffer,
  type FileLine,
  type MediaPlan,
  type MediaPolicy,
  type MessageLine,
  MediaFault,
  planMedia,
} from './media-plan.ts';

/** Where MSRP sessions can be had, and what is said of them. */
export interface MsrpPlaces {
  /**
   * Our address for a scheme and a transport (`tcp`, `ws`) that somebody reaches whose SIP came to `local`; undefined
   * where there is none.
   */
  readonly at: (scheme: MsrpScheme, transport: string, local: string) => LocalAddress | undefined;
  /** Of our certificate, for TLS lines. */
  readonly fingerprints: readonly Fingerprint[];
  /** Largest message taken, in octets. */
  readonly maxSize: number;
}

/** Where a chat session is to be made. */
export interface ChatPlace {
  /** One of our addresses. */
  readonly at: LocalAddress;
  /** Where it is us who connect with TLS, the peer's certificate must have one of these (RFC 8122 §6.2). */
  readonly fingerprints?: readonly Fingerprint[];
}

/** What the media of a leg are made with. */
export interface LegMediaParts {
  readonly policy: MediaPolicy;
  readonly places: MsrpPlaces;
  /** The address of ours to which the peer's SIP came. */
  readonly local: string;
  readonly audio: AudioBridge;
  /** Absent in a call that only brings files. */
  readonly newChat?: (place: ChatPlace) => ChatSession;
  /** What the peer does otherwise than others, as far as it is known by now. */
  readonly manners: () => ChatManners;
  /** The session of a file that the peer sends. */
  readonly newFile: (place: ChatPlace, file: FileDescription) => FileTransfer;
  /** Tokens of our `chatroom` attribute (RFC 7701 §8). */
  readonly chatroom: readonly string[];
  /** Printed as `s=`. */
  readonly title: string;
  readonly now: () => number;
}

/** A description that cannot be used: what a 488 says. */
export interface NoMedia {
  readonly faults: readonly MediaFault[];
}

/** A description that cannot be used for a reason that has no code of its own. */
export function noMedia(text: string): NoMedia {
  return { faults: [new MediaFault(399, text)] };
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
    try {
      // What we said last has as many lines as what the peer said (RFC 3264 §6).
      if (this.#local !== undefined) checkNewOffer(this.#local, offer);
    } catch (fault) {
      if (fault instanceof SipError) return noMedia(fault.message);
      throw fault;
    }
    this.#offered = false;
    const filesOnly = this.#parts.newChat === undefined;
    const plan = planMedia(offer, this.#parts.policy, filesOnly);
    const chat = this.#chatFor(plan.message);
    const audio = plan.audio === undefined ? undefined : (this.#audio ?? (await this.#parts.audio.open()));
    if (this.#closed) {
      chat?.close('the call is over');
      audio?.close();
      return noMedia('the call is over');
    }
    if (chat === undefined && audio === undefined && !(filesOnly && plan.files.length > 0)) {
      const why = plan.audio === undefined ? 'a message line for the chat is needed' : 'no port for audio is free';
      return plan.faults.length > 0 ? plan : noMedia(why);
    }
    this.#use(plan, chat, audio);
    this.#files.use(plan.files);
    const answer = createAnswer(this.#describer(), offer, (line, index) => {
      if (chat !== undefined && plan.message?.index === index) return this.#messageAnswer(chat, plan.message.media);
      if (audio !== undefined && plan.audio?.index === index) return this.#audioAnswer(audio, plan.audio, line);
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
    if (this.#local !== undefined) return this.#say(this.#directed(this.#local));
    const lines: SdpMedia[] = [];
    const scheme = this.#parts.policy.plain ? 'msrp' : 'msrps';
    const at = this.#parts.places.at(scheme, 'tcp', this.#parts.local);
    this.#chat = at === undefined ? undefined : this.#parts.newChat?.({ at });
    if (this.#chat !== undefined) lines.push(this.#messageLine(this.#chat, 'actpass'));
    this.#audio = this.#parts.policy.audio === 'decline' ? undefined : await this.#parts.audio.open();
    if (this.#closed) this.close('the call is over');
    const direction = start === 'called' ? 'inactive' : this.#audioWish();
    if (this.#audio !== undefined) lines.push(audioLine(this.#audio, AUDIO_FORMATS, AUDIO_MAPS, direction));
    return this.#say(createOffer(this.#describer(), lines));
  }

  /** Takes the peer's answer to our offer. Undefined: at least one line is in use. */
  settle(answer: SessionDescription): NoMedia | undefined {
    const offer = this.#local;
    this.#offered = false;
    if (offer === undefined) return noMedia('an answer without an offer');
    try {
      matchAnswer(offer, answer);
    } catch (fault) {
      if (fault instanceof SipError) return noMedia(fault.message);
      throw fault;
    }
    const plan = planMedia(answer, this.#parts.policy);
    const chat = plan.message === undefined ? undefined : this.#chat;
    const audio = plan.audio === undefined ? undefined : this.#audio;
    if (chat === undefined) this.#chat?.close('not wanted by the peer');
    if (audio === undefined) this.#audio?.close();
    this.#use(plan, chat, audio);
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
    const place = this.#placeFor(line.media);
    return place === undefined ? undefined : this.#parts.newChat?.(place);
  }

  #fileFor({ media, file }: FileLine): FileTransfer | undefined {
    const place = this.#placeFor(media);
    return place === undefined ? undefined : this.#parts.newFile(place, file);
  }

  /** One of our addresses for a session with the peer of that line. */
  #placeFor({ protocol, path, fingerprints: offered }: MsrpMedia): ChatPlace | undefined {
    const scheme = protocol === 'TCP/TLS/MSRP' ? 'msrps' : 'msrp';
    const at = this.#parts.places.at(scheme, peerOf(path).transport, this.#parts.local);
    const fingerprints = decisiveFingerprints(offered);
    if (at === undefined) return undefined;
    return fingerprints.length === 0 ? { at } : { at, fingerprints };
  }

  #use(plan: MediaPlan, chat: ChatSession | undefined, audio: AudioLine | undefined): void {
    if (this.#chat !== chat) this.#chat?.close('replaced by a new offer');
    if (this.#audio !== audio) this.#audio?.close();
    this.#plan = plan;
    this.#chat = chat;
    this.#audio = audio;
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
    const speaksCpim = offered.acceptTypes.accepts('message/cpim');
    const line = this.#messageLine(chat, answerSetup(offered.setup), speaksCpim ? CPIM_ONLY : CPIM_OR_TEXT);
    const direction = answerDirection(offered.direction, this.#chatWish());
    return direction === 'sendrecv' ? line : { ...line, attributes: withDirection(line.attributes, direction) };
  }

  #messageLine(chat: ChatSession, setup: Setup, acceptTypes = CPIM_ONLY): SdpMedia {
    const secure = peerOf(chat.localPath).scheme === 'msrps';
    const description: MsrpDescription = {
      path: chat.localPath,
      acceptTypes,
      acceptWrappedTypes: ANYTHING,
      maxSize: this.#parts.places.maxSize,
      setup,
      chatroom: this.#parts.chatroom,
      fingerprints: secure ? this.#parts.places.fingerprints : [],
    };
    const { connection, attributes, ...line } = formatMsrpMedia(description);
    return {
      ...line,
      ...(connection === undefined ? {} : { connection: { netType: 'IN', ...connection } }),
      bandwidths: [],
      attributes: attributes.map(({ name, value }) => (value === undefined ? { name } : { name, value })),
    };
  }

  #chatWish(): 'sendrecv' | 'sendonly' {
    return this.#silenced ? 'sendonly' : 'sendrecv';
  }

  /** The same description, with the chat in the direction that we want now. */
  #directed(description: SessionDescription): SessionDescription {
    const chat = this.#plan.message?.index;
    const media = description.media.map((line, index) =>
      index === chat
        ? { ...line, attributes: withDirection(line.attributes, this.#chatWish()) }
        : this.#files.offered(line, index),
    );
    return { ...description, media };
  }

  #audioAnswer(audio: AudioLine, { peer, direction }: AudioOffer, offered: SdpMedia): SdpMedia {
    const format = String(peer.payloadType);
    const maps = [{ name: 'rtpmap', value: `${format} ${peer.codec.name}/8000` }];
    const formats = offered.formats.includes(format) ? [format] : offered.formats;
    return audioLine(audio, formats, maps, answerDirection(direction, this.#audioWish()));
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
const AUDIO_FORMATS = AUDIO_CODECS.map(({ payloadType }) => String(payloadType));
const AUDIO_MAPS = AUDIO_CODECS.map(({ payloadType, name }) => ({
  name: 'rtpmap',
  value: `${String(payloadType)} ${name}/8000`,
}));

function audioLine(
  audio: AudioLine,
  formats: readonly string[],
  maps: readonly { readonly name: string; readonly value: string }[],
  direction: Direction,
): SdpMedia {
  return {
    media: 'audio',
    port: audio.port,
    protocol: 'RTP/AVP',
    formats,
    connection: connectionTo(audio.host),
    bandwidths: [],
    attributes: [...maps, { name: direction }],
  };
}

function connectionTo(host: string): SdpConnection {
  return { netType: 'IN', addressType: host.includes(':') ? 'IP6' : 'IP4', address: host };
}
