/**
 * Why something is not allowed. A refusal is a value: whoever asked gets it, and the protocols above have a code for
 * each (`Record<Refusal['refused'], …>`, so that one without a code does not compile).
 */
import type { Millis, Role } from '../conference/events.ts';
import type { AbsoluteUri } from '../conference/ids.ts';

/** What can be said against a request. */
export type Refusal =
  // to join
  | { readonly refused: 'moved'; readonly to?: AbsoluteUri; readonly reason?: string }
  | { readonly refused: 'banned'; readonly until?: Millis; readonly reason?: string }
  | { readonly refused: 'over' }
  | { readonly refused: 'not-a-member' }
  | { readonly refused: 'pin-needed' }
  | { readonly refused: 'pin-wrong' }
  | { readonly refused: 'pin-too-often'; readonly retryAfter: Millis }
  | { readonly refused: 'locked' }
  | { readonly refused: 'full'; readonly maximum: number }
  | { readonly refused: 'too-many-devices'; readonly maximum: number }
  // to make a room
  | { readonly refused: 'may-not-create' }
  | { readonly refused: 'too-many-rooms'; readonly maximum: number }
  // to speak
  | { readonly refused: 'not-here' }
  | { readonly refused: 'other-flow' }
  | { readonly refused: 'in-lobby' }
  | { readonly refused: 'muted'; readonly reason?: string }
  | { readonly refused: 'listens-only' }
  | { readonly refused: 'slow-mode'; readonly retryAfter: Millis }
  | { readonly refused: 'too-fast'; readonly retryAfter: Millis }
  | { readonly refused: 'too-large'; readonly maximum: number }
  | { readonly refused: 'no-private-messages' }
  | { readonly refused: 'recipient-unknown' }
  // to watch
  | { readonly refused: 'may-not-watch' }
  // to manage
  | { readonly refused: 'role-too-low'; readonly needed: Role }
  | { readonly refused: 'outranked' }
  | { readonly refused: 'moves-to-itself' }
  // to take a nickname
  | { readonly refused: 'no-nicknames' }
  | { readonly refused: 'nickname-malformed' }
  | { readonly refused: 'nickname-reserved' }
  | { readonly refused: 'nickname-taken' };

/** The refusal as a sentence for a human, in the ASCII that every header and comment can carry. */
export function sentenceOf(refusal: Refusal): string {
  switch (refusal.refused) {
    case 'moved':
      return refusal.to === undefined ? 'This room is closed' : `This room has moved to ${refusal.to}`;
    case 'banned':
      return refusal.until === undefined
        ? 'You are banned from this room'
        : `You are banned from this room until ${new Date(refusal.until).toISOString()}`;
    case 'over':
      return 'This conference is over';
    case 'not-a-member':
      return 'This room is for its members only';
    case 'pin-needed':
      return 'This room asks for a PIN';
    case 'pin-wrong':
      return 'The PIN is wrong';
    case 'pin-too-often':
      return `Too many wrong PINs, try again in ${seconds(refusal.retryAfter)}`;
    case 'locked':
      return 'This conference is locked';
    case 'full':
      return `This conference is full (${String(refusal.maximum)} users)`;
    case 'too-many-devices':
      return `You are here with ${refusal.maximum === 1 ? 'another device' : `${String(refusal.maximum)} devices`} already`;
    case 'may-not-create':
      return 'You may not open a room here';
    case 'too-many-rooms':
      return `There are ${String(refusal.maximum)} rooms already`;
    case 'not-here':
      return 'You are not a participant of this conference';
    case 'other-flow':
      return 'Send this within your call, or by the connection of your call';
    case 'in-lobby':
      return 'A moderator has yet to let you in';
    case 'muted':
      return 'You are muted';
    case 'listens-only':
      return 'You may only listen here';
    case 'slow-mode':
      return `This room is in slow mode, speak again in ${seconds(refusal.retryAfter)}`;
    case 'too-fast':
      return `Too fast, try again in ${seconds(refusal.retryAfter)}`;
    case 'too-large':
      return `Too large, at most ${String(refusal.maximum)} octets`;
    case 'no-private-messages':
      return 'This room takes no private messages';
    case 'recipient-unknown':
      return 'Nobody here has that address';
    case 'may-not-watch':
      return 'Only participants may watch this conference';
    case 'role-too-low':
      return `This takes ${refusal.needed === 'owner' ? 'an' : 'a'} ${refusal.needed}`;
    case 'outranked':
      return 'You cannot do this to somebody of that role';
    case 'moves-to-itself':
      return 'This is the address of the room itself';
    case 'no-nicknames':
      return 'This room takes no nicknames';
    case 'nickname-malformed':
      return 'This cannot be a nickname: it takes 1 to 1023 octets of visible text, by MSRP in quotes';
    case 'nickname-reserved':
      return 'This nickname is reserved';
    case 'nickname-taken':
      return 'Somebody else has this nickname';
  }
}

function seconds(millis: Millis): string {
  const whole = Math.max(1, Math.ceil(millis / 1000));
  return whole === 1 ? '1 second' : `${String(whole)} seconds`;
}
