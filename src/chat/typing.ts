import { contentOf, type CpimMessage, MsrpError, parseIsComposing } from '../../msrp/index.ts';
import type { Audience } from '../conference/events.ts';
import type { EndpointId } from '../conference/ids.ts';
import { Recent } from '../conference/recent.ts';

/** A sign of writing, and who sees it. */
export interface TypingNotice {
  readonly endpoint: EndpointId;
  readonly audience: Audience;
  readonly cpim: CpimMessage;
}

/** Most who are remembered as writing. */
const WRITING = 1000;

/** A notice has some hundred octets; of a longer one the state is not looked for. */
const LONGEST = 4096;

/** Who is seen writing (RFC 3994). */
export class Typing {
  readonly #writing = new Recent<string, true>(WRITING);

  /**
   * Whether a notice says that somebody has stopped who is seen writing: without it readers would see him write until it
   * times out. There is one at most for each notice that was passed on, so it needs no rate.
   */
  ends(notice: TypingNotice): boolean {
    return this.#writing.get(keyOf(notice)) === true && !isActive(notice.cpim);
  }

  /** A notice has been passed on. */
  passed(notice: TypingNotice): void {
    if (isActive(notice.cpim)) this.#writing.set(keyOf(notice), true);
    else this.#writing.delete(keyOf(notice));
  }
}

function keyOf({ endpoint, audience }: TypingNotice): string {
  return audience.to === 'everyone' ? endpoint : `${endpoint} ${audience.user}`;
}

function isActive(cpim: CpimMessage): boolean {
  if (cpim.content.length > LONGEST) return true;
  try {
    return parseIsComposing(contentOf(cpim)).state === 'active';
  } catch (fault) {
    if (fault instanceof MsrpError) return true;
    throw fault;
  }
}
