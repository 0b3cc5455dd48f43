import { encodeText } from './bytes.ts';
import { ID_PART, idWord, newSessionPart } from './ids.ts';

/**
 * What all requests of a session have in common: the session's part of the transaction id, and the two paths
 * (RFC 4975 §7.1), rendered once.
 */
export class Envelope {
  /** The session's part of its transaction ids. */
  readonly idPart: string;
  /** The same as two words. */
  readonly idHigh: number;
  readonly idLow: number;
  readonly toPath: string;
  readonly fromPath: string;
  /** Of a SEND, from the start line to the end of From-Path, with a place left open for the message's part. */
  readonly send: Uint8Array;

  constructor(toPath: string, fromPath: string, idPart = newSessionPart()) {
    this.idPart = idPart;
    this.idHigh = idWord(idPart, 0);
    this.idLow = idWord(idPart, 4);
    this.toPath = toPath;
    this.fromPath = fromPath;
    this.send = new Uint8Array(encodeText(this.head(' '.repeat(ID_PART), 'SEND')));
  }

  /** Start line and paths of a request. */
  head(messagePart: string, method: string): string {
    return `MSRP ${this.idPart}${messagePart} ${method}\r\nTo-Path: ${this.toPath}\r\nFrom-Path: ${this.fromPath}\r\n`;
  }
}

/** In `send`, where the message's part of the transaction id belongs. */
export const SEND_PLACE = 'MSRP '.length + ID_PART;
