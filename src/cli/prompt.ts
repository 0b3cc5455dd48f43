/** Asking for a secret. */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';

/** The person at the terminal has broken off, or there was nothing to read. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
}

/** Reads a password: at a terminal it is asked for twice and not shown, in a pipe it is the first line. Rejects with `NoAnswer`. */
export async function askPassword(input: NodeJS.ReadStream, terminal: NodeJS.WriteStream): Promise<string> {
  if (!input.isTTY) {
    const line = await readLine(input, undefined);
    // Whoever writes into the pipe may leave it open: that is no reason to stay.
    input.destroy();
    return line;
  }
  terminal.write('Password: ');
  const first = await readLine(input, terminal);
  terminal.write('Once more: ');
  const second = await readLine(input, terminal);
  if (first !== second) throw new NoAnswer('the two passwords are not the same');
  return first;
}

/** Reads one line. With a terminal its echo is kept away, but for the line feed at the end. */
function readLine(input: NodeJS.ReadStream, terminal: NodeJS.WriteStream | undefined): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input, output: nowhere, terminal: terminal !== undefined });
  return new Promise((resolve, reject) => {
    lines.once('line', (line) => {
      resolve(line);
      lines.close();
    });
    lines.once('close', () => {
      terminal?.write('\n');
      reject(new NoAnswer('no password was given'));
    });
  });
}
