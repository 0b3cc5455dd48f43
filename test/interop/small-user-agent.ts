import {
  type Answer,
  type Content,
  type DigestAlgorithm,
  DigestServer,
  digestHa1,
  type IncomingRequest,
  type InviteSession,
  type SipRequest,
  SocketTransport,
  type TraceEntry,
  UserAgent,
} from '../../sip/index.ts';
import { freePort, transports } from './sipp.ts';

/** What we say of our media: none is ever sent. */
export const sdp: Content = {
  contentType: 'application/sdp',
  body: [
    'v=0',
    'o=small 1 1 IN IP4 127.0.0.1',
    's=-',
    'c=IN IP4 127.0.0.1',
    't=0 0',
    'm=audio 9 RTP/AVP 0',
    'a=rtpmap:0 PCMU/8000',
    '',
  ].join('\r\n'),
};

/** The realm, user and password of those who call `sip:proved@…`. */
export const account = { realm: 'small', username: 'alice', password: 'secret' };

/**
 * A user agent as somebody would first build one on the library. What it does depends on the user part it is asked
 * for: `ring` rings until it is cancelled, `early` answers before it accepts, `proved` wants credentials, anybody else takes everything.
 */
export class SmallUserAgent {
  readonly userAgent: UserAgent<SocketTransport>;
  readonly traced: TraceEntry[] = [];
  /** Bodies of the MESSAGEs that came. */
  readonly messages: string[] = [];
  /** Sessions that others have made with us. */
  readonly sessions: InviteSession[] = [];
  readonly faults: string[] = [];
  readonly #digest: DigestServer;
  #port = 0;

  /** `algorithms`: what is offered to whom asks for `proved`, the first first. */
  constructor(algorithms: readonly DigestAlgorithm[] = ['SHA-256', 'MD5']) {
    this.#digest = new DigestServer({ realm: account.realm, algorithms });
    const log = {
      info: () => undefined,
      warn: () => undefined,
      error: (text: string) => {
        this.faults.push(text);
      },
    };
    this.userAgent = new UserAgent(
      {
        transport: (handlers) =>
          new SocketTransport(
            {
              log,
              trace: (entry) => {
                this.traced.push(entry);
              },
            },
            handlers,
          ),
        log,
        product: 'small',
        events: [
          {
            name: 'conference',
            defaultExpires: 600,
            minExpires: 1,
            maxExpires: 3600,
            pacing: 0,
            contentTypes: ['text/plain'],
          },
        ],
      },
      {
        onInvite: async (invite) => {
          const refusal = await this.#refusal(invite.request);
          if (refusal !== undefined) invite.refuse(refusal);
          else if (userOf(invite.request) === 'ring') invite.ring(180);
          else {
            if (userOf(invite.request) === 'early') invite.ring({ status: 183, ...sdp });
            this.#keep(invite.accept({ ...sdp, session: this.#session }));
          }
        },
        onMessage: (incoming) => this.#message(incoming),
        onInfo: () => ({ status: 200 }),
        onRefer: (refer) => {
          refer.accept()?.report(200, 'OK');
        },
        onSubscribe: (subscribe) => {
          let version = 0;
          subscribe.accept({
            resource: 'room',
            content: () => ({ contentType: 'text/plain', body: `version ${(version += 1)}` }),
          });
          if (subscribe.expires > 0) this.userAgent.changed('conference', 'room');
        },
      },
    );
  }

  /** The port at which it listens on 127.0.0.1, by UDP and TCP alike (RFC 3261 §18.2.1). */
  get port(): number {
    return this.#port;
  }

  async listen(): Promise<void> {
    this.#port = await freePort();
    for (const transport of transports) {
      await this.transport.listen({ transport, host: '127.0.0.1', port: this.#port });
    }
  }

  get transport(): SocketTransport {
    return this.userAgent.transport;
  }

  close(): Promise<void> {
    return this.userAgent.close(100);
  }

  readonly #session = {
    onOffer: (): Answer => ({ status: 200, ...sdp }),
  };

  #keep(session: InviteSession | undefined): void {
    if (session !== undefined) this.sessions.push(session);
  }

  async #message(incoming: IncomingRequest): Promise<Answer> {
    const refusal = await this.#refusal(incoming.request);
    if (refusal !== undefined) return refusal;
    this.messages.push(Buffer.from(incoming.request.body).toString());
    return { status: 200 };
  }

  /** Asks for credentials where somebody wants `proved`. */
  async #refusal(request: SipRequest): Promise<Answer | undefined> {
    if (userOf(request) !== 'proved') return undefined;
    const now = Date.now();
    const known = await this.#digest.verify(request, now, (username, realm, algorithm) =>
      username === account.username ? digestHa1(algorithm, username, realm, account.password) : undefined,
    );
    if ('username' in known) return undefined;
    return { status: 401, headers: this.#digest.challenge(request, now, known.challenge) };
  }
}

function userOf(request: SipRequest): string | undefined {
  return request.uri.kind === 'sip' ? request.uri.user : undefined;
}
