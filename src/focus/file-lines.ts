import {
  AcceptedTypes,
  answerSetup,
  type Fingerprint,
  type FileDescription,
  type FileSelector,
  type MsrpPath,
  peerOf,
  sameMsrpPath,
} from '../../msrp/index.ts';
import { isRejected, rejectMedia, type SdpMedia, type SessionDescription } from '../../sip/index.ts';
import { Recent } from '../conference/recent.ts';
import { msrpLine } from './media-lines.ts';
import type { FileLine } from './media-plan.ts';

/** The session of one file, as the lines of a leg use it. */
export interface FileTransfer {
  readonly file: FileDescription;
  readonly localPath: MsrpPath;
  readonly remotePath: MsrpPath | undefined;
  readonly open: boolean;
  /** The file has come, or will not. */
  readonly over: boolean;
  /** It was refused half-way. */
  readonly aborted: boolean;
  meet(path: MsrpPath, how: { readonly dial: boolean }): void;
  admit(): void;
  close(detail: string): void;
}

/** What the file lines of a leg are made with. */
export interface FileLinesParts {
  /** A session for the file of a line; undefined where there is no address for it. */
  readonly open: (line: FileLine) => FileTransfer | undefined;
  /** Of our certificate, for TLS lines. */
  readonly fingerprints: readonly Fingerprint[];
  /** Largest file taken, in octets. */
  readonly maxSize: number;
}

/** The lines of a leg by which its peer sends files to the room (RFC 5547), each at its place among the lines. */
export class FileLines {
  readonly #parts: FileLinesParts;
  #byIndex: ReadonlyMap<number, FileTransfer> = new Map();
  #admitted = false;
  /** What each file-transfer-id stands for. */
  readonly #selected = new Recent<string, FileSelector>(IDS);

  constructor(parts: FileLinesParts) {
    this.#parts = parts;
  }

  /**
   * Takes the lines of a new offer. RFC 5547 §8.3.1: one whose file-transfer-id is known stays as it is; what is no longer
   * offered is over.
   */
  use(lines: readonly FileLine[]): void {
    const before = this.#byIndex;
    const now = new Map<number, FileTransfer>();
    for (const line of lines) {
      if (this.#isError(line)) continue;
      const known = before.get(line.index);
      const transfer = known !== undefined && isSame(known, line) ? known : this.#parts.open(line);
      if (transfer !== undefined) now.set(line.index, transfer);
    }
    this.#byIndex = now;
    for (const [index, transfer] of before) {
      if (now.get(index) !== transfer) transfer.close('the line is closed');
    }
    for (const { index, media } of lines) {
      now.get(index)?.meet(media.path, { dial: answerSetup(media.setup) === 'active' });
    }
    if (this.#admitted) this.admit();
  }

  /** The address of ours that the peer sends to; undefined without a file. */
  get host(): string | undefined {
    const [first] = this.#byIndex.values();
    return first === undefined ? undefined : peerOf(first.localPath).host;
  }

  /** Whether every file has come, or will not. */
  get areOver(): boolean {
    return [...this.#byIndex.values()].every(({ over }) => over);
  }

  /** Our answer to the line at that place; undefined if it is refused. */
  answer({ index, media }: FileLine): SdpMedia | undefined {
    const transfer = this.#byIndex.get(index);
    if (transfer === undefined) return undefined;
    const { localPath, file } = transfer;
    const { name, size, type } = file.selector;
    return msrpLine({
      path: localPath,
      acceptTypes: ANYTHING,
      acceptWrappedTypes: NOTHING_ELSE,
      maxSize: this.#parts.maxSize,
      setup: answerSetup(media.setup),
      direction: 'recvonly',
      fingerprints: this.#parts.fingerprints,
      file: {
        selector: {
          ...(name === undefined ? {} : { name }),
          ...(size === undefined ? {} : { size }),
          ...(type === undefined ? {} : { type }),
          hashes: [],
        },
        ...(file.transferId === undefined ? {} : { transferId: file.transferId }),
        ...(file.range === undefined ? {} : { range: file.range }),
      },
    });
  }

  /**
   * A line of an offer of ours: closed (port 0) when its session is over or its file was refused half-way (RFC 5547 §8.4),
   * and otherwise as it was, but that an offer does not say `passive` (RFC 6135 §4.2.2).
   */
  offered(line: SdpMedia, index: number): SdpMedia {
    const transfer = this.#byIndex.get(index);
    if (transfer === undefined) return line;
    if (!transfer.open || transfer.aborted) return { ...line, port: 0 };
    const attributes = line.attributes.map((each) =>
      each.name === 'setup' ? { name: 'setup', value: 'actpass' } : each,
    );
    return { ...line, attributes };
  }

  /** RFC 5547 §8.1: an id that stood for another file before is an error, for which its transfer is aborted. */
  #isError({ file: { transferId, selector } }: FileLine): boolean {
    if (transferId === undefined) return false;
    const known = this.#selected.get(transferId);
    if (known === undefined) this.#selected.set(transferId, selector);
    return known !== undefined && !maySelectTheSame(known, selector);
  }

  /** Takes the peer's answer to an offer of ours: the lines that it has closed are over. */
  settle({ media }: SessionDescription): void {
    for (const [index, transfer] of this.#byIndex) {
      const line = media[index];
      if (line === undefined || isRejected(line)) transfer.close('the line is closed');
    }
  }

  /** The participant is in the room: what it sends may be judged. */
  admit(): void {
    this.#admitted = true;
    for (const transfer of this.#byIndex.values()) transfer.admit();
  }

  /** Ends them all. Files that are not complete are given up for all. */
  close(detail: string): void {
    for (const transfer of this.#byIndex.values()) transfer.close(detail);
    this.#byIndex = new Map();
  }
}

/**
 * The answer to a line for a file that is not taken: refused as any other, and RFC 5547 §8.3 wants `file-selector` and
 * `file-transfer-id` as they were offered. Undefined for a line that is for no file.
 */
export function refusedFile(line: SdpMedia): SdpMedia | undefined {
  const { attributes } = line;
  if (!attributes.some(({ name }) => name === 'file-selector')) return undefined;
  const mirrored = attributes.filter(({ name }) => name === 'file-selector' || name === 'file-transfer-id');
  return { ...rejectMedia(line), attributes: mirrored };
}

const ANYTHING = new AcceptedTypes(['message/cpim', '*']);
/** RFC 4975 §8.6: what stands in accept-types is not repeated. */
const NOTHING_ELSE = new AcceptedTypes([]);

/** Most file-transfer-ids of one leg that are remembered. */
const IDS = 64;

/** A selector may be added or left out as long as the file does not change (RFC 5547 §8.1). */
function maySelectTheSame(one: FileSelector, other: FileSelector): boolean {
  const agree = <T>(a: T | undefined, b: T | undefined): boolean => a === undefined || b === undefined || a === b;
  const hashOf = (selector: FileSelector, name: string): string | undefined =>
    selector.hashes.find(({ algorithm }) => algorithm === name)?.value;
  return (
    agree(one.name, other.name) &&
    agree(one.size, other.size) &&
    agree(one.type?.toLowerCase(), other.type?.toLowerCase()) &&
    one.hashes.every(({ algorithm, value }) => agree(value, hashOf(other, algorithm)))
  );
}

function isSame(known: FileTransfer, { file, media }: FileLine): boolean {
  if (known.file.transferId !== file.transferId) return false;
  // What is over stays so: its sender only says again what it has said.
  if (!known.open) return file.transferId !== undefined;
  return known.remotePath !== undefined && sameMsrpPath(known.remotePath, media.path);
}
