import { type URI, UserAgent } from 'sip.js';
import { ClientError } from './errors.ts';

/** Who we are to the room. */
export interface Identity {
  /** Display name. */
  readonly name: string;
  /** SIP address, also the From of each message (RFC 7701 §6.2). */
  readonly uri: string;
}

/** Reads a room's address; `lobby@host` is taken for `sip:lobby@host`. Throws `ClientError` `address`. */
export function parseRoomUri(text: string): URI {
  return parseSipUri(text, 'is no address of a room; one looks like sip:lobby@example.com');
}

function parseSipUri(text: string, complaint: string): URI {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(text)?.[1];
  const uri = UserAgent.makeURI(scheme === undefined ? `sip:${text}` : text);
  if (uri?.user === undefined || uri.user === '' || uri.host === '' || !/^sips?$/i.test(uri.scheme)) {
    throw new ClientError('address', `${text} ${complaint}`);
  }
  // sip.js unescapes it twice, and throws at the second time.
  if (uri.user.includes('%'))
    throw new ClientError('address', `${text} has an escaped percent sign, which cannot be sent`);
  return uri;
}

/** The server's WebSocket where none is given: port 8080 of the room's host, with TLS for sips. */
export function defaultServer(room: URI): string {
  const secure = room.scheme === 'sips';
  return `${secure ? 'wss' : 'ws'}://${room.host}:8080/ws`;
}

/**
 * An address for somebody who gives only a name: the name as user part at the room's host, without what cannot stand there
 * or what sip.js gives back otherwise than it was (`:`, `%`, `+`, `/`, `?`): the room would know us by another address.
 */
export function identityOf(name: string, room: URI, uri?: string): Identity {
  if (uri !== undefined) {
    return { name, uri: parseSipUri(uri, 'is no SIP address; yours looks like sip:alice@example.com').toString() };
  }
  const words = name.toLowerCase().match(/[^\s\p{Cc}\p{Cs}:%+/?]+/gu) ?? [];
  const user = encodeURIComponent(Array.from(words.join('.')).slice(0, MAX_USER).join(''));
  return { name, uri: `sip:${user === '' ? 'anonymous' : user}@${room.host}` };
}

/** Most characters of a name that make an address. */
const MAX_USER = 64;
