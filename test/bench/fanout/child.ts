/** Processes under measurement, as the bench that starts them sees them. */
import { fork, type ChildProcess } from 'node:child_process';
import type { LoadOrder } from './load.ts';
import type { PhonesOrder, PaceOrder, WriteOrder } from './phones.ts';

/** Starts a program of the benches, named by its place beside this file, with a channel to it. */
export function start(file: string, ...args: readonly string[]): ChildProcess {
  return fork(new URL(file, import.meta.url), args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
}

/** The next message of a process. Rejects when it ends instead. */
export function hear(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const gone = (code: number | null): void => {
      reject(new Error(`process ended: ${String(code)}`));
    };
    child.once('exit', gone);
    child.once('message', (message) => {
      child.off('exit', gone);
      resolve(message);
    });
  });
}

/** Sends a message to a process and gives its answer. */
export async function ask(
  child: ChildProcess,
  message: string | LoadOrder | PhonesOrder | WriteOrder | PaceOrder,
): Promise<unknown> {
  const answer = hear(child);
  child.send(message);
  return answer;
}
