/**
 * The HTTP API for whoever runs the service: what it can do is given as a list of routes; here is only who may use it
 * and how a request is read.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** A request to the API, its JSON read but not yet believed. */
export interface ApiRequest {
  /** What stood where the path has `:name`, decoded. */
  readonly params: Readonly<Record<string, string | undefined>>;
  readonly query: Readonly<Record<string, string | undefined>>;
  readonly body: unknown;
}

/** The answer: an HTTP status, and what is sent as JSON. */
export interface ApiAnswer {
  readonly status: number;
  readonly body?: unknown;
}

/** One thing that the API can do. */
export interface ApiRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Begins with `/api/`; `:name` stands for one part. */
  readonly path: string;
  handle(request: ApiRequest): ApiAnswer | Promise<ApiAnswer>;
}

/** Serves the routes to those who show the token (`Authorization: Bearer TOKEN`); others get 401. */
export function serveApi(http: FastifyInstance, token: string, routes: readonly ApiRoute[]): void {
  const expected = digest(token);
  const guard = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> => {
    const [, shown = ''] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
    if (timingSafeEqual(digest(shown), expected)) return undefined;
    return reply.code(401).header('WWW-Authenticate', 'Bearer').send({ reason: 'the admin token is missing or wrong' });
  };
  for (const route of routes) {
    http.route({
      method: route.method,
      url: route.path,
      onRequest: guard,
      handler: async (request, reply) => {
        const { status, body } = await route.handle({
          params: strings(request.params),
          query: strings(request.query),
          body: request.body,
        });
        return reply.code(status).send(body ?? {});
      },
    });
  }
}

/**
 * The token in a file, made with it if there is none; readable by its owner only. Its directory must be there. Throws the
 * system's error.
 */
export function adminToken(file: string): string {
  try {
    const made = openSync(file, 'wx', 0o600);
    try {
      writeFileSync(made, `${randomBytes(32).toString('base64url')}\n`);
    } finally {
      closeSync(made);
    }
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'EEXIST') throw error;
  }
  return readFileSync(file, 'utf8').trim();
}

/** Of equal length whatever was shown, so that it can be compared in constant time. */
const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** The values of an object that are text. */
function strings(values: unknown): Readonly<Record<string, string>> {
  if (typeof values !== 'object' || values === null) return {};
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])),
  );
}
