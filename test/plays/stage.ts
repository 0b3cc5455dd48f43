/** The stage for plays: a whole service on ports of its own, and people who join its rooms over real sockets. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { mock } from 'node:test';
import type { Test } from 'tap';
import { loadConfig } from '../../src/config/load.ts';
import { Logger } from '../../src/ops/logger.ts';
import { type Service, startService } from '../../src/service.ts';
import { MsrpLine } from './msrp-line.ts';
import { type Extra, type PhoneDialog, SipPhone } from './sip-phone.ts';

/** The room that plays are in unless they say otherwise. */
export const ROOM = 'sip:lobby@127.0.0.1';

/** A service for one test. Its lines for the operator are kept. */
export interface Stage {
  readonly service: Service;
  readonly lines: readonly string[];
  /** SIP over TCP. */
  readonly sip: number;
  readonly host: string;
  close(): Promise<void>;
}

/** Starts a service with ports of its own choice and nothing on disk, but for what `options` say (`KEY=VALUE`). */
export async function raise(...options: readonly string[]): Promise<Stage> {
  const lines: string[] = [];
  const data = mkdtempSync(joinPath(tmpdir(), 'grouptextchat-play-'));
  const config = loadConfig({
    options: [
      `data=${data}`,
      ...['sip.port=0', 'msrp.port=0', 'http.port=0', 'roster.interval=50ms', 'rooms.defaults.durability=memory'],
      ...['rooms.defaults.history_messages=0', 'shutdown=1s'],
      ...options,
    ],
  });
  const { level } = config.logging;
  const log = Logger.create({ level, format: 'text', write: (line) => lines.push(line) });
  const service = await startService({ config, log });
  const sip = service.addresses.find(({ protocol, transport }) => protocol === 'SIP' && transport === 'TCP');
  return {
    service,
    lines,
    sip: sip?.port ?? 0,
    host: sip?.host ?? '127.0.0.1',
    close: async () => {
      await service.close();
      rmSync(data, { recursive: true, force: true });
    },
  };
}

/**
 * For a stage that is raised after it, no time passes for rates and the like until the test is over, however slow the
 * machine is; timers run as ever.
 */
export function stopTheClock(t: Test): void {
  mock.timers.enable({ apis: ['Date'], now: Date.now() });
  t.teardown(() => {
    mock.timers.reset();
  });
}

/** The port of its HTTP side. */
export function httpOf({ service }: Stage): number {
  return service.addresses.find(({ protocol }) => protocol === 'HTTP')?.port ?? 0;
}

/** The SDP of a client that connects to us, as most do. */
export function messageSdp(path: string, more: readonly string[] = [], protocol = 'TCP/MSRP'): string {
  return [
    ...['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0', `m=message 9 ${protocol} *`],
    ...['a=accept-types:message/cpim', 'a=accept-wrapped-types:*', 'a=setup:active', `a=path:${path}`],
    ...['a=chatroom:nickname private-messages', ...more, ''],
  ].join('\r\n');
}

let count = 0;

/** A path of a client's own. */
export function newPath(scheme = 'msrp'): string {
  count += 1;
  return `${scheme}://127.0.0.1:9/play${String(count)};tcp`;
}

/** Somebody in a room, with telephone and chat. */
export interface Member {
  readonly name: string;
  readonly uri: string;
  readonly phone: SipPhone;
  readonly dialog: PhoneDialog;
  readonly line: MsrpLine;
  /** The room's SDP. */
  readonly answer: string;
  /** Says something to the room; gives the status of the answer. */
  say(text: string): Promise<string>;
  hears(text: string): Promise<void>;
  leave(): Promise<void>;
}

/** INVITE, ACK, MSRP: comes into a room. */
export async function join(
  stage: Pick<Stage, 'sip' | 'host'>,
  name: string,
  room = ROOM,
  extra: Extra = {},
  own = newPath(),
): Promise<Member> {
  const phone = await SipPhone.connect(name, stage.sip, stage.host);
  phone.instance = extra.instance;
  const offer = { contentType: 'application/sdp', body: messageSdp(own), ...extra };
  const { response, dialog } = await phone.request('INVITE', room, offer);
  if (response.status !== 200) throw new Error(`${name} is not let in: ${String(response.status)} ${response.reason}`);
  phone.ack(dialog);
  const line = await MsrpLine.bind(own, pathOf(response.body));
  return {
    name,
    uri: phone.uri,
    phone,
    dialog,
    line,
    answer: Buffer.from(response.body).toString(),
    say: async (text) => (await line.say(phone.uri, room, text)).what,
    hears: async (text) => {
      await line.hears(text);
    },
    leave: async () => {
      await phone.within(dialog, 'BYE');
      line.close();
      phone.hangUp();
    },
  };
}

/** The path in an SDP body. */
export function pathOf(body: Uint8Array): string {
  return /^a=path:(\S+)/m.exec(Buffer.from(body).toString())?.[1] ?? '';
}
