import type { ChatEvent, Person } from './events.ts';
import { type Dress, harmless, harmlessLine, timeOf } from './text.ts';

/** What somebody is told who can write here. */
export const HOW_TO = 'Write and press Enter to speak; /help tells more; Ctrl-D leaves.';

/** An event in words for people; undefined for what they need not see. */
export function formatEvent(event: ChatEvent, own: string, dress: Dress, now: Date): string | undefined {
  const name = (person: Person): string => dress.name(harmlessLine(person.name));
  switch (event.type) {
    case 'entered':
      return `You are in ${dress.bold(event.room)} as ${name(event.as)} (${event.as.uri}).`;
    case 'room':
      return formatRoom(event, own, dress);
    case 'joined':
      return dress.dim('* ') + name(event.person) + dress.dim(' joined');
    case 'left':
      return dress.dim('* ') + name(event.person) + dress.dim(' left');
    case 'renamed':
      // Who takes a nickname is told at once that he has it.
      if (event.person.uri === own) return undefined;
      return dress.dim(`* ${harmlessLine(event.before)} is now `) + name(event.person);
    case 'announcement':
      // The columns of a list stay below one another.
      return (event.text.includes('\n') ? '  ' : dress.dim('* ')) + harmless(event.text);
    case 'message': {
      const to = event.private ? 'you' : event.to && harmlessLine(event.to.name);
      const alone = to === undefined ? '' : dress.dim(` (to ${to} alone)`);
      return `${dress.dim(timeOf(new Date(event.at), now))} ${name(event.from)}${alone}: ${harmless(event.text)}`;
    }
    case 'said':
      if (event.fileName !== undefined) return `* sent: ${harmlessLine(event.text)}`;
      return event.to === undefined
        ? undefined
        : `${dress.dim('to')} ${name(event.to)}${dress.dim(' alone:')} ${event.text}`;
    case 'refused':
      return `! not sent: ${harmless(event.text)} (${event.status === undefined ? '' : `${event.status} `}${harmlessLine(event.reason)})`;
    case 'composing':
      return undefined;
    case 'receipt':
      return event.status === 'failed' || event.status === 'error'
        ? `! ${name(event.person)} did not get your message`
        : undefined;
    case 'notice':
      return harmless(event.text);
    case 'away':
      return `! ${harmlessLine(event.reason)}; trying to come back …`;
    case 'back':
      return '* back in the room';
    case 'closed':
      return isInOrder(event) ? `* ${harmlessLine(event.reason)}` : `! ${harmlessLine(event.reason)}${codeOf(event)}`;
  }
}

type Closed = ChatEvent & { readonly type: 'closed' };

/** Whether somebody has meant it to end, by an order (RFC 3326: cause 200), and nothing has failed. */
const isInOrder = ({ status = 0 }: Closed): boolean => status >= 200 && status < 300;

/** The code, where the reason does not name it. */
function codeOf({ reason, status }: Closed): string {
  return status === undefined || reason.includes(String(status)) ? '' : ` (${status})`;
}

function formatRoom(event: ChatEvent & { type: 'room' }, own: string, dress: Dress): string {
  const people = event.people.map(({ name, uri }) => dress.name(harmlessLine(name)) + (uri === own ? ' (you)' : ''));
  const lines = [`${dress.dim('Here:')} ${people.length === 0 ? 'nobody' : people.join(', ')}`];
  if (event.subject !== undefined) lines.push(`${dress.dim('Subject:')} ${harmlessLine(event.subject)}`);
  const addresses = event.chatUris.length === 0 ? [event.uri] : event.chatUris;
  lines.push(`${dress.dim('Address of this room:')} ${addresses.map(harmlessLine).join(' ')}`);
  return lines.join('\n');
}
