import type { ConferenceView } from '../conference/view.ts';
import type { ClientError } from './errors.ts';
import type { Roster, RosterChange } from './roster.ts';
import type { WebSocketMaker } from './web-socket.ts';

/** How to reach a room, and as whom. */
export interface ClientOptions {
  /** Display name. */
  readonly name: string;
  /** Makes WebSockets: `(url, protocol) => new WebSocket(url, protocol)` in a browser. */
  readonly webSocket: WebSocketMaker;
  /** The server's WebSocket, `ws://host:port/path`; port 8080 and path `/ws` of the room's host unless given. */
  readonly server?: string;
  /** SIP address of the user; made of the name and the room's host unless given. */
  readonly identity?: string;
  /** For a server that asks who one is (digest); the user name is the user part of the address. */
  readonly password?: string;
  /** UUID of this device: who comes back with the same one is sent what it has missed. */
  readonly instance?: string;
  /** How much of the past to be sent: so many messages (`20`, `0` for none), or those of so long (`30m`, `12h`). */
  readonly history?: string;
  /** Ask readers of our messages to say that they have read them (RFC 5438), in a room of at most 30 people. */
  readonly receipts?: boolean;
  /** Milliseconds in which the room must have answered the call; 60,000 unless given. */
  readonly answerWithin?: number;
  /** Takes lines on what the protocols do, for finding faults. */
  readonly log?: (line: string) => void;
}

/** A message of somebody else, or a notice of the room itself. */
export interface ChatMessage {
  /** The author's SIP address; that of the room for its own notices. */
  readonly from: string;
  /** The display name that came with the message. */
  readonly fromName: string | undefined;
  readonly to: string;
  /** A line of the room itself: who came, what the subject is. */
  readonly status: boolean;
  /**
   * Said before we came, or came back, or asked for it once more: nothing to answer. Rooms of this service tell; of
   * others nothing is taken for the past.
   */
  readonly history: boolean;
  /** A line of the room itself that heads so many messages of the past: they come next. Absent from all others. */
  readonly heads?: number;
  /** Only for us (RFC 7701 §6.2). */
  readonly private: boolean;
  /** When its author sent it. */
  readonly at: Date;
  /** Without parameters: `text/plain`, `image/png`, … */
  readonly contentType: string;
  /** In words: of HTML its text, which is safe to show anywhere. Undefined for what has none. */
  readonly text: string | undefined;
  readonly content: Uint8Array;
  /** imdn.Message-ID, the same for every device and at each replay. */
  readonly messageId?: string;
  /** The Message-ID under which the room sends it (RFC 4975 §7.1.1), with rooms of this service the same at each replay. */
  readonly sentAs: string;
  readonly subject?: string;
  readonly fileName?: string;
  /** Its author wants to know that it was read: see `Room.seen`. */
  readonly wantsReceipt: boolean;
}

/** A file to be sent. */
export interface OutgoingFile {
  readonly name: string;
  readonly contentType: string;
  readonly content: Uint8Array;
}

/** What became of a message of ours. */
export type Said =
  | { readonly said: true; readonly messageId: string }
  | {
      readonly said: false;
      readonly messageId: string;
      /** MSRP status; absent when there was no connection to say it over: it may have arrived, or not. */
      readonly status?: number;
      readonly reason: string;
      /** Seconds after which the room would take it, where it says so: it was too fast, or the room is in slow mode. */
      readonly retryAfter?: number;
    };

/** What a recipient tells of a message of ours (RFC 5438). */
export interface Receipt {
  readonly messageId: string;
  readonly from: string;
  /** `delivered`, `displayed`, `failed`, … */
  readonly status: string;
}

/** What a watcher is told. */
export interface WatchHandlers {
  /** Each state of the conference document; `change` is undefined for the first, and when nobody came, went or was renamed. */
  roster(roster: Roster, change: RosterChange | undefined, view: ConferenceView): void;
  /** No more will come. */
  closed(why: ClientError): void;
}

/** What somebody in a room is told. */
export interface RoomHandlers {
  /** With the room that one can answer in: this may come before `joinRoom` or `stayInRoom` has given it. */
  message(message: ChatMessage, room: Room): void;
  /** As for a watcher. */
  roster?(roster: Roster, change: RosterChange | undefined, view: ConferenceView): void;
  /** Somebody writes, and will tell again within so many seconds, or has stopped (RFC 3994). */
  composing?(from: string, active: boolean, refresh: number): void;
  receipt?(receipt: Receipt): void;
  /** The roster is not shown to us, or no longer; the chat goes on. */
  rosterEnded?(why: ClientError): void;
  /** We are out, not by `leave`. Told once, last. */
  closed(why: ClientError): void;
}

/** A room one is in. */
export interface Room {
  /** The room's address as it was given, or where it has moved to; of one that a factory has made for us, its own (RFC 4579 §5.4). */
  readonly uri: string;
  /** Our own address in it. */
  readonly ownUri: string;
  /** The conference document so far. */
  readonly view: ConferenceView;
  readonly roster: Roster;
  /** The Server header of the room's answer; empty if it has none. */
  readonly server: string;
  /** What the room allows: `nickname`, `private-messages`, … (RFC 7701 §8). */
  readonly features: readonly string[];
  /**
   * Says something to all, or to one participant. Resolves when the room has kept it, or with why not. `again` is the
   * id of an attempt whose fate is unknown: the room says the message once, however often it is sent. To a room of this
   * service a text that begins with a slash and a word is an order; what shall be said all the same begins with a blank.
   */
  say(text: string, to?: string, again?: string): Promise<Said>;
  /** Sends a file to all, or to one participant; refused without being sent when the room takes none of its size. */
  sendFile(file: OutgoingFile, to?: string): Promise<Said>;
  /**
   * Asks a room of this service for the past once more, by its order `/history`: `20` messages, those of `2h`, or `''`
   * for as many as it gives to newcomers. They come as messages, after a line of the room.
   */
  recall(wish: string): Promise<Said>;
  /** Tells the author of a message that it was read, if he wants to know. */
  seen(message: ChatMessage): void;
  /** Asks for a nickname, or gives it up with '' (RFC 7701 §7). */
  nickname(name: string): Promise<{ readonly status: number; readonly comment: string }>;
  /** Tells that we write, or no longer do. */
  composing(active: boolean): void;
  /** Leaves; resolves when the server has heard of it, or after two seconds. */
  leave(): Promise<void>;
}

/** A room one looks at from outside. */
export interface Watch {
  readonly view: ConferenceView;
  readonly roster: Roster;
  /** Stops watching; resolves when the server has heard of it, or after two seconds. */
  stop(): Promise<void>;
}
