/** The service under load: `memory` or `disk` says how its rooms are kept, a number how much of the past newcomers get; then any keys. */
import { rmSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../../src/config/load.ts';
import { suitHeap } from '../../../src/ops/heap.ts';
import { Logger } from '../../../src/ops/logger.ts';
import { startService } from '../../../src/service.ts';
import { reportCpu } from './cpu.ts';

const [, , durability = 'memory', history = '0', ...keys] = process.argv;
const data = mkdtempSync(join(tmpdir(), 'grouptextchat-bench-'));
process.on('exit', () => {
  rmSync(data, { recursive: true, force: true });
});
const config = loadConfig({
  options: [
    ...['sip.port=0', 'msrp.port=0', 'http.port=0', 'sip.udp=false', `data=${data}`],
    ...[`rooms.defaults.durability=${durability}`, `rooms.defaults.history_messages=${history}`],
    ...['rooms.defaults.messages_per_second=1000000', 'rooms.defaults.messages_at_once=1000000'],
    ...['msrp.unbound_per_address=5000', 'sip.connections_per_address=5000', ...keys],
  ],
});
suitHeap();
const service = await startService({ config, log: Logger.create({ level: 'warn', format: 'text' }) });
const portOf = (name: string): number => service.addresses.find(({ protocol }) => protocol === name)?.port ?? 0;
reportCpu({ msrp: portOf('MSRP'), sip: portOf('SIP') });
