#!/usr/bin/env node
/** The command line: `grouptextchat COMMAND`. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { ApiError } from './cli/api.ts';
import { CertificateError } from './ops/certificate.ts';
import { askPassword, NoAnswer } from './cli/prompt.ts';
import { ConfigError } from './config/faults.ts';
import { DirectoryError, makeDirectory } from './config/directories.ts';
import { loadConfig } from './config/load.ts';
import { dataPath, type Config } from './config/schema.ts';
import type { ChatOptions } from './terminal/chat.ts';
import type { WatchOptions } from './terminal/watch.ts';
import { addUser, listUsers, removeUser, UserFileError } from './config/users.ts';
import { HostError } from './service/hosts.ts';
import { LogOpenError } from './log/sqlite.ts';

/** The options that say where the configuration comes from. */
interface ConfigOptions {
  readonly config?: string;
  readonly set?: readonly string[];
}

/** What commander makes of the options of `chat` and `watch`. */
type ChatFlags = Omit<ChatOptions, 'colour' | 'password'> & {
  readonly color: boolean;
  readonly say?: readonly string[];
};
type WatchFlags = Omit<WatchOptions, 'colour' | 'password'> & { readonly color: boolean };

/** Compiled, this file stands in dist/src. */
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('grouptextchat')
  .description('A SIP conference focus and the MSRP switch of its chat room, at one URI')
  .version(version)
  .showHelpAfterError('(--help tells more)');

configured(program.command('serve'))
  .description('run the service until a signal ends it; SIGHUP reads the configuration again')
  .action(async (options: ConfigOptions) => {
    const { serve } = await import('./cli/serve.ts');
    await serve(() => configOf(options), version);
  });

program
  .command('chat <uri>')
  .description('talk in a room, such as sip:lobby@127.0.0.1; reads lines, also from a pipe')
  .option('-n, --name <name>', 'your name (default: that in --as, else the login name)')
  .option('--say <text>', 'say this and leave; may be repeated', collect)
  .option('--stay', 'do not leave after --say, nor at the end of the input')
  .option('--nick <nickname>', 'take this nickname')
  .option('--history <much>', 'how much of the past to show: 20 (messages), 30m, 12h; 0 for none', historyOf)
  .option('--server <url>', "WebSocket of the server (default: ws://HOST:8080/ws, HOST being the room's)")
  .option('--as <address>', 'your SIP address (default: made of your name and HOST); the password is in GTC_PASSWORD')
  .option('--json', 'print one JSON object a line')
  .option('--no-color', 'print without colours')
  .option('--verbose', 'tell on standard error what the protocols do')
  .action(async (uri: string, { color, ...options }: ChatFlags) => {
    const { runChat } = await import('./terminal/chat.ts');
    process.exitCode = await runChat(uri, {
      ...options,
      ...passwordOf(process.env),
      colour: color,
    });
  });

program
  .command('watch <uri>')
  .description("show a room's conference document, live: who is there and every chat address it advertises")
  .option('--once', 'show it once and leave')
  .option('--server <url>', "WebSocket of the server (default: ws://HOST:8080/ws, HOST being the room's)")
  .option('--as <address>', 'your SIP address; the password is in GTC_PASSWORD')
  .option('--json', 'print one JSON object a line')
  .option('--no-color', 'print without colours')
  .option('--verbose', 'tell on standard error what the protocols do')
  .action(async (uri: string, { color, ...options }: WatchFlags) => {
    const { runWatch } = await import('./terminal/watch.ts');
    process.exitCode = await runWatch(uri, { ...options, ...passwordOf(process.env), colour: color });
  });

configured(program.command('check-config'))
  .description('tell all that is wrong with a configuration, or print it whole')
  .option('--print', 'print every key with its value, as JSON: durations in milliseconds, sizes in octets')
  .action(async (options: ConfigOptions & { readonly print?: boolean }) => {
    const { unusableFiles } = await import('./cli/check-config.ts');
    const config = configOf(options, unusableFiles);
    say(options.print === true ? JSON.stringify(config, null, 2) : 'the configuration is well');
  });

configured(program.command('doctor'))
  .description('find what on this machine would keep the service from its work (while it is not running)')
  .action(async (options: ConfigOptions) => {
    const { examine, formatFindings } = await import('./cli/doctor.ts');
    const findings = await examine(configOf(options), new Date());
    process.stdout.write(formatFindings(findings));
    if (findings.some(({ is }) => is === 'fault')) process.exitCode = 1;
  });

configured(program.command('why <message-id>'))
  .description('what became of a message for each recipient, as far as the running service remembers')
  .action(async (id: string, options: ConfigOptions) => {
    const { why } = await import('./cli/why.ts');
    process.stdout.write(await why(configOf(options), id));
  });

const room = program.command('room').description('the rooms of the running service');

configured(room.command('list'))
  .description('all rooms that are alive')
  .action(async (options: ConfigOptions) => {
    const { listRooms } = await import('./cli/room.ts');
    process.stdout.write(await listRooms(configOf(options)));
  });

configured(room.command('show <room>'))
  .description('who is in a room, and who is banned from it')
  .action(async (name: string, options: ConfigOptions) => {
    const { showRoom } = await import('./cli/room.ts');
    process.stdout.write(await showRoom(configOf(options), name));
  });

configured(room.command('order <room> <order...>'))
  .description('give an order as it is written in the chat, in quotes or without: kick Zoe not here; `help` lists them')
  .action(async (name: string, words: readonly string[], options: ConfigOptions) => {
    const { orderRoom } = await import('./cli/room.ts');
    process.stdout.write(await orderRoom(configOf(options), name, words));
  });

configured(program.command('invite <room> <uri>'))
  .description('call somebody into a room of the running service, such as sip:carol@example.org; waits for the answer')
  .action(async (name: string, uri: string, options: ConfigOptions) => {
    const { inviteTo } = await import('./cli/room.ts');
    process.stdout.write(await inviteTo(configOf(options), name, uri));
  });

const user = program.command('user').description('the users who may call when auth.mode is digest');

configured(user.command('add <name>'))
  .description('add a user, or give one a new password: asked for, or the first line of standard input')
  .action(async (name: string, options: ConfigOptions) => {
    const { data, file, realm } = userFileOf(options);
    makeDirectory('data', data);
    const password = await askPassword(process.stdin, process.stderr);
    say(`${name} ${addUser(file, realm, name, password) === 'added' ? 'was added' : 'has a new password'} (${file})`);
  });

configured(user.command('list'))
  .description('print the names of all users')
  .action((options: ConfigOptions) => {
    const { file, realm } = userFileOf(options);
    for (const name of listUsers(file, realm)) say(name);
  });

configured(user.command('remove <name>'))
  .description('remove a user')
  .action((name: string, options: ConfigOptions) => {
    const { file, realm } = userFileOf(options);
    if (!removeUser(file, realm, name)) throw new UserFileError(`there is no user ${name}`);
    say(`${name} was removed`);
  });

/** Gives a command the options that all have in common that need the configuration. */
function configured(command: Command): Command {
  return command
    .option('-c, --config <file>', 'configuration file (YAML); config/default.yaml explains every key [GTC_CONFIG]')
    .option('--set <key=value>', 'set one key, such as sip.port=5070; may be repeated', collect);
}

function historyOf(value: string): string {
  if (!/^\d+[smhd]?$/.test(value))
    throw new InvalidArgumentError('Give a number of messages (20) or a time (30m, 12h).');
  return value;
}

/** A password is not for the command line, where others on the machine can read it. */
function passwordOf({ GTC_PASSWORD: password }: NodeJS.ProcessEnv): { readonly password?: string } {
  return password === undefined ? {} : { password };
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

function configOf({ config, set = [] }: ConfigOptions, look?: Parameters<typeof loadConfig>[1]): Config {
  return loadConfig({ file: config ?? process.env.GTC_CONFIG, environment: process.env, options: set }, look);
}

function userFileOf(options: ConfigOptions): { readonly data: string; readonly file: string; readonly realm: string } {
  const config = configOf(options);
  return { data: resolve(config.data), file: dataPath(config, config.auth.users), realm: config.auth.realm };
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** What helps against a port that is taken. */
const PORTS =
  'is the service running already? Other ports are chosen by sip.port, msrp.port and http.port, `grouptextchat doctor` ' +
  'looks at all of them';

/** What people do wrong is told in words; anything else is a bug, and loud. */
function explain(error: unknown): void {
  const expected =
    error instanceof ConfigError ||
    error instanceof DirectoryError ||
    error instanceof UserFileError ||
    error instanceof NoAnswer ||
    error instanceof ApiError ||
    error instanceof CertificateError ||
    error instanceof HostError ||
    error instanceof LogOpenError;
  if (!expected && !isSystemError(error)) throw error;
  const heading = error instanceof ConfigError ? 'the configuration cannot be used:\n' : '';
  const advice = 'code' in error && error.code === 'EADDRINUSE' ? `; ${PORTS}` : '';
  process.stderr.write(`grouptextchat: ${heading}${error.message}${advice}\n`);
  process.exitCode = 1;
}

/** What the system refuses, such as a port that is taken. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error;
}

try {
  await program.parseAsync();
} catch (error) {
  explain(error);
}
