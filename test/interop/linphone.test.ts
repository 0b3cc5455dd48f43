import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import t from 'tap';
import { ownAddress } from '../own-address.ts';
import { join, raise, ROOM } from '../plays/stage.ts';
import { skipWithout } from './programs.ts';
import { freePort } from './sipp.ts';

/** The real Linphone, driven by its console. */
class Linphone {
  readonly #child: ChildProcess;
  readonly #home: string;
  #output = '';
  readonly #waiting = new Set<() => void>();

  private constructor(child: ChildProcess, home: string) {
    this.#child = child;
    this.#home = home;
    const note = (text: Buffer): void => {
      this.#output += text.toString();
      for (const look of this.#waiting) look();
    };
    child.stdout?.on('data', note);
    child.stderr?.on('data', note);
  }

  /** @param account lines of its configuration, for an account */
  static async start(account: readonly string[] = []): Promise<Linphone> {
    const home = mkdtempSync(joinPath(tmpdir(), 'grouptextchat-linphone-'));
    // It does not make the folder of its database itself.
    mkdirSync(joinPath(home, '.local/share/linphone'), { recursive: true });
    const rc = joinPath(home, 'linphonerc');
    const lines = ['[sip]', `sip_port=${String(await freePort())}`, 'sip_tcp_port=0', 'sip_tls_port=0', 'use_ipv6=0']
      .concat([
        'contact="Lin" <sip:lin@127.0.0.1>',
        'guess_hostname=0',
        '[rtp]',
        `audio_rtp_port=${String(await freePort())}`,
      ])
      .concat(['[video]', 'enabled=0', ...account, '']);
    writeFileSync(rc, lines.join('\n'));
    const child = spawn('linphonec', ['-c', rc], { env: { ...process.env, HOME: home }, stdio: 'pipe' });
    const linphone = new Linphone(child, home);
    await linphone.shows(/linphonec>/);
    return linphone;
  }

  types(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Resolves when the console has shown it. */
  shows(pattern: RegExp): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (!pattern.test(this.#output)) return;
        this.#waiting.delete(look);
        clearTimeout(patience);
        resolve();
      };
      const patience = setTimeout(() => {
        reject(new Error(`Linphone has not shown ${String(pattern)}:\n${this.#output}`));
      }, 100_000);
      this.#waiting.add(look);
      look();
    });
  }

  async stop(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once('close', resolve));
    this.types('quit');
    const patience = setTimeout(() => this.#child.kill('SIGKILL'), 5_000);
    await gone;
    clearTimeout(patience);
    rmSync(this.#home, { recursive: true, force: true });
  }
}

t.test(
  'Linphone as an audio caller: its chat shows what MSRP wrote, and its answer reaches MSRP',
  { skip: skipWithout('linphonec') },
  async (t) => {
    // Without an account it writes to port 5060, whatever the port of the room: an address of our own has that one free.
    const host = ownAddress;
    const room = `sip:lobby@${host}`;
    const stage = await raise(`sip.host=[${host}]`, 'sip.port=5060', 'audio.mode=silence');
    t.teardown(() => stage.close());
    const zoe = await join(stage, 'zoe', room);
    const linphone = await Linphone.start();
    t.teardown(() => linphone.stop());

    linphone.types(`call ${room}`);
    await linphone.shows(/Call \d+ with sip:lobby@\S+ connected/);
    linphone.types(`chat sip:lobby~text@${host} hello from Linphone`);
    const heard = await zoe.line.hears('hello from Linphone');
    t.match(heard.body, /^From: (?:Lin )?<sip:lin@127\.0\.0\.1>\r$/m);
    t.equal((await zoe.line.say(zoe.uri, room, 'hello Linphone, grüße')).what, '200');
    await linphone.shows(/Message received from sip:lobby~text@\S+: zoe: hello Linphone, grüße/);
    // Chat and roster have been seen by one and the same client, which lives on.
    t.equal((await zoe.line.say(zoe.uri, room, 'still there?')).what, '200');
    await linphone.shows(/: zoe: still there\?/);
    linphone.types('terminate');
    await linphone.shows(/Call \d+ with sip:lobby@\S+ ended/);
    t.pass('and hangs up');
  },
);

t.test(
  'Linphone, which forgets ports, writes to a service on another port when that is the outbound proxy of its account',
  { skip: skipWithout('linphonec') },
  async (t) => {
    const stage = await raise('audio.mode=silence');
    t.teardown(() => stage.close());
    const zoe = await join(stage, 'zoe');
    const udp = stage.service.addresses.find(({ protocol, transport }) => protocol === 'SIP' && transport === 'UDP');
    const here = `127.0.0.1:${String(udp?.port)}`;
    const linphone = await Linphone.start([
      ...['[proxy_0]', `reg_proxy=<sip:${here}>`, `reg_route=<sip:${here};lr>`, 'reg_identity=sip:lin@127.0.0.1'],
      ...['reg_sendregister=0', 'publish=0', '[sip]', 'default_proxy=0'],
    ]);
    t.teardown(() => linphone.stop());
    linphone.types(`call sip:lobby@${here}`);
    await linphone.shows(/Call \d+ with sip:lobby@\S+ connected/);
    linphone.types('chat sip:lobby~text@127.0.0.1 hello from Linphone');
    await zoe.hears('hello from Linphone');
    t.equal((await zoe.line.say(zoe.uri, ROOM, 'hello Linphone')).what, '200');
    await linphone.shows(/Message received from sip:lobby~text@\S+: zoe: hello Linphone/);
    linphone.types('terminate');
    await linphone.shows(/Call \d+ with sip:lobby@\S+ ended/);
  },
);
