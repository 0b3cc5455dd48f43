import type { ConferenceView } from '../conference/view.ts';
import { ClientError, keepWatching } from '../client/index.ts';
import { nodeWebSocket } from '../client/transport/node.ts';
import { EXIT, exitCodeOf, reasonOf } from './exit.ts';
import { processTerminal, type Terminal } from './screen.ts';
import { colourDress, type Dress, harmlessLine, plainDress, timeOf } from './text.ts';

/** The options of `grouptextchat watch`. */
export interface WatchOptions {
  readonly server?: string;
  readonly as?: string;
  readonly password?: string;
  /** One JSON object a line for each state of the document. */
  readonly json?: boolean;
  /** Show the state once and leave. */
  readonly once?: boolean;
  readonly colour?: boolean;
  readonly verbose?: boolean;
}

/** Shows a room's conference document, live, until a signal; gives the exit code. */
export async function runWatch(
  uri: string,
  options: WatchOptions,
  terminal: Terminal = processTerminal,
): Promise<number> {
  const { output, env } = terminal;
  const able = output.isTTY === true && env['TERM'] !== 'dumb';
  const colour = able && options.colour !== false && (env['NO_COLOR'] ?? '') === '';
  let exit: number = EXIT.done;
  let finish: () => void = () => undefined;
  const over = new Promise<void>((resolve) => {
    finish = resolve;
  });
  // Whoever read what we print has seen enough.
  output.on('error', finish);
  const tell = (event: object, words: string): void => {
    output.write(options.json === true ? `${JSON.stringify(event)}\n` : `${words}\n`);
  };
  const fail = (why: ClientError): void => {
    exit = exitCodeOf(why);
    const reason = reasonOf(why, options.password);
    tell({ type: 'closed', reason }, `! ${reason}`);
    finish();
  };
  try {
    const watch = await keepWatching(uri, clientOptions(options), {
      roster: (_roster, _change, view) => {
        const text =
          options.json === true
            ? JSON.stringify(viewJson(view))
            : formatView(view, colour ? colourDress : plainDress, new Date());
        // Live: each state takes the place of the one before it.
        output.write(
          able && options.json !== true && options.once !== true ? `\u001b[2J\u001b[H${text}\n` : `${text}\n`,
        );
        if (options.once === true) finish();
      },
      away: ({ message: reason }) => tell({ type: 'away', reason }, `! ${reason}; trying to come back …`),
      closed: fail,
    });
    process.once('SIGINT', finish).once('SIGTERM', finish);
    await over;
    process.off('SIGINT', finish).off('SIGTERM', finish);
    await watch.stop();
  } catch (fault) {
    if (!(fault instanceof ClientError)) throw fault;
    fail(fault);
  }
  return exit;
}

function clientOptions({ server, as, password, verbose }: WatchOptions): Parameters<typeof keepWatching>[1] {
  return {
    name: 'watcher',
    webSocket: nodeWebSocket,
    ...(server === undefined ? {} : { server }),
    ...(as === undefined ? {} : { identity: as }),
    ...(password === undefined ? {} : { password }),
    ...(verbose === true ? { log: (line: string) => process.stderr.write(`${line}\n`) } : {}),
  };
}

/** The document for scripts. */
function viewJson(view: ConferenceView): object {
  return {
    type: 'conference',
    entity: view.entity,
    version: view.version,
    description: view.description,
    host: view.host,
    state: view.conferenceState,
    users: view.users,
  };
}

/** The document for people. */
export function formatView(view: ConferenceView, dress: Dress, now: Date): string {
  const { entity, description, host, conferenceState, users } = view;
  const state = [
    conferenceState?.active === false ? 'not active' : 'active',
    ...(conferenceState?.locked === true ? ['locked'] : []),
    `${conferenceState?.userCount ?? users.length} here`,
  ];
  const lines = [`${dress.bold(harmlessLine(entity ?? ''))}  ${dress.dim(`${state.join(', ')}, ${timeOf(now, now)}`)}`];
  const add = (label: string, text: string | undefined): void => {
    if (text !== undefined && text !== '') lines.push(`  ${dress.dim(`${label}:`)} ${harmlessLine(text)}`);
  };
  add('name', description?.displayText);
  add('subject', description?.subject);
  add('about', description?.freeText);
  add('page', host?.webPage);
  add('host', host?.displayText);
  lines.push(dress.dim('  people:'));
  for (const user of users) {
    const name = user.nickname ?? user.displayText ?? user.entity;
    lines.push(
      `    ${dress.name(harmlessLine(name))}  ${harmlessLine(user.entity)}  ${dress.dim(user.roles.map(harmlessLine).join(' '))}`.trimEnd(),
    );
    for (const { status, media } of user.endpoints) {
      const kinds = media.map(({ type, status: way }) => `${type ?? '?'}${way === undefined ? '' : ` ${way}`}`);
      lines.push(`      ${dress.dim(harmlessLine([status ?? 'unknown', ...kinds].join(', ')))}`);
    }
  }
  if (users.length === 0) lines.push('    nobody');
  lines.push(dress.dim('  addresses:'));
  const ways = description?.confUris.filter(({ uri }) => uri !== entity) ?? [];
  for (const entry of [...(description?.serviceUris ?? []), ...ways, ...(host?.uris ?? [])]) {
    lines.push(`    ${[entry.purpose ?? '', entry.uri, entry.displayText ?? ''].map(harmlessLine).join('  ').trim()}`);
  }
  return lines.join('\n');
}
