import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { mock } from 'node:test';
import t from 'tap';
import { WebSocket, WebSocketServer } from 'ws';
import { type FlowHandlers, type WebSocketLike, webSocketFlow } from '../../msrp/index.ts';

/** Gathers what a flow tells, and lets tests wait for it. */
class Told implements FlowHandlers {
  readonly received: string[] = [];
  drains = 0;
  reason: string | undefined;
  #wake: () => void = () => undefined;

  receive(bytes: Uint8Array): void {
    this.received.push(Buffer.from(bytes).toString('latin1'));
    this.#wake();
  }

  drained(): void {
    this.drains++;
    this.#wake();
  }

  ended(): void {
    t.fail('a WebSocket ends in both directions at once');
  }

  closed(reason: string): void {
    t.equal(this.reason, undefined, 'closed is told once');
    this.reason = reason;
    this.#wake();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

async function pair(): Promise<{ near: WebSocket; far: WebSocket; close(): void }> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'msrp' });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const near = new WebSocket(`ws://127.0.0.1:${port}`, 'msrp');
  const [far] = (await once(server, 'connection')) as [WebSocket];
  if (near.readyState !== WebSocket.OPEN) await once(near, 'open');
  return {
    near,
    far,
    close: () => {
      near.terminate();
      far.terminate();
      server.close();
    },
  };
}

t.test('RFC 7977 §5.1: one message for each write; text and binary are taken', async (t) => {
  const { near, far, close } = await pair();
  t.teardown(close);
  const [here, there] = [new Told(), new Told()];
  const flow = webSocketFlow(near, { secure: false });
  webSocketFlow(far, { secure: true, peer: { address: '192.0.2.1', port: 7 } }).start(there);
  flow.start(here);
  t.equal(flow.framing, 'message');
  t.ok(flow.write(Uint8Array.from([77, 0, 255])));
  t.ok(flow.write(Buffer.from('second')));
  await there.until(() => there.received.length === 2);
  t.same(there.received, ['M\u0000\u00ff', 'second']);
  far.send('text ä');
  far.send(Buffer.from('binary'));
  await here.until(() => here.received.length === 2);
  t.same(here.received, [Buffer.from('text ä').toString('latin1'), 'binary']);
});

t.test('a full WebSocket says so, and says when it has drained', async (t) => {
  const { near, far, close } = await pair();
  t.teardown(close);
  const here = new Told();
  const there = new Told();
  webSocketFlow(far, { secure: false }).start(there);
  const flow = webSocketFlow(near, { secure: false });
  flow.start(here);
  // Without a look at it by and by.
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  t.ok(flow.write(new Uint8Array(900)));
  t.notOk(flow.write(new Uint8Array(32_000_000)));
  await here.until(() => here.drains === 1);
  t.ok(flow.write(Buffer.from('more')));
  await there.until(() => there.received.at(-1) === 'more');
  t.equal(here.drains, 1, 'told once');
});

t.test('either end ends it', async (t) => {
  for (const end of ['end', 'destroy'] as const) {
    const { near, far, close } = await pair();
    const [here, there] = [new Told(), new Told()];
    webSocketFlow(far, { secure: false }).start(there);
    const flow = webSocketFlow(near, { secure: false });
    flow.start(here);
    flow.write(Buffer.from('last'));
    flow[end]();
    await here.until(() => here.reason !== undefined);
    await there.until(() => there.reason !== undefined);
    t.equal(here.reason, 'closed');
    if (end === 'end') t.same(there.received, ['last'], 'what was written arrives');
    t.ok(flow.write(Buffer.from('nothing')), 'writing to the dead does nothing');
    close();
  }
});

t.test('a reader can be slowed', async (t) => {
  const { near, far, close } = await pair();
  t.teardown(close);
  const there = new Told();
  const slow = webSocketFlow(far, { secure: false });
  slow.start(there);
  slow.pause();
  const flow = webSocketFlow(near, { secure: false });
  flow.start(new Told());
  flow.write(Buffer.from('waits'));
  await new Promise((resolve) => near.ping(resolve));
  t.same(there.received, []);
  slow.resume();
  await there.until(() => there.received.length === 1);
});

/** A browser's WebSocket: no callbacks, no pause. */
class BrowserSocket implements WebSocketLike {
  binaryType = 'blob';
  readyState = 1;
  bufferedAmount = 0;
  readonly sent: Uint8Array[] = [];
  readonly listeners = new Map<string, (event: never) => void>();

  send(data: Uint8Array): void {
    this.sent.push(data);
    this.bufferedAmount += data.length;
  }

  close(code?: number): void {
    this.readyState = 3;
    this.tell('close', { code, reason: '' });
  }

  addEventListener(type: string, listener: (event: never) => void): void {
    this.listeners.set(type, listener);
  }

  tell(type: string, event: object): void {
    this.listeners.get(type)?.(event as never);
  }
}

t.test('a browser’s WebSocket is asked whether it has drained', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const socket = new BrowserSocket();
  const told = new Told();
  const flow = webSocketFlow(socket, { secure: true });
  flow.start(told);
  t.equal(socket.binaryType, 'arraybuffer');
  flow.pause();
  flow.resume();
  t.notOk(flow.write(new Uint8Array(400_000)));
  mock.timers.tick(100);
  t.equal(told.drains, 0);
  socket.bufferedAmount = 0;
  mock.timers.tick(50);
  t.equal(told.drains, 1);
  t.notOk(flow.write(new Uint8Array(400_000)));
  flow.destroy();
  mock.timers.tick(1000);
  t.equal(told.drains, 1, 'no drain after the end');
  t.equal(told.reason, 'closed');
});
