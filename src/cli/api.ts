/** Asking the running service, over its API. */
import { readFileSync } from 'node:fs';
import { dataPath, type Config } from '../config/schema.ts';

/** The service could not be asked, or has refused. The message is for the person at the terminal. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
}

/** The file of the token, which the service makes when it starts. */
export const TOKEN_FILE = 'admin-token';

/** One request to the service that runs with this configuration on this machine; gives the answer's JSON. Rejects with `ApiError`. */
export async function callApi(config: Config, method: string, path: string, body?: unknown): Promise<unknown> {
  const host = ['0.0.0.0', '::'].includes(config.http.host) ? 'localhost' : config.http.host;
  const url = `${config.http.tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${config.http.port}${path}`;
  const headers = { Authorization: `Bearer ${tokenOf(config)}`, 'Content-Type': 'application/json' };
  let response: Response;
  try {
    response = await fetch(url, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new ApiError(`the service does not answer at ${url}: ${cause}`);
  }
  const answer: unknown = await response.json();
  if (response.ok) return answer;
  const told = typeof answer === 'object' && answer !== null && 'reason' in answer ? String(answer.reason) : '';
  throw new ApiError(told === '' ? `the service answers ${response.status}` : told);
}

function tokenOf(config: Config): string {
  const file = dataPath(config, TOKEN_FILE);
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    throw new ApiError(`${file} cannot be read: is the service running, with this configuration?`);
  }
}
