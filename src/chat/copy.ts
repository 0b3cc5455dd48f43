import { createHash } from 'node:crypto';
import { isMessageId, type Outgoing, prepare, type PreparedMessage } from '../../msrp/index.ts';
import type { Said } from '../conference/events.ts';
import type { EventNumber } from '../conference/ids.ts';

/**
 * A message on its way to many recipients, rendered once per form however many take it.
 */
export class Copy {
  /** Its place in the room's log; undefined for a line of the room itself that is not kept. */
  readonly n: EventNumber | undefined;
  readonly said: Said;
  #msrp: PreparedMessage | undefined;

  constructor(said: Said, n?: EventNumber) {
    this.said = said;
    this.n = n;
  }

  /** The copy that was rendered as this. */
  static of(rendered: Outgoing): Copy | undefined {
    return copies.get(rendered);
  }

  /**
   * For MSRP: the very bytes that came in (RFC 7701 §6.1), under a Message-ID of our own. It is the same whenever this
   * message is rendered, so that one who gets it again can tell.
   */
  get msrp(): PreparedMessage {
    if (this.#msrp !== undefined) return this.#msrp;
    const { contentType, cpim, by, messageId } = this.said;
    const id = createHash('sha256').update(`${by} ${messageId}`).digest('hex').slice(0, 32);
    this.#msrp = prepare({ ...(isMessageId(id) ? { messageId: id } : {}), contentType, body: cpim });
    copies.set(this.#msrp, this);
    return this.#msrp;
  }
}

const copies = new WeakMap<Outgoing, Copy>();
