import { randomBytes } from 'node:crypto';
import { type CpimExtension, formatCpim } from '../../msrp/index.ts';
import type { Conference } from '../conference/conference.ts';
import type { ConferenceEvent, Said } from '../conference/events.ts';
import { type EndpointId, type EventNumber, messageId, type RoomUri, userUri } from '../conference/ids.ts';
import { announcementOf } from './announcements.ts';
import { Copy } from './copy.ts';
import { nameOfUser } from './names.ts';
import { EVERYONE } from './post.ts';
import type { Recipient } from './recipient.ts';
import type { MsrpSwitch } from './switch.ts';
import type { Texts } from './texts.ts';

/** The namespace under which clients of the sipsimple family know a line that is no participant's. */
const STATUS_NAMESPACE = 'urn:ag-projects:xml:ns:cpim';
/** And under this one, how many messages of the past come behind a line: programs must not take them for new. */
const PAST_NAMESPACE = 'urn:x-grouptextchat:past';

/** What the voice of a room needs. */
export interface VoiceParts {
  readonly uri: RoomUri;
  readonly conference: Conference;
  readonly texts: Texts;
  readonly now: () => number;
}

/** A line of the room about all up to a number. */
class Milestone extends Copy {
  readonly #through: EventNumber;

  constructor(said: Said, through: EventNumber) {
    super(said);
    this.#through = through;
  }

  override get through(): EventNumber {
    return this.#through;
  }
}

/** What the room itself says. None of it is kept. */
export class Voice {
  /** In its language. */
  readonly texts: Texts;
  readonly #parts: VoiceParts;
  readonly #switch: MsrpSwitch;

  constructor(parts: VoiceParts, to: MsrpSwitch) {
    this.texts = parts.texts;
    this.#parts = parts;
    this.#switch = to;
  }

  /** Says something to all, or to one endpoint. */
  tell(text: string, to?: EndpointId): void {
    const lines = new Map<string, Copy>();
    const there = to === undefined ? this.#switch.all() : [this.#switch.at(to)];
    for (const recipient of there) {
      if (recipient === undefined) continue;
      let line = lines.get(recipient.roomUri);
      if (line === undefined) {
        line = this.line(text, recipient);
        lines.set(recipient.roomUri, line);
      }
      recipient.deliver(line);
    }
  }

  /** Tells what has just changed the conference to those who should know. */
  announce(event: ConferenceEvent): void {
    const { conference, texts } = this.#parts;
    const said = announcementOf(event, conference, texts, (user) => nameOfUser(conference, user));
    if (said === undefined) return;
    if (said.to === undefined) this.tell(said.text);
    else for (const endpoint of said.to) this.tell(said.text, endpoint);
  }

  /** A line for one recipient, before so many messages of the past: nobody but the room may say how many. */
  heading(text: string, recipient: Pick<Recipient, 'roomUri'>, count: number): Copy {
    return this.line(text, recipient, [
      { namespace: PAST_NAMESPACE, prefix: 'gtc', name: 'History', value: String(count) },
    ]);
  }

  /**
   * A line for one recipient: a To that is not the room as it knows it would be a private message to it.
   * @param through who is given it has come so far in the room's log
   */
  line(
    text: string,
    { roomUri: shown }: Pick<Recipient, 'roomUri'>,
    marks: readonly CpimExtension[] = [],
    through?: EventNumber,
  ): Copy {
    const { uri, now } = this.#parts;
    const at = now();
    const cpim = formatCpim({
      from: { uri: shown },
      to: [{ uri: shown }],
      dateTime: new Date(at),
      extensions: [{ namespace: STATUS_NAMESPACE, prefix: 'agp', name: 'Message-Type', value: 'status' }, ...marks],
      contentType: 'text/plain; charset=utf-8',
      content: text,
    });
    const said: Said = {
      type: 'said',
      at,
      // The room is the author of its own lines.
      by: userUri(uri),
      messageId: messageId(randomBytes(12).toString('hex')),
      audience: EVERYONE,
      contentType: 'message/cpim',
      wrappedType: 'text/plain',
      cpim,
    };
    return through === undefined ? new Copy(said) : new Milestone(said, through);
  }
}
