/** Many who come in at once, in a process of their own: tells how long it takes until the last has the whole past. */
import { setPriority } from 'node:os';
import { openLine } from './line.ts';

/** What the parent asks for. */
export interface JoinersOrder {
  readonly sip: number;
  readonly msrp: number;
  readonly joiners: number;
  /** Messages of the past that each of them is to get. */
  readonly messages: number;
}

// They stand for a hundred other machines: what they do must not take the processor from the service.
setPriority(10);

process.once('message', (order: JoinersOrder) => {
  void run(order).then((seconds) => process.send?.(seconds));
});

async function run({ joiners, messages, ...ports }: JoinersOrder): Promise<number> {
  const start = process.hrtime.bigint();
  await Promise.all(
    Array.from({ length: joiners }, async (_, index) => {
      let missing = messages;
      let whole: () => void = () => undefined;
      const done = new Promise<void>((resolve) => (whole = resolve));
      await openLine(ports, `joiner${process.pid}n${index}`, (send) => {
        if (!/\r\n\r\n(?:old|new) /.test(send)) return;
        missing -= 1;
        if (missing === 0) whole();
      });
      await done;
    }),
  );
  return Number(process.hrtime.bigint() - start) / 1e9;
}
