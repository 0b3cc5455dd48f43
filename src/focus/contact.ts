import type { ContactParts } from '../../sip/index.ts';

/**
 * What our Contact says in everything that belongs to a conference (RFC 4579 §4.2, RFC 3840). `isfocus` is what makes
 * clients subscribe to the roster. Never `text`: some take it for a chat without a call.
 *
 * Deviation: RFC 6665 §4.5.1 wants a GRUU (`gr`). It may be self-made only by who is surely reached from everywhere (RFC 5627
 * §4.3), which this service cannot know; and it would keep clients from subscribing within their call (§4.5.2).
 */
export const FOCUS_CONTACT: ContactParts = { params: { isfocus: true, message: true, automata: true } };
