/** What happens in a conference happens in its calls too: who is kicked is hung up on, who is muted gets told by SDP. */
import type { ChatRoom } from '../chat/room.ts';
import type { Watcher } from '../chat/host.ts';
import type { UserUri } from '../conference/ids.ts';
import type { Logged } from '../log/room-log.ts';
import type { LegMaker } from './leg-maker.ts';

/** Carries over from the log to the legs. */
export class ModeratedLegs implements Watcher {
  readonly #legs: () => LegMaker;

  constructor(legs: () => LegMaker) {
    this.#legs = legs;
  }

  /** From the host. */
  happened(room: ChatRoom, { event }: Logged): void {
    switch (event.type) {
      case 'left':
        // Not in this turn: it may be the one who gave the order, and the answer to it is still to come. One that has left
        // by itself is over already.
        setImmediate(() => {
          this.#legs().find(event.endpoint)?.expelled(event);
        });
        return;
      case 'admitted':
        this.#legs().find(event.endpoint)?.admitted();
        return;
      case 'muted':
      case 'unmuted':
      case 'role':
        this.#mayItSpeak(room, event.user);
        return;
      default:
        return;
    }
  }

  /** From the host; nothing that a call could show. */
  changed(): void {
    // The roster alone has changed.
  }

  #mayItSpeak(room: ChatRoom, user: UserUri): void {
    const silenced = room.rules.isSilenced(user);
    for (const { id } of room.conference.endpointsOf(user)) this.#legs().find(id)?.silence(silenced);
  }
}
