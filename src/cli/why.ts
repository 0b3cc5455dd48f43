/** `grouptextchat why`: what became of a message. */
import type { Config } from '../config/schema.ts';
import type { ToldFate } from '../ops/message-routes.ts';
import { callApi } from './api.ts';

/** Asks the running service, and says it in words. Rejects with `ApiError`. */
export async function why(config: Config, id: string): Promise<string> {
  const { messages } = (await callApi(config, 'GET', `/api/messages/${encodeURIComponent(id)}`)) as {
    readonly messages: readonly ToldFate[];
  };
  return messages.map(inWords).join('\n');
}

function inWords({ room, number, from, to, at, note, recipients }: ToldFate): string {
  const lines = recipients.map(
    ({ user, endpoint, fate, detail }) =>
      `  ${user} (${endpoint}): ${fate}${detail === undefined ? '' : ` (${detail})`}`,
  );
  const heading = `${room}, message ${number}: ${from} to ${to}, ${at}`;
  const notes = note === undefined ? [] : [`  ${note}`];
  return `${[heading, ...notes, ...(lines.length === 0 ? ['  nobody was there'] : lines)].join('\n')}\n`;
}
