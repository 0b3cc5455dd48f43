import type { Content, NotifyCause } from '../../sip/index.ts';
import type { ChatRoom } from '../chat/room.ts';
import type { Conference } from '../conference/conference.ts';
import { CONFERENCE_INFO_TYPE, type DocumentStyle, DocumentWriter, type Heading } from '../conference/document.ts';
import type { AbsoluteUri } from '../conference/ids.ts';

/** How many documents of one state are kept for the next subscriber who needs the same. */
const KEPT = 16;

/**
 * Writes the documents of one style. Subscribers of one room mostly want the very same bytes, so what was written for one
 * is kept for the others until the conference changes.
 */
export class SharedDocuments {
  readonly #writer: DocumentWriter;
  readonly #kept = new Map<string, Buffer>();
  #of: { readonly conference: Conference; readonly revision: number } | undefined;

  constructor(style: DocumentStyle) {
    this.#writer = new DocumentWriter(style);
  }

  /** The whole state. */
  full(conference: Conference, heading: Heading): Buffer {
    return this.#shared(conference, `full ${keyOf(heading)}`, () => this.#writer.full(conference, heading));
  }

  /** What changed after a revision; the whole state if that is too long ago, or takes no more (RFC 6446 §5.5.1). */
  partial(conference: Conference, since: number, heading: Heading): Buffer {
    const writer = this.#writer;
    return this.#shared(conference, `partial ${String(since)} ${keyOf(heading)}`, () => {
      const partial = writer.partial(conference, since, heading);
      if (partial !== undefined && !writer.mayExceedFull(conference, since)) return partial;
      const full = writer.full(conference, heading);
      return partial === undefined || full.length <= partial.length ? full : partial;
    });
  }

  /** The conference has ceased to exist. */
  deleted(heading: Heading): Buffer {
    return Buffer.from(this.#writer.deleted(heading));
  }

  #shared(conference: Conference, key: string, write: () => string): Buffer {
    const { revision } = conference;
    if (this.#of?.conference !== conference || this.#of.revision !== revision || this.#kept.size >= KEPT) {
      this.#kept.clear();
      this.#of = { conference, revision };
    }
    let document = this.#kept.get(key);
    if (document === undefined) {
      document = Buffer.from(write());
      this.#kept.set(key, document);
    }
    return document;
  }
}

function keyOf({ entity, version }: Heading): string {
  return `${String(version)} ${entity}`;
}

/** What the documents of one subscription are made of. */
export interface SubscriptionDocumentsParts {
  readonly room: Pick<ChatRoom, 'conference'>;
  readonly shared: SharedDocuments;
  /** The subscriber understands partial documents. */
  readonly partial: boolean;
  /** The conference URI as the subscriber dialled it. */
  readonly entity: AbsoluteUri;
  /** What the subscriber saw last, in an earlier subscription; 0 for nothing. */
  readonly version: number;
}

/** The documents of one subscription: their versions are dense (RFC 4575 §5.2), whatever the conference's revisions are. */
export class SubscriptionDocuments {
  readonly #parts: SubscriptionDocumentsParts;
  #version: number;
  #revision = -1;

  constructor(parts: SubscriptionDocumentsParts) {
    this.#parts = parts;
    this.#version = parts.version;
  }

  /** The next document that is due for this cause; undefined when there is nothing to say. */
  next(cause: NotifyCause): Content | undefined {
    const { room, shared, partial, entity } = this.#parts;
    const { conference } = room;
    // RFC 6665 §4.4.3: the one NOTIFY of a fetch is both the first and the last, and has the state.
    const fetched = cause === 'terminated' && this.#revision === -1;
    if (cause === 'terminated' && !fetched && conference.endedAt === undefined) return undefined;
    if (cause === 'changed' && conference.revision === this.#revision) return undefined;
    const heading = { entity, version: this.#version + 1 };
    const body =
      cause === 'terminated' && !fetched
        ? shared.deleted(heading)
        : cause === 'changed' && partial
          ? shared.partial(conference, this.#revision, heading)
          : shared.full(conference, heading);
    this.#version += 1;
    this.#revision = conference.revision;
    return { contentType: CONFERENCE_INFO_TYPE, body };
  }
}
