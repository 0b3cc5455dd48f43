import type { Conference } from '../conference/conference.ts';
import type { Audience } from '../conference/events.ts';
import type { EndpointId, EventNumber, RoomUri } from '../conference/ids.ts';
import { Recent } from '../conference/recent.ts';
import type { Append } from '../log/room-log.ts';
import { textOf } from '../../msrp/index.ts';
import { commandHelp, type NoOrder } from './commands.ts';
import { Copy } from './copy.ts';
import { dispositionEvent, type Dispositions } from './dispositions.ts';
import type { Duplicates } from './duplicates.ts';
import { Loops } from './loops.ts';
import type { Moderation } from './moderation.ts';
import { EVERYONE, type Message, type Notification, type Posting, readPost } from './post.ts';
import type { PastWish } from './past-wish.ts';
import type { Present } from './present.ts';
import { type ChatRefusal, reasonOf } from './refusals.ts';
import type { RoomRules } from './rules.ts';
import { saidOf } from './said.ts';
import type { Speaker } from './speaker.ts';
import type { MsrpSwitch } from './switch.ts';
import type { Texts } from './texts.ts';
import { Typing } from './typing.ts';
import type { Voice } from './voice.ts';

/** What became of a posting: kept under a number, taken without a trace, or refused. */
export type Verdict = EventNumber | 'taken' | ChatRefusal;

/** Octets at the beginning of a text by which it is known again. */
const COMPARED = 2048;

/** Octets at the end of a slip by which it is known again. */
const COMPARED_SLIP = 64;

/** Most endpoints whose slips are remembered. */
const SLIPS = 1000;

const latin1 = new TextDecoder('latin1');

/** What the postings need of their room. */
export interface PostsParts {
  readonly uri: RoomUri;
  readonly conference: Pick<Conference, 'endpoint'>;
  readonly rules: RoomRules;
  readonly present: Present;
  readonly switch: MsrpSwitch;
  readonly voice: Voice;
  readonly moderation: Moderation;
  readonly duplicates: Duplicates;
  readonly dispositions: Dispositions;
  /** Sends something of the past to an endpoint, or tells why not. */
  readonly recall: (endpoint: EndpointId, wish: PastWish) => string | undefined;
  readonly append: Append;
  readonly now: () => number;
  /** A line for the operator. */
  readonly warn: (line: string) => void;
}

/**
 * What is posted to a room: the decisions of RFC 7701 §6. A posting is read and judged here, and appended to the log; it
 * reaches people only when the log gives it back.
 */
export class Posts {
  readonly #parts: PostsParts;
  readonly #loops = new Loops();
  readonly #typing = new Typing();
  /** The end of the text that was explained last to each. */
  readonly #slips = new Recent<EndpointId, string>(SLIPS);

  constructor(parts: PostsParts) {
    this.#parts = parts;
  }

  /**
   * Somebody says something. `settled` hears the verdict once, now or when the log has kept it; the sender's 2xx waits for
   * that. Nothing is awaited before the log has numbered it, so what one sender says keeps its order.
   */
  take(speaker: Speaker, posting: Posting, settled: (verdict: Verdict) => void): void {
    const post = readPost(posting, speaker, this.#parts.present);
    if ('refused' in post) {
      const isSlip = post.refused === 'to-nobody' || post.refused === 'no-such-order';
      settled(isSlip ? this.#explained(speaker, posting, post) : post);
      return;
    }
    if (post.kind === 'noise') {
      settled('taken');
      return;
    }
    if (speaker.outside === true && post.kind !== 'message') {
      settled({ refused: 'not-here' });
      return;
    }
    if (post.kind === 'command') {
      this.#command(speaker, textOf(post.cpim), settled);
      return;
    }
    if (post.kind === 'disposition') {
      this.#report(speaker, posting, post, settled);
      return;
    }
    if (post.kind === 'message') {
      this.#say(speaker, posting, post, settled);
      return;
    }
    settled(this.#showTyping(speaker, posting, post));
  }

  /** A sign of writing that comes too fast is passed over: nobody misses it, but for the one that ends it. */
  #showTyping(speaker: Speaker, posting: Posting, post: Message): Verdict {
    const notice = { ...post, endpoint: speaker.endpoint };
    const refusal = this.#objection(speaker, post.audience, 'typing', posting.body.length);
    if (refusal !== undefined && refusal.refused !== 'too-fast') return refusal;
    if (refusal === undefined || this.#typing.ends(notice)) {
      this.#typing.passed(notice);
      this.#parts.switch.fanOut(new Copy(saidOf(speaker, posting, post, this.#parts.now())));
    }
    return 'taken';
  }

  /**
   * Says to who wrote it why a text is not said, since few clients show that of a refusal. The same text is explained once:
   * a machine that answers to everything and the room would go on for ever.
   */
  #explained({ endpoint, user }: Speaker, { body }: Posting, refusal: ChatRefusal): ChatRefusal {
    const tooFast = this.#parts.rules.pace(user);
    if (tooFast !== undefined) return tooFast;
    const end = latin1.decode(body.subarray(-COMPARED_SLIP));
    if (this.#slips.get(endpoint) !== end) this.#parts.voice.tell(reasonOf(refusal), endpoint);
    this.#slips.set(endpoint, end);
    return refusal;
  }

  #say(speaker: Speaker, posting: Posting, post: Message, settled: (verdict: Verdict) => void): void {
    const { duplicates, append } = this.#parts;
    // What was said once stays said: no rule is asked again about a message that is only sent again.
    const first = duplicates.begin(speaker.user, posting.messageId, post.cpim.content, settled);
    if (first === undefined) return;
    const refusal = this.#objection(speaker, post.audience, 'message', posting.body.length);
    const tooFast = refusal?.refused === 'too-fast';
    const objection = (refusal === undefined || tooFast ? this.#loop(speaker, post, tooFast) : undefined) ?? refusal;
    if (objection !== undefined) {
      duplicates.settle(first, objection);
      return;
    }
    append(saidOf(speaker, posting, post, this.#parts.now()), (outcome) => {
      duplicates.settle(first, outcome);
    });
  }

  /**
   * Two rooms joined to each other must not talk for ever, nor two machines that answer to everything: also not where they
   * are too fast to be heard each time.
   */
  #loop(speaker: Speaker, { audience, cpim }: Message, refused: boolean): ChatRefusal | undefined {
    const { uri, rules, warn } = this.#parts;
    if (!rules.stopsLoops) return undefined;
    const isText = cpim.contentType.mediaType.startsWith('text/');
    const { endpoint, user } = speaker;
    const loop = this.#loops.judge({
      endpoint,
      user,
      came: this.#parts.conference.endpoint(endpoint)?.joinedAt,
      source: sourceOf(speaker, cpim.from?.name),
      to: audience.to === 'everyone' ? undefined : audience.user,
      text: isText ? textOf(cpim, COMPARED) : undefined,
      underWay: this.#parts.switch.at(endpoint)?.underWay ?? 0,
      refused,
      now: this.#parts.now(),
    });
    if (loop?.line !== undefined) warn(`${uri}: ${loop.line}`);
    return loop === undefined ? undefined : { refused: 'loop', reason: loop.reason };
  }

  /** RFC 7701 §6.2: what the room forbids (403), who is not here (404), who cannot take it (428). */
  #objection(by: Speaker, audience: Audience, kind: 'message' | 'typing', size: number): ChatRefusal | undefined {
    const refusal = this.#parts.rules.speak(by, audience, kind, size);
    if (refusal !== undefined || audience.to === 'everyone') return refusal;
    if (this.#parts.switch.takesPrivate(audience.user)) return undefined;
    return { refused: 'recipient-takes-no-private', reason: 'Nobody can write to this participant alone' };
  }

  /** Sends a notification to the author of the message that it is about (RFC 5438). */
  #report(speaker: Speaker, posting: Posting, post: Notification, settled: (verdict: Verdict) => void): void {
    const { rules, present, dispositions, append, now } = this.#parts;
    const refusal = rules.speak(speaker, EVERYONE, post.kind, posting.body.length);
    const route = refusal === undefined ? dispositions.route(speaker.user, post.imdn) : 'nowhere';
    if (refusal !== undefined) settled(refusal);
    else if (route === 'nowhere') settled('taken');
    else if (route === 'not-yours' || !present.means(post.to, route.to)) settled({ refused: 'recipient-unknown' });
    else append(dispositionEvent(speaker, posting, post, route.to, now()), settled);
  }

  /** An order in the chat: what comes of it, the one who gave it is told; what it changes, all see. */
  #command(speaker: Speaker, text: string, settled: (verdict: Verdict) => void): void {
    const { rules, moderation, voice, recall } = this.#parts;
    const refusal = rules.pace(speaker.user);
    if (refusal !== undefined) {
      settled(refusal);
      return;
    }
    moderation.command(speaker.user, text, 'chat', (result) => {
      if (result === 'done') settled('taken');
      else if ('refused' in result) {
        voice.tell(reasonOf(result), speaker.endpoint);
        settled(result);
      } else if (this.#parts.switch.at(speaker.endpoint) === undefined) {
        settled({ refused: 'not-hearing', reason: voice.texts.notHearing });
      } else {
        // Answered first, so that the room's 200 stands before what it sends.
        settled('taken');
        const answer = result.say === 'past' ? recall(speaker.endpoint, result.wish) : answerTo(result, voice.texts);
        if (answer !== undefined) voice.tell(answer, speaker.endpoint);
      }
    });
  }

  /** Reads and judges a message by its beginning. What programs say to programs is never so large. */
  judgeLarge(speaker: Speaker, posting: Posting, size: number): Message | ChatRefusal {
    const post = readPost(posting, speaker, this.#parts.present);
    if ('refused' in post) return post;
    if (post.kind !== 'message') return { refused: 'head-too-large', reason: `too large for ${post.wrappedType}` };
    return this.#objection(speaker, post.audience, post.kind, size) ?? this.#unheard(post) ?? post;
  }

  /** What is too large to be kept would be lost for one who hears nothing at present: of it there would be but a line. */
  #unheard({ audience }: Message): ChatRefusal | undefined {
    if (audience.to === 'everyone' || this.#parts.switch.takesPrivateNow(audience.user)) return undefined;
    return { refused: 'not-kept', reason: 'Nobody can take it at present, and it is too large to be kept for later' };
  }
}

/** Who in truth says it: a stranger has no endpoint of his own, a bridge has many who speak through it. */
function sourceOf({ endpoint, user, outside, speaksForMany }: Speaker, name: string | undefined): string {
  if (outside === true) return user;
  return speaksForMany ? `${endpoint} ${name ?? ''}` : endpoint;
}

function answerTo(no: Exclude<NoOrder, { readonly say: 'past' }>, texts: Texts): string {
  switch (no.say) {
    case 'help':
      return commandHelp();
    case 'subject':
      return texts.subjectIs(no.subject);
    case 'no-message':
      return texts.noMessage;
    case 'usage':
      return texts.usage(no.usage);
    case 'nobody':
      return texts.nobody(no.name);
    case 'several':
      return texts.several(no.name);
  }
}
