import { createHash, type Hash } from 'node:crypto';
import {
  type FileDescription,
  formatCpim,
  type Incoming,
  type MessageOpening,
  type MessageSink,
  type Refusal as MsrpRefusal,
} from '../../msrp/index.ts';
import { bareFileName } from './file-name.ts';
import { LargePosting, type LargePostingParts } from './large-posting.ts';

/** What the posting of a file is made with. */
export interface FilePostingParts extends LargePostingParts {
  /** As the sender's SDP described it. */
  readonly file: FileDescription;
  /** Its last octet has come, and it is what it was said to be. */
  readonly complete: () => void;
  /** It was refused with 413 before its end: no more of it is wanted. */
  readonly aborted: () => void;
  readonly now: number;
}

/**
 * One file as it comes over a session of its own (RFC 5547), posted to the room as if it had been sent in the chat: put
 * into CPIM, which is what a room speaks (RFC 7701 §6.1), unless it comes in CPIM already. What does not have the size and
 * the hashes that were announced has failed (RFC 5547 §8.3.1): its last octet is not passed on as such.
 */
export class FilePosting implements MessageSink {
  readonly #parts: FilePostingParts;
  readonly #posting: LargePosting;
  /** The head in CPIM that is still to go before the first octet. */
  #head: Uint8Array | undefined;
  /** Passes over the sender's own head, where there is one. */
  readonly #skip: HeadSkipper | undefined;
  readonly #hashes: readonly { readonly hash: Hash; readonly wanted: string }[];
  #size = 0;

  constructor(parts: FilePostingParts) {
    const { opening, file } = parts;
    this.#parts = parts;
    this.#skip = isCpim(opening) ? new HeadSkipper() : undefined;
    this.#head = this.#skip === undefined ? formatHead(parts) : undefined;
    const added = this.#head?.length ?? 0;
    this.#posting = new LargePosting({
      ...parts,
      maximum: parts.maximum + added,
      opening: {
        ...opening,
        contentType: 'message/cpim',
        total: opening.total === undefined ? undefined : opening.total + added,
      },
    });
    this.#hashes = file.selector.hashes.flatMap(({ algorithm, value }) => {
      const name = ALGORITHMS.get(algorithm);
      return name === undefined ? [] : [{ hash: createHash(name), wanted: value }];
    });
  }

  write(piece: Uint8Array): MsrpRefusal | undefined {
    const refusal = this.#take(piece);
    if (refusal?.status === 413) this.#parts.aborted();
    return refusal;
  }

  #take(piece: Uint8Array): MsrpRefusal | undefined {
    const content = this.#skip === undefined ? piece : this.#skip.rest(piece);
    this.#size += content.length;
    for (const { hash } of this.#hashes) hash.update(content);
    const { size } = this.#parts.file.selector;
    if (size !== undefined && this.#size > size) {
      this.#posting.abort('larger than announced');
      return { status: 413, comment: `larger than the ${size} octets announced` };
    }
    return this.#begin() ?? this.#posting.write(piece);
  }

  end(incoming: Incoming): void {
    const fault = this.#fault();
    const refusal = fault === undefined ? this.#begin() : ({ status: 400, comment: fault } as const);
    if (refusal === undefined) {
      this.#parts.complete();
      this.#posting.end(incoming);
      return;
    }
    this.#posting.abort(refusal.comment ?? 'refused');
    incoming.respond(refusal.status, refusal.comment);
  }

  abort(reason: string): void {
    this.#posting.abort(reason);
  }

  #begin(): MsrpRefusal | undefined {
    const head = this.#head;
    this.#head = undefined;
    return head === undefined ? undefined : this.#posting.write(head);
  }

  /** What is wrong with the whole of it. */
  #fault(): string | undefined {
    const { size } = this.#parts.file.selector;
    if (size !== undefined && size !== this.#size) return `${this.#size} octets instead of the ${size} announced`;
    const wrong = this.#hashes.some(({ hash, wanted }) => {
      const digest = hash.digest('hex').toUpperCase();
      return digest !== wanted.replaceAll(':', '');
    });
    return wrong ? 'not the file that was announced: its hash is another' : undefined;
  }
}

/** Names of RFC 5547 §6 and what they are called here; others are not verified. */
const ALGORITHMS: ReadonlyMap<string, string> = new Map([
  ['sha-1', 'sha1'],
  ['sha-224', 'sha224'],
  ['sha-256', 'sha256'],
  ['sha-384', 'sha384'],
  ['sha-512', 'sha512'],
]);

function isCpim({ contentType }: MessageOpening): boolean {
  return /^message\/cpim *(?:;|$)/i.test(contentType);
}

function formatHead({ file, speaker, opening, now }: FilePostingParts): Uint8Array {
  const { size } = file.selector;
  // Also of some use to whoever saves what he gets under the name that it has.
  const name = bareFileName(file.selector.name ?? '');
  const disposition = /^[a-z-]+$/.test(file.disposition ?? '') ? file.disposition : 'attachment';
  const parameters = [
    disposition,
    ...(name === undefined ? [] : [`filename="${name.replace(/["\\]/g, '\\$&')}"`]),
    ...(size === undefined ? [] : [`size=${size}`]),
  ];
  return formatCpim({
    from: { uri: speaker.shown },
    to: [{ uri: speaker.roomUri }],
    dateTime: new Date(now),
    contentType: opening.contentType,
    mimeHeaders: [{ name: 'Content-Disposition', value: parameters.join('; ') }],
    content: '',
  });
}

/** Finds the end of a head in CPIM, which is that of its second block of lines (RFC 3862 §2), however it is cut. */
class HeadSkipper {
  /** Line ends met in a row: two end a block. */
  #ends = 0;
  #blocks = 0;

  /** What of a piece is content. */
  rest(piece: Uint8Array): Uint8Array {
    for (let at = 0; at < piece.length; at += 1) {
      if (this.#blocks === 2) return piece.subarray(at);
      const octet = piece[at];
      if (octet === LF) this.#ends += 1;
      else if (octet !== CR) this.#ends = 0;
      if (this.#ends < 2) continue;
      this.#ends = 0;
      this.#blocks += 1;
    }
    return NOTHING;
  }
}

const NOTHING = new Uint8Array(0);
const CR = 13;
const LF = 10;
