import t from 'tap';
import { type Hand, ModelRoom, replier } from './model-room.ts';

/** Numbers between 0 and 1, the same in each run. */
function chance(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff;
}

let count = 0;
const ANSWERS: Readonly<Record<string, (name: string, text: string) => string>> = {
  constant: (name) => `${name} is not here at the moment`,
  id: (name) => `${name} is away, id ${(count += 7919).toString(16)}f-a1b2c3, at 14:${String(10 + (count % 50))}:05`,
  counter: (name) => `You are caller number ${String((count += 1))} of ${name}`,
  whole: (name, text) => `${name} is away. You said: ${text}`,
  mail: (name, text) => `${name} will answer soon.\n> ${text.split('\n').join('\n> ')}`,
  cut: (name, text) => `From ${name}, about your "${text.slice(0, 40)}"`,
  failure: (name, text) =>
    `Message ${(count += 7919).toString(16)} to ${name} could not be delivered: "${text.slice(0, 60)}"`,
};
const WAYS = ['MSRP', 'MESSAGE', 'late MESSAGE'] as const;

/** People who talk, each in words of his own. */
function talk(room: ModelRoom, random: () => number, hand: Hand, until: number): void {
  const next = (): void => {
    if (room.now > until) return;
    room.after(500 + random() * 8_000, () => {
      const words = Array.from({ length: 3 + Math.floor(random() * 6) }, () => random().toString(36).slice(2, 7));
      hand.says(random() < 0.2 ? (['ok', '+1', 'thanks', 'haha'][Math.floor(random() * 4)] ?? '') : words.join(' '));
      next();
    });
  };
  room.after(random() * 1_000, next);
}

t.test(
  'loops: two to four machines that answer everything stop within ten texts, however late they answer; who counts, a little later',
  (t) => {
    const random = chance(1);
    for (const machines of [2, 3, 4]) {
      for (const way of WAYS) {
        for (const [kind, answer] of Object.entries(ANSWERS)) {
          for (const late of [0, 100, 1_000, 3_000, 6_000]) {
            const room = new ModelRoom(() => 1 + random() * 3);
            for (const name of ['one', 'two', 'three', 'four'].slice(0, machines)) {
              replier(
                room,
                name,
                way,
                () => late,
                (text) => answer(name, text),
              );
            }
            const zoe = room.join('zoe');
            room.after(1_000, () => zoe.says('is anybody there? we wanted to meet at the bridge'));
            room.run(300_000);
            const said = room.said.length - 1;
            if (said > (kind === 'counter' ? 12 : 10))
              t.fail(`${String(machines)} by ${way}, ${kind}, ${String(late)}: ${String(said)}`);
            if (room.lines.length === 0) t.fail('the log says nothing');
          }
        }
      }
    }
    t.end();
  },
);

t.test('loops: programs that report are heard, however many, however fast, whatever they say', (t) => {
  const random = chance(2);
  const texts: Readonly<Record<string, (name: string, i: number) => string>> = {
    number: (_name, i) => `number ${String(i)} ${'x'.repeat(80)}`,
    named: (name, i) => `${name}: report number ${String(i)} of this host`,
    load: (name) => `host ${name} is up, load is ${(random() * 4).toFixed(2)}`,
  };
  for (const by of ['MSRP', 'MESSAGE'] as const) {
    for (const [kind, text] of Object.entries(texts)) {
      for (const window of by === 'MSRP' ? [1, 4, 32] : [32]) {
        for (const programs of [1, 2, 4, 10, 20]) {
          for (const spread of [0, 3_000]) {
            const room = new ModelRoom(() => 1 + random());
            for (let p = 0; p < programs; p += 1) {
              const name = `p${String(p)}`;
              const hand = room.join(name, by);
              let i = 0;
              const go = (): void => {
                if ((i += 1) <= 40) hand.says(text(name, p * 1000 + i), go);
              };
              room.after(random() * spread, () => {
                for (let lane = 0; lane < window; lane += 1) go();
              });
            }
            room.run();
            const { length } = room.refused;
            if (length > 0) t.fail(`${by}, ${kind}, ${String(programs)} of ${String(window)}: ${String(length)}`);
          }
        }
      }
    }
  }
  t.end();
});

t.test('loops: people who talk are heard, and one or two that say the same by the clock', (t) => {
  const random = chance(3);
  for (const people of [2, 5, 20]) {
    const room = new ModelRoom();
    for (let i = 0; i < people; i += 1) talk(room, random, room.join(`u${String(i)}`), 600_000);
    room.run();
    t.same(room.refused, [], `${String(people)} people`);
  }
  for (const beats of [1, 2]) {
    for (const period of [2_000, 5_000, 10_000, 30_000]) {
      const room = new ModelRoom(() => 1 + random() * 5);
      for (let i = 0; i < beats; i += 1) {
        const hand = room.join(`beat${String(i)}`);
        const beat = (): void => {
          if (room.now > 600_000) return;
          hand.says(`host ${'ab'.charAt(i)} is alive and well`);
          room.after(period + random() * 20, beat);
        };
        room.after(random() * period, beat);
      }
      room.run();
      t.same(room.refused, [], `${String(beats)}, each ${String(period)} ms`);
    }
  }
  t.end();
});
