/** What the peer of a chat session can take, and in which form it gets what is said. */
import { AcceptedTypes, type PeerManners } from '../../msrp/index.ts';
import { type BareText, nameBefore, type NamingRoom } from './bare-text.ts';
import type { Opened } from '../conference/events.ts';
import type { Copy, Form } from './copy.ts';
import type { Failure } from './fates.ts';
import type { Speaker } from './speaker.ts';

/** What the peer of a chat session can take, as its SDP said (RFC 7701 §5.2, §8). */
export interface ChatAbilities {
  /** Types it takes bare; what it takes bare it takes wrapped too (RFC 4975 §8.6). */
  readonly acceptTypes: AcceptedTypes;
  readonly acceptWrappedTypes: AcceptedTypes;
  /** `message/cpim` is among the types that it takes. */
  readonly cpim: boolean;
  /** Octets of the largest message it takes (RFC 4975 §8.6); undefined when it does not say. */
  readonly maxSize?: number | undefined;
  /** It has a `chatroom` attribute. */
  readonly chatroom: boolean;
  /** It listed `private-messages` in its `chatroom` attribute. */
  readonly privateMessages: boolean;
  /** What its family of clients does otherwise than the RFCs say. */
  readonly manners: ChatManners;
}

/** What a family of clients does otherwise than the RFCs say, as far as the chat is concerned. */
export interface ChatManners extends PeerManners {
  /** It sends plain text without CPIM; this says what such a text says. Undefined: it must not (RFC 7701 §6). */
  readonly readBare: ((text: string) => BareText) | undefined;
}

/** Of whom nothing is known yet, nothing is known to be refused. */
export const UNMET: ChatAbilities = {
  acceptTypes: new AcceptedTypes(['message/cpim']),
  acceptWrappedTypes: new AcceptedTypes([]),
  cpim: true,
  chatroom: true,
  privateMessages: false,
  manners: { readBare: undefined },
};

/** Whether the peer takes content of that type, wrapped or bare. */
export function takes({ acceptTypes, acceptWrappedTypes }: ChatAbilities, type: string): boolean {
  if (acceptWrappedTypes.accepts(type) || acceptTypes.accepts(type)) return true;
  // Deviation: RFC 4975 §8.6 has nothing sent that was not signalled. RFC 7701 §5.2 only recommends accept-wrapped-types:
  // who has none, and no text among accept-types, would be sent nothing at all.
  return acceptWrappedTypes.empty && !acceptTypes.accepts('text/plain');
}

/** Whether the peer can read a message that wraps content of that type: as it is, or its bare text. */
export function reads(peer: ChatAbilities, wrappedType: string | undefined): boolean {
  return peer.cpim ? wrappedType === undefined || takes(peer, wrappedType) : wrappedType === 'text/plain';
}

/** Why the peer gets a line in place of a large message; undefined when its octets can be passed on to it. */
export function obstacleTo({ wrappedType, size }: Opened, peer: ChatAbilities): string | undefined {
  if (!reads(peer, wrappedType)) return wrappedType ?? 'unknown type';
  const { cpim, maxSize = Infinity } = peer;
  // Its head cannot be taken off what is passed on as it comes.
  if (!cpim) return 'too large to be sent without CPIM';
  return (size ?? 0) > maxSize ? tooLarge(maxSize) : undefined;
}

/** The same of what is larger than the peer takes. */
export function tooLarge(maximum: number): string {
  return `more than ${maximum} octets`;
}

/** Whether the peer can be sent private messages (RFC 7701 §6.2, §8). */
export function takesPrivate(peer: ChatAbilities, speaker: Speaker): boolean {
  // Deviation: who is sent bare text cannot say that it knows them, but the text itself says that it is one. Who speaks
  // for many would show it to all of these.
  return peer.privateMessages || (!peer.cpim && !speaker.speaksForMany);
}

/**
 * The form in which the peer takes it, or is told of it; undefined if there is none.
 * @param readable what `reads` says of its type
 */
export function formOf(copy: Copy, readable: boolean, peer: ChatAbilities, room: NamingRoom): Form | undefined {
  const maximum = peer.maxSize ?? Infinity;
  // Deviation: RFC 7701 §5.2 has nothing but CPIM sent by a room. Some clients cannot read it; what it would show them
  // stands before the text.
  if (!peer.cpim) return copy.bare(nameBefore(copy, room), maximum);
  if (readable && copy.said.cpim.length <= maximum) return copy.whole;
  const inWords = takes(peer, 'text/plain') ? copy.inWords(maximum) : undefined;
  // What has no words is sent all the same: its peer refuses it, if it must (RFC 4975 §8.6, §10.5).
  return inWords ?? (readable ? copy.whole : undefined);
}

/** What the peer loses of a message in a form that is not the whole of it; undefined: nothing. */
export function lossOf(
  { said }: Copy,
  form: Form | undefined,
  readable: boolean,
  peer: ChatAbilities,
): Failure | undefined {
  const { wrappedType, cpim } = said;
  if (wrappedType === undefined) return undefined;
  if (!readable) return { is: 'not taken', detail: wrappedType };
  if (form?.is === 'cut') return { is: 'cut' };
  const { maxSize = Infinity } = peer;
  const isText = wrappedType === 'text/plain' || !peer.cpim;
  return isText || cpim.length <= maxSize ? undefined : { is: 'not taken', detail: tooLarge(maxSize) };
}

/** How to read a text that comes without a wrapper; undefined for what is none, or should have one. */
export function readerOfBare({ manners }: ChatAbilities, contentType: string): ChatManners['readBare'] {
  const { readBare } = manners;
  return readBare !== undefined && /^text\/plain *(?:;|$)/i.test(contentType) ? readBare : undefined;
}
