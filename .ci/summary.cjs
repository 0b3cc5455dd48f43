'use strict';

// Prints what tap has found, one line for each test file and all about what failed, then tap's own totals as the last
// line: `N passed, N failed[, N skipped]`. Exits with what they and the checks deserve.
// Arguments: the file with tap's output, the exit code of `npm run check`.
const { readFileSync } = require('node:fs');

const [file = '', status = '1'] = process.argv.slice(2);
const lines = readFileSync(file, 'utf8').split('\n');

let failing = false;
for (const line of lines) {
  const point = /^( *)(not )?ok \d+/.exec(line);
  if (point !== null) failing = point[2] !== undefined && !/# (?:skip|todo)/i.test(line);
  if (point?.[1] === '' || (failing && line.trim() !== '')) console.log(line);
}

const totals = lines.findLast((line) => /^# \{ total: \d+/.test(line));
if (totals === undefined) {
  console.error(`no test has run to its end: npm run check ended with ${status}`);
  process.exit(Number(status) || 1);
}
const count = (name) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(totals)?.[1] ?? 0);
const [passed, failed, skipped] = [count('pass'), count('fail'), count('skip') + count('todo')];
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exitCode = Number(status) || (failed > 0 || passed === 0 ? 1 : 0);
