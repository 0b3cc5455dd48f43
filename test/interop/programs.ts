import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** What a program of other people left when it ended. */
export interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** Where a program is; undefined if it is not installed here. */
export function pathTo(program: string): string | undefined {
  const paths = (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, program));
  return paths.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Why a test of that program does not run here; where CI is set it runs, and fails, for want of the program. */
export function skipWithout(program: string): string | false {
  if (pathTo(program) !== undefined || process.env['CI'] === 'true') return false;
  return `${program} is not installed here (Debian: see .ci/run)`;
}

/** Runs a program to its end; its standard output and error in one. It is killed after so many seconds. */
export function run(program: string, args: readonly string[], seconds = 100): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: seconds * 1000,
      killSignal: 'SIGKILL',
    });
    let output = '';
    const note = (text: Buffer): void => {
      output += text.toString();
    };
    child.stdout.on('data', note);
    child.stderr.on('data', note);
    child.on('error', reject);
    child.on('close', (code) => {
      resolve({ code, output });
    });
  });
}
