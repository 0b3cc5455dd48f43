/** What to read of a room, and which of its events that is. */
import type { KeptNow } from './room-log.ts';
import { KIND } from './sqlite-records.ts';
import type { StoredRecord } from './sqlite-records.ts';
import { rowsOf } from './sqlite-rows.ts';

/** What to read of a room, and what of that it still keeps. */
export interface StoredRange extends KeptNow {
  readonly from: number;
  readonly through: number;
  readonly limit: number;
  /** Which of the range the limit leaves; the oldest only of messages. */
  readonly end: 'newest' | 'oldest';
  readonly messagesOnly: boolean;
  /** Only notifications for this user. */
  readonly to: string | undefined;
  /** Only messages known by this id. */
  readonly knownBy: string | undefined;
  /** Only who came, was let in, and left. */
  readonly comingsOnly: boolean;
}

/** How many messages, and how many others, a segment must hold to have something of the range. */
export function kindsOf({
  messagesOnly,
  knownBy,
  to,
  comingsOnly,
}: StoredRange): readonly [messages: number, happenings: number] {
  return [messagesOnly || knownBy !== undefined ? 1 : 0, to !== undefined || comingsOnly ? 1 : 0];
}

/** The lowest numbers, of messages and of other happenings, that a room need not forget. */
export interface FirstKept {
  readonly messages: number;
  readonly happenings: number;
}

/** Which events are in the range. */
export interface Wanted {
  /** Bytes that a segment has somewhere when it holds one of them. */
  readonly needle: Buffer | undefined;
  readonly isWanted: (record: StoredRecord) => boolean;
}

/** Which events are in the range, of those that the room still keeps. */
export function wantedOf(range: StoredRange, kept: FirstKept): Wanted {
  const { from, through, since, to, knownBy } = range;
  const sought = to ?? knownBy;
  // As it stands in JSON, so that most need not be read as such.
  const needle = sought === undefined ? undefined : Buffer.from(JSON.stringify(sought));
  const isSuch = suchAs(range);
  const mayBe = ({ json }: StoredRecord): boolean => needle === undefined || json.includes(needle);
  return {
    needle,
    isWanted: (record) =>
      record.n >= from &&
      record.n <= through &&
      record.n >= (record.kind === KIND.message ? kept.messages : kept.happenings) &&
      record.at >= since &&
      mayBe(record) &&
      isSuch(record),
  };
}

function suchAs({ messagesOnly, knownBy, to, comingsOnly }: StoredRange): (record: StoredRecord) => boolean {
  if (to !== undefined) {
    return ({ json }) => {
      const event = parsed(json);
      return event['type'] === 'disposition' && event['to'] === to;
    };
  }
  if (knownBy !== undefined) {
    return ({ kind, json }) => {
      const { type, messageId, imdnId, stream } = parsed(json);
      const isIt = messageId === knownBy || imdnId === knownBy || (type === 'aborted' && stream === knownBy);
      return kind === KIND.message && isIt;
    };
  }
  if (comingsOnly) {
    return ({ kind, json }) =>
      kind === KIND.moment && ['joined', 'admitted', 'left'].includes(String(parsed(json)['type']));
  }
  return ({ kind }) => !messagesOnly || kind === KIND.message;
}

function parsed(json: Buffer): Readonly<Record<string, unknown>> {
  return rowsOf([JSON.parse(json.toString())])[0] ?? {};
}
