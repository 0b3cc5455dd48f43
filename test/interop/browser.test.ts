import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { build } from 'esbuild';
import { chromium, type Page } from 'playwright-core';
import t, { type Test } from 'tap';
import type { joinRoom, Room, Said } from '../../src/client/index.ts';
import { join, raise, ROOM } from '../plays/stage.ts';
import { pathTo, skipWithout } from './programs.ts';

const skip = skipWithout('chromium');

/** Milliseconds: a browser has much to do before it does anything, more so where others keep the machine busy. */
const PATIENCE = 200_000;

/** The global names of the page. */
interface PageWorld {
  readonly client: { readonly joinRoom: typeof joinRoom };
  room: Room;
  heard: string[];
  people: readonly string[];
}

/** The client as one script, as a web page would have it. */
async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    stdin: {
      contents: "import * as client from './dist/src/client/index.js'; globalThis.client = client;",
      resolveDir: '.',
    },
    bundle: true,
    write: false,
    platform: 'browser',
    format: 'iife',
    logLevel: 'silent',
  });
  return outputFiles[0]?.text ?? '';
}

/** Serves one page with the script; gives its origin. */
async function servePage(t: Test, script: string): Promise<string> {
  const server = createServer((request, response) => {
    const [type, body] =
      request.url === '/client.js' ? ['text/javascript', script] : ['text/html', '<script src="/client.js"></script>'];
    response.writeHead(200, { 'Content-Type': `${type}; charset=utf-8` }).end(body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Headless Chromium with a profile of its own and no wish to call home. */
async function openPage(t: Test, url: string): Promise<Page> {
  const profile = await mkdtemp(joinPath(tmpdir(), 'grouptextchat-browser-'));
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: pathTo('chromium') ?? '',
    headless: true,
    timeout: PATIENCE,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  t.teardown(async () => {
    await browser.close();
    await rm(profile, { recursive: true, force: true });
  });
  browser.setDefaultTimeout(PATIENCE);
  const page = await browser.newPage();
  await page.goto(url);
  return page;
}

t.test(
  'RFC 7118, RFC 7977: a browser page chats with a participant over TCP',
  { skip, timeout: PATIENCE },
  async (t) => {
    const origin = await servePage(t, await bundle());
    const stage = await raise(`http.origins=[${origin}]`);
    t.teardown(() => stage.close());
    const page = await openPage(t, origin);
    const http = stage.service.addresses.find(({ protocol }) => protocol === 'HTTP')?.port ?? 0;

    const bob = await join(stage, 'bob');
    await page.evaluate(
      async ([uri, server]) => {
        const world = globalThis as unknown as PageWorld;
        world.heard = [];
        const webSocket = (url: string, protocol: string): WebSocket => new WebSocket(url, protocol);
        world.room = await world.client.joinRoom(
          uri,
          { name: 'Alice', server, webSocket },
          {
            message: ({ status, text = '' }) => {
              if (!status) world.heard.push(text);
            },
            roster: (roster) => {
              world.people = [...roster.values()].map(({ name }) => name);
            },
            closed: (why) => {
              world.heard.push(`closed: ${why.message}`);
            },
          },
        );
      },
      [ROOM, `ws://127.0.0.1:${http}/ws`] as const,
    );
    const say = (text: string): Promise<Said> =>
      page.evaluate((what) => (globalThis as unknown as PageWorld).room.say(what), text);

    t.match(await say('hi from a page: żółć'), { said: true });
    await bob.hears('hi from a page: żółć');
    await bob.say('hello page');
    await page.waitForFunction(() => (globalThis as unknown as PageWorld).heard.includes('hello page'));
    await page.waitForFunction(() => (globalThis as unknown as PageWorld).people.length === 2);
    const large = 'x'.repeat(50_000);
    t.match(await say(large), { said: true });
    await bob.hears(large);
    await page.evaluate(() => (globalThis as unknown as PageWorld).room.leave());
    t.same(await page.evaluate(() => (globalThis as unknown as PageWorld).heard), ['hello page']);
  },
);

t.test('a page of another origin does not come in', { skip, timeout: PATIENCE }, async (t) => {
  const origin = await servePage(t, '');
  const stage = await raise();
  t.teardown(() => stage.close());
  const page = await openPage(t, origin);
  const http = stage.service.addresses.find(({ protocol }) => protocol === 'HTTP')?.port ?? 0;
  const outcome = await page.evaluate(
    (url) =>
      new Promise<string>((resolve) => {
        const socket = new WebSocket(url, 'sip');
        socket.onopen = () => resolve('opened');
        socket.onerror = () => resolve('refused');
      }),
    `ws://127.0.0.1:${http}/ws`,
  );
  t.equal(outcome, 'refused');
});
