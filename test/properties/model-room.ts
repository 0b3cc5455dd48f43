/** A room with clock, network and people of its own, in which machines and programs talk: nothing waits for anything. */
import { endpointId, userUri } from '../../src/conference/ids.ts';
import { Loops } from '../../src/chat/loops.ts';

/** A member as the room sees it. */
interface Member {
  readonly name: string;
  readonly came: number;
  /** By SIP MESSAGE it has one text at a time, and tells that it has got it only after its answer. */
  readonly by: 'MSRP' | 'MESSAGE' | 'late MESSAGE';
  /** Reads a text; `told` says that it has been received. */
  hear: (text: string, by: string, told: () => void) => void;
  readonly queue: { readonly text: string; readonly by: string }[];
  underWay: number;
}

/** What a member can do. */
export interface Hand {
  /** `answered` hears whether it was said, as long after as the network takes. */
  says(text: string, answered?: (said: boolean) => void): void;
}

/** One room. */
export class ModelRoom {
  now = 0;
  /** What was heard, and what was refused, by whom. */
  readonly said: { readonly by: string; readonly text: string; readonly at: number }[] = [];
  readonly refused: { readonly by: string; readonly text: string; readonly at: number }[] = [];
  readonly lines: string[] = [];
  readonly #loops = new Loops();
  readonly #members: Member[] = [];
  readonly #due: { readonly at: number; readonly n: number; readonly what: () => void }[] = [];
  readonly #network: () => number;
  readonly #arrivals = new Map<string, number>();
  #n = 0;

  /** @param network how long something is on its way, in ms */
  constructor(network: () => number = () => 1) {
    this.#network = network;
  }

  /** Does something later. */
  after(ms: number, what: () => void): void {
    const entry = { at: this.now + ms, n: (this.#n += 1), what };
    let low = 0;
    let high = this.#due.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#due[middle];
      if (other !== undefined && (other.at < entry.at || (other.at === entry.at && other.n < entry.n)))
        low = middle + 1;
      else high = middle;
    }
    this.#due.splice(low, 0, entry);
  }

  /** Lets time pass until nobody has anything to do, or until then. */
  run(until = Infinity, most = 100_000): void {
    for (let [next] = this.#due; next !== undefined && next.at <= until && most > 0; [next] = this.#due) {
      this.#due.shift();
      this.now = next.at;
      next.what();
      most -= 1;
    }
  }

  join(name: string, by: Member['by'] = 'MSRP', hear: Member['hear'] = (_text, _by, told) => told()): Hand {
    const member: Member = { name, came: this.now, by, hear, queue: [], underWay: 0 };
    this.#members.push(member);
    return {
      says: (text, answered) => {
        this.#overNetwork(`${name} to the room`, () => {
          const isSaid = this.#take(member, text);
          this.#overNetwork(`to ${name}`, () => answered?.(isSaid));
        });
      },
    };
  }

  /** In order, like everything on one connection. */
  #overNetwork(way: string, what: () => void): void {
    const at = Math.max(this.now + this.#network(), this.#arrivals.get(way) ?? 0);
    this.#arrivals.set(way, at);
    this.after(at - this.now, what);
  }

  #take(member: Member, text: string): boolean {
    const { name } = member;
    const user = userUri(`sip:${name}@example.com`);
    const endpoint = endpointId(name);
    const { now } = this;
    const underWay = member.by === 'MSRP' ? member.underWay : member.queue.length;
    const loop = this.#loops.judge({
      endpoint,
      user,
      came: member.came,
      source: name,
      to: undefined,
      text,
      underWay,
      refused: false,
      now,
    });
    if (loop?.line !== undefined) this.lines.push(loop.line);
    (loop === undefined ? this.said : this.refused).push({ by: name, text, at: now });
    if (loop !== undefined) return false;
    for (const each of this.#members) {
      if (each === member) continue;
      if (each.by === 'MSRP') this.#send(each, text, name);
      else {
        each.queue.push({ text, by: name });
        this.#next(each);
      }
    }
    return true;
  }

  #send(to: Member, text: string, by: string): void {
    to.underWay += 1;
    this.#overNetwork(`to ${to.name}`, () => {
      to.hear(text, by, () => {
        this.#overNetwork(`${to.name} to the room`, () => {
          to.underWay -= 1;
          if (to.by !== 'MSRP') this.#next(to);
        });
      });
    });
  }

  #next(member: Member): void {
    if (member.underWay > 0) return;
    const next = member.queue.shift();
    if (next !== undefined) this.#send(member, next.text, next.by);
  }
}

/** A machine that answers each text, after a while: all at a time, or one after the other. */
export function replier(
  room: ModelRoom,
  name: string,
  by: Member['by'],
  after: () => number,
  answer: (text: string) => string,
  serial = by !== 'MSRP',
): void {
  const waiting: string[] = [];
  let busy = false;
  const next = (): void => {
    const text = waiting.shift();
    busy = text !== undefined;
    if (text === undefined) return;
    room.after(after(), () => {
      hand.says(answer(text));
      next();
    });
  };
  const hand = room.join(name, by, (text, _by, told) => {
    if (by === 'late MESSAGE') {
      room.after(after(), () => {
        hand.says(answer(text));
        told();
      });
      return;
    }
    told();
    if (!serial) room.after(after(), () => hand.says(answer(text)));
    else {
      waiting.push(text);
      if (!busy) next();
    }
  });
}
