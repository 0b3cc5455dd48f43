import type { Conference } from '../conference/conference.ts';

/** A room, as far as it has a title. */
export interface Titled {
  readonly conference: Pick<Conference, 'subject' | 'settings'>;
}

/** What a room is called towards telephones: its subject, else the name that is configured. */
export function titleOf({ conference }: Titled): string | undefined {
  return conference.subject ?? conference.settings.displayText;
}

/** The same as a display name, of which telephones show little. */
export function shortTitleOf(room: Titled): string | undefined {
  const title = titleOf(room)?.slice(0, SHOWN);
  // Half a character would be none.
  return title?.replace(/[\ud800-\udbff]$/, '');
}

const SHOWN = 60;
