'use strict';

// Prints tap's own totals as one line, `N passed, N failed[, N skipped]`, and exits with what they and the checks
// deserve. Arguments: the file with tap's output, the exit code of `npm run check`.
const { readFileSync } = require('node:fs');

const [file = '', status = '1'] = process.argv.slice(2);
const totals = readFileSync(file, 'utf8')
  .split('\n')
  .findLast((line) => /^# \{ total: \d+/.test(line));
if (totals === undefined) {
  console.error(`no test has run: npm run check ended with ${status} before tap gave its totals`);
  process.exit(Number(status) || 1);
}
const count = (name) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(totals)?.[1] ?? 0);
const [passed, failed, skipped, todo] = [count('pass'), count('fail'), count('skip'), count('todo')];
const left = skipped + todo;
console.log(`${passed} passed, ${failed} failed${left > 0 ? `, ${left} skipped` : ''}`);
process.exitCode = Number(status) || (failed > 0 || passed === 0 ? 1 : 0);
