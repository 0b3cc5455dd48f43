/** A tap in the line: passes everything on between clients and a server, and keeps what went through. */
import { connect, createServer, type Server } from 'node:net';
import { once } from 'node:events';
import type { Segment } from './pcap.ts';

export class LineTap {
  readonly #server: Server;
  readonly connections: { readonly port: number; readonly segments: Segment[] }[] = [];

  private constructor(target: number, shownAs: number) {
    this.#server = createServer((client) => {
      const segments: Segment[] = [];
      this.connections.push({ port: shownAs, segments });
      const server = connect({ port: target, host: '127.0.0.1', noDelay: true });
      client.on('data', (bytes) => {
        segments.push({ at: Date.now(), from: 'client', bytes });
        server.write(bytes);
      });
      server.on('data', (bytes) => {
        segments.push({ at: Date.now(), from: 'server', bytes });
        client.write(bytes);
      });
      for (const [one, other] of [
        [client, server],
        [server, client],
      ] as const) {
        one.on('error', () => undefined);
        one.on('close', () => {
          other.end();
        });
      }
    });
  }

  /** Listens before `target`; in the record the server's port is `shownAs`, which dissectors know. */
  static async before(target: number, shownAs: number): Promise<LineTap> {
    const tap = new LineTap(target, shownAs);
    tap.#server.listen(0, '127.0.0.1');
    await once(tap.#server, 'listening');
    return tap;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  close(): void {
    this.#server.close();
  }
}
