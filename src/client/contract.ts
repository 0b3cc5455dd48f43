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
  /** Only for us (RFC 7701 §6.2). */
  readonly private: boolean;
  /** When its author sent it. */
  readonly at: Date;
  /** Without parameters: `text/plain`, `image/png`, … */
  readonly contentType: string;
  /** Undefined for what is no text. */
  readonly text: string | undefined;
  readonly content: Uint8Array;
  /** imdn.Message-ID, the same for every device and at each replay. */
  readonly messageId?: string;
  readonly subject?: string;
  readonly fileName?: string;
}

/** What became of a message of ours. */
export type Said =
  | { readonly said: true; readonly messageId: string }
  | {
      readonly said: false;
      readonly messageId: string;
      /** MSRP status; absent when there was no connection to say it over. */
      readonly status?: number;
      readonly reason: string;
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
  /** Each state of the conference document; `change` is undefined for the first. */
  roster(roster: Roster, change: RosterChange | undefined, view: ConferenceView): void;
  /** No more will come. */
  closed(why: ClientError): void;
}

/** What somebody in a room is told. */
export interface RoomHandlers {
  message(message: ChatMessage): void;
  /** As for a watcher. */
  roster?(roster: Roster, change: RosterChange | undefined, view: ConferenceView): void;
  /** Somebody writes, or has stopped (RFC 3994). */
  composing?(from: string, active: boolean): void;
  receipt?(receipt: Receipt): void;
  /** The roster is not shown to us, or no longer; the chat goes on. */
  rosterEnded?(why: ClientError): void;
  /** We are out, not by `leave`. Told once, last. */
  closed(why: ClientError): void;
}

/** A room one is in. */
export interface Room {
  /** The room's address as it was given. */
  readonly uri: string;
  /** Our own address in it. */
  readonly ownUri: string;
  /** The conference document so far. */
  readonly view: ConferenceView;
  readonly roster: Roster;
  /** What the room allows: `nickname`, `private-messages`, … (RFC 7701 §8). */
  readonly features: readonly string[];
  /** Says something to all, or to one participant. Resolves when the room has kept it, or with why not. */
  say(text: string, to?: string): Promise<Said>;
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
