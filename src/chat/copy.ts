import { prepare, type PreparedMessage } from '../../msrp/index.ts';
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

  /** For MSRP: the very bytes that came in (RFC 7701 §6.1), under a Message-ID of our own. */
  get msrp(): PreparedMessage {
    return (this.#msrp ??= prepare({ contentType: this.said.contentType, body: this.said.cpim }));
  }
}
