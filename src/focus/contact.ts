import type { ContactParts } from '../../sip/index.ts';

/**
 * What our Contact says in everything that belongs to a conference (RFC 4579 §4.2, RFC 3840). `isfocus` is what makes
 * clients subscribe to the roster. Never `text`: some take it for a chat without a call.
 */
export const FOCUS_CONTACT: ContactParts = { params: { isfocus: true, message: true, automata: true } };
