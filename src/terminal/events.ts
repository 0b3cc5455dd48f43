import type { ConferenceView } from '../conference/view.ts';
import type { Participant } from '../client/index.ts';

/** A participant as scripts see one. */
export interface Person {
  readonly name: string;
  readonly uri: string;
}

/** Everything that a chat can have to show; with `--json` each is printed as it stands, one a line. */
export type ChatEvent =
  | { readonly type: 'entered'; readonly room: string; readonly as: Person }
  | {
      readonly type: 'room';
      readonly uri: string;
      readonly subject?: string;
      readonly people: readonly Person[];
      readonly chatUris: readonly string[];
    }
  | { readonly type: 'joined' | 'left'; readonly person: Person }
  | { readonly type: 'renamed'; readonly person: Person; readonly before: string }
  /** A line of the room itself. */
  | { readonly type: 'announcement'; readonly at: string; readonly text: string }
  | {
      readonly type: 'message';
      readonly id?: string;
      readonly at: string;
      readonly from: Person;
      readonly private: boolean;
      /** Said before one came, or came back: nothing for a program to answer. */
      readonly history: boolean;
      /** Of a private message of our own, that the past brings: whom it was for. */
      readonly to?: Person;
      readonly contentType: string;
      readonly text: string;
      /** Of a file: the number under which `/save` finds it. */
      readonly file?: number;
    }
  | {
      readonly type: 'said';
      readonly id: string;
      readonly text: string;
      readonly to?: Person;
      /** Of a file: its name. */
      readonly fileName?: string;
    }
  | {
      readonly type: 'refused';
      readonly id: string;
      readonly text: string;
      readonly status?: number;
      readonly reason: string;
    }
  | { readonly type: 'composing'; readonly person: Person; readonly active: boolean }
  | { readonly type: 'receipt'; readonly id: string; readonly person: Person; readonly status: string }
  | { readonly type: 'away'; readonly reason: string }
  | { readonly type: 'back' }
  | { readonly type: 'notice'; readonly text: string }
  | { readonly type: 'closed'; readonly reason: string; readonly status?: number };

/** A roster entry for scripts. */
export function personOf({ name, uri }: Participant): Person {
  return { name, uri };
}

/** What a conference document says of the room itself. */
export function roomEvent(view: ConferenceView, uri: string, people: readonly Person[]): ChatEvent & { type: 'room' } {
  const subject = view.description?.subject;
  const chat = (view.description?.serviceUris ?? []).filter(({ purpose }) => purpose === 'grouptextchat');
  return {
    type: 'room',
    uri: toPassOn(view.entity ?? uri),
    ...(subject === undefined || subject === '' ? {} : { subject }),
    people,
    chatUris: chat.map((entry) => toPassOn(entry.uri)),
  };
}

/** An address without what was meant for our own call: how much of the past, and the PIN, which is nobody else's. */
function toPassOn(uri: string): string {
  return uri.replace(/;(?:pin|history)(?:=[^;?]*)?(?=[;?]|$)/gi, '');
}
