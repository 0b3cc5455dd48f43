/** Loops of texts in a room, over any protocol: what comes back, and machines that answer to everything. */
import type { EndpointId, UserUri } from '../conference/ids.ts';
import { AutoReplies } from './auto-replies.ts';
import { Echoes } from './echoes.ts';

/** Somebody says something. */
export interface Saying {
  readonly endpoint: EndpointId;
  readonly user: UserUri;
  /** When that endpoint came, in the time of `now`; undefined for one that was never seen to come. */
  readonly came: number | undefined;
  /** Tells one source of texts from another: several may speak through one endpoint. */
  readonly source: string;
  /** Whom it is for alone; undefined: for everybody. */
  readonly to: UserUri | undefined;
  /** Undefined for what is no text. */
  readonly text: string | undefined;
  /** Texts on their way to the endpoint: they cannot have been read there. */
  readonly underWay: number;
  /** Nobody will hear it, whatever it is: its source is too fast. */
  readonly refused: boolean;
  readonly now: number;
}

/** A loop: why the text is not said, and what the operator is told, once. */
export interface Loop {
  readonly reason: string;
  readonly line: string | undefined;
}

/** Watches one room. */
export class Loops {
  readonly #echoes = new Echoes();
  readonly #autoReplies = new AutoReplies();

  /** Why a text must not be said; undefined when it may. */
  judge(saying: Saying): Loop | undefined {
    const { endpoint, user, came, source, to, underWay, refused, now } = saying;
    const text = saying.text?.trim();
    const echo =
      to === undefined && text !== undefined && text !== ''
        ? this.#echoes.judge(endpoint, text, underWay, now, came)
        : 'fine';
    const isLoop = echo === 'first' || echo === 'again';
    const quotes = isLoop ? 'again' : echo === 'echo' ? 'once' : undefined;
    const reply = this.#autoReplies.judge({ source, user, to, text, quotes, underWay, refused, now });
    if (isLoop) {
      const line = `${user} gives back what others say: a loop, not said again`;
      return { reason: 'A loop: this was just said here', line: echo === 'first' ? line : undefined };
    }
    if (reply === 'fine') return undefined;
    const line = `${user} answers each text with the same one: a machine, not said any more`;
    return { reason: 'A loop: each text is answered with the same one', line: reply === 'first' ? line : undefined };
  }
}
