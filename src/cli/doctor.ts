/** `grouptextchat doctor`: what of this machine would keep the service from its work. */
import { existsSync, mkdirSync, rmdirSync, statfsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { DirectoryError } from '../config/directories.ts';
import { dataPath, type Config } from '../config/schema.ts';
import { exposure, listUsers } from '../config/users.ts';
import { logFileFault } from '../log/sqlite.ts';
import { readCertificate } from '../ops/certificate.ts';
import { listenFault, nameFault } from '../ops/machine.ts';
import { logFile } from '../service/room-log.ts';

/** One thing that was looked at. `fault` keeps the service from its work, `care` does not. */
export interface Finding {
  readonly what: string;
  readonly is: 'well' | 'care' | 'fault';
  readonly detail: string;
}

/** Less free space than this is a fault, in octets. */
const LEAST_SPACE = 64 * 1024 * 1024;

/** A certificate that ends sooner than this needs care, in days. */
const FEW_DAYS = 14;

/** Looks at everything that the configuration needs of this machine, and leaves it as it is. The service must not be running. */
export async function examine(config: Config, now: Date): Promise<readonly Finding[]> {
  return [
    node(process.versions.node),
    dataDirectory(config.data),
    roomLog(config),
    ...(await listeners(config)),
    certificate(config, now),
    users(config),
    ...(await domains(config)),
  ];
}

/** The findings as text, one a line. */
export function formatFindings(findings: readonly Finding[]): string {
  return findings.map(({ is, what, detail }) => `${is.padEnd(6)}${what}: ${detail}\n`).join('');
}

function node(version: string): Finding {
  const enough = Number(version.split('.')[0]) >= 20;
  return { what: 'Node', is: enough ? 'well' : 'fault', detail: enough ? version : `${version}, and 20 is needed` };
}

function dataDirectory(path: string): Finding {
  const what = `data directory ${path}`;
  try {
    const place = placeOf('data', resolve(path));
    const { bavail, bsize } = statfsSync(place);
    const free = `${Math.floor((bavail * bsize) / 1024 / 1024)} MiB free`;
    const detail = place === resolve(path) ? free : `is made at the start, ${free}`;
    return { what, is: bavail * bsize < LEAST_SPACE ? 'fault' : 'well', detail };
  } catch (error) {
    return { what, is: 'fault', detail: reasonOf(error) };
  }
}

/**
 * Where a directory is, or would be made: itself, or the nearest one above it that is there. Throws `DirectoryError` where
 * nothing can be made in that; only trying tells, as in /proc, and what is made for it goes at once.
 */
function placeOf(key: string, path: string): string {
  let place = path;
  while (!existsSync(place) && dirname(place) !== place) place = dirname(place);
  const cannot = place === path ? `${path} cannot be used` : `${path} cannot be made`;
  if (!statSync(place).isDirectory()) throw new DirectoryError(`${key}: ${cannot}: ${place} is no directory`);
  const probe = join(place, `.doctor-${process.pid}`);
  try {
    mkdirSync(probe);
    rmdirSync(probe);
  } catch (error) {
    throw new DirectoryError(`${key}: ${cannot}: nothing can be made in ${place} (${reasonOf(error)})`);
  }
  return place;
}

function roomLog(config: Config): Finding {
  const what = 'room log';
  const file = logFile(config);
  if (file === undefined) return { what, is: 'well', detail: 'in memory' };
  try {
    placeOf('log.file', resolve(dirname(file)));
  } catch (error) {
    return { what, is: 'fault', detail: reasonOf(error) };
  }
  if (!existsSync(file)) return { what, is: 'well', detail: `${file} is made at the start` };
  const fault = logFileFault(file);
  return fault === undefined ? { what, is: 'well', detail: file } : { what, is: 'fault', detail: `${file} ${fault}` };
}

async function listeners({ sip, msrp, http, tls }: Config): Promise<readonly Finding[]> {
  const tlsPort = tls.certificate === null ? null : sip.tls_port;
  const wanted = [
    ...sip.host.flatMap((host) => [
      ...(sip.udp ? [['SIP', 'UDP', host, sip.port] as const] : []),
      ...(sip.tcp ? [['SIP', 'TCP', host, sip.port] as const] : []),
      ...(tlsPort === null ? [] : [['SIP over TLS', 'TCP', host, tlsPort] as const]),
    ]),
    ...msrp.host.map((host) => ['MSRP', 'TCP', host, msrp.port] as const),
    ['HTTP', 'TCP', http.host, http.port] as const,
  ];
  return Promise.all(
    wanted.map(async ([protocol, transport, host, port]): Promise<Finding> => {
      const fault = await listenFault(transport, host, port);
      const what = `${protocol} on ${transport} port ${port} of ${host}`;
      return fault === undefined ? { what, is: 'well', detail: 'is free' } : { what, is: 'fault', detail: fault };
    }),
  );
}

function certificate({ tls }: Config, now: Date): Finding {
  const what = 'certificate';
  if (tls.certificate === null || tls.key === null) {
    return { what, is: 'well', detail: 'none: MSRP over TLS uses one that is made at each start' };
  }
  try {
    const { expires } = readCertificate(tls.certificate, tls.key);
    const days = Math.floor((expires.getTime() - now.getTime()) / 86_400_000);
    return { what, is: days < 0 ? 'fault' : days < FEW_DAYS ? 'care' : 'well', detail: `ends in ${days} days` };
  } catch (error) {
    return { what, is: 'fault', detail: reasonOf(error) };
  }
}

function users(config: Config): Finding {
  const what = 'users';
  if (config.auth.mode === 'open') return { what, is: 'well', detail: 'no authentication' };
  try {
    const path = dataPath(config, config.auth.users);
    const { length } = listUsers(path, config.auth.realm);
    const exposed = exposure(path);
    if (exposed !== undefined) return { what, is: 'care', detail: exposed };
    if (length > 0) return { what, is: 'well', detail: `${length} in the user file` };
    return { what, is: 'care', detail: 'none yet: add some with grouptextchat user add NAME' };
  } catch (error) {
    return { what, is: 'fault', detail: reasonOf(error) };
  }
}

async function domains(config: Config): Promise<readonly Finding[]> {
  return Promise.all(
    config.domains.map(async (domain): Promise<Finding> => {
      const fault = await nameFault(domain);
      const what = `domain ${domain}`;
      return fault === undefined ? { what, is: 'well', detail: 'has an address' } : { what, is: 'care', detail: fault };
    }),
  );
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
