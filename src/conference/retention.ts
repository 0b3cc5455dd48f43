import { banKey } from './ban-list.ts';
import type { ConferenceEvent } from './events.ts';

/**
 * How long a log must keep an event:
 * - `message`: as long as the room's retention (age and count) says;
 * - `fact`: until a later event with the same key takes its place, whatever its age: a ban of last year still holds.
 *   One that `clears` only undoes what came before it under the key and may be forgotten together with that.
 *   A fact that lasts for the `conference` is void after `ended`, one of the `room` is not, and one that lasts as long
 *   as `messages` is forgotten with the last of them;
 * - `moment`: only matters to who was there; the log may forget it with the messages around it;
 * - `end`: a moment that also voids all facts of the conference before it.
 *
 * Applying a log from which messages, moments and void or replaced facts were dropped gives the same lasting state.
 */
export type Retention =
  | { readonly keep: 'message' | 'moment' | 'end' }
  | {
      readonly keep: 'fact';
      readonly key: string;
      readonly lasts: 'conference' | 'room' | 'messages';
      readonly clears: boolean;
    };

const MESSAGE: Retention = { keep: 'message' };
const MOMENT: Retention = { keep: 'moment' };
const END: Retention = { keep: 'end' };

/** A fact that ends with the conference. */
const passing = (key: string, clears: boolean): Retention => ({ keep: 'fact', key, lasts: 'conference', clears });
/** A fact that stays with the room. */
const lasting = (key: string, clears: boolean): Retention => ({ keep: 'fact', key, lasts: 'room', clears });

/** How long a log must keep this event. */
export function retentionOf(event: ConferenceEvent): Retention {
  switch (event.type) {
    case 'said':
    case 'opened':
    case 'closed':
    case 'aborted':
    case 'retracted':
      return MESSAGE;
    // Many for each message: they must not push what was said out of what is kept and replayed.
    case 'disposition':
    case 'joined':
    case 'statusChanged':
    case 'mediaChanged':
    case 'admitted':
    case 'left':
    case 'renamed':
    case 'displayNameChanged':
    case 'restarted':
      return MOMENT;
    case 'ended':
      return END;
    case 'caughtUp':
      return { keep: 'fact', key: `position ${event.user} ${event.instance}`, lasts: 'messages', clears: false };
    // What was taken away stays so, also where another is configured.
    case 'subject':
      return passing('subject', false);
    case 'muted':
    case 'unmuted':
      return passing(`mute ${event.user}`, event.type === 'unmuted');
    case 'role':
      return passing(`role ${event.user}`, false);
    case 'locked':
    case 'unlocked':
      return passing('lock', event.type === 'unlocked');
    case 'slowMode':
      return passing('slow mode', false);
    case 'setting':
      return passing(`setting ${event.change.setting}`, false);
    case 'banned':
    case 'unbanned':
      return lasting(`ban ${banKey(event.target)}`, event.type === 'unbanned');
    case 'tombstoned':
    case 'untombstoned':
      return lasting('tombstone', event.type === 'untombstoned');
  }
}
