/** A process that appends to a log on disk as fast as it can and says what has been kept, until it is killed. */
import { messageId, roomUri, userUri } from '../../src/conference/ids.ts';
import { openSqliteLog } from '../../src/log/sqlite.ts';

const [, , file = ''] = process.argv;
const log = await openSqliteLog({ file });
const room = roomUri('sip:room@example.com');

function say(i: number): void {
  const event = {
    type: 'said',
    at: Date.now(),
    by: userUri('sip:alice@example.com'),
    messageId: messageId(`m${String(i)}`),
    audience: { to: 'everyone' },
    contentType: 'message/cpim',
    cpim: Buffer.from(`text ${String(i)}`),
  } as const;
  log.append(room, event, (outcome) => {
    if (typeof outcome !== 'number') throw new Error(outcome.reason);
    process.stdout.write(`${String(outcome)} m${String(i)}\n`);
    say(i + 8);
  });
}
for (let i = 0; i < 8; i++) say(i);
