/** What the matrix remembers, and the table that it writes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Report } from '../../../src/chaos/report/report.js';
import { Kept } from '../../chaos/matrix/kept.js';
import { asSection, asText, rowOf, rowWithout, withSection } from '../../chaos/matrix/rows.js';

const report = {
  ...{
    scenario: 'kill-active',
    seed: 7,
    verdict: 'violation',
    calmRate: 512,
    restRate: 498,
    command: 'again',
  },
  ...{ counts: { acknowledged: 9000, unknown: 3, rejected: 40 }, longestStallMs: 1500 },
  outagesMs: { count: 4, p50: 300, p90: 900, p99: 1400, most: 1500 },
  violations: [{ check: 'liveness', group: null, detail: 'nobody serves' }],
  faults: [{}, {}],
} as unknown as Report;
const red = rowOf(report);
const green = rowOf({ ...report, seed: 8, verdict: 'green', violations: [] });

function fileOfKept(): string {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-matrix-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  return join(dir, 'deeper', 'matrix.json');
}

test('a matrix that was stopped knows what it has run, and runs what proved nothing again', () => {
  const file = fileOfKept();
  const before = Kept.open(file, 'a');
  const mute = rowWithout('kill-standby', 7, 'c', 'ended with SIGKILL');
  const thin = { ...green, seed: 9, verdict: 'invalid' } as const;
  for (const row of [red, green, mute, thin]) before.add(row);
  const after = Kept.open(file, 'a');
  expect([red, green, mute, thin].map((row) => after.has(row))).toEqual([true, true, false, false]);
  expect(after.has({ scenario: 'kill-active', seed: 6 })).toBe(false);
  expect(after.rowsOf([green, mute, red])).toEqual([green, mute, red]);
  after.add({ ...mute, verdict: 'green' });
  expect(Kept.open(file, 'a').has(mute)).toBe(true);
});

test('rows of another program are none', () => {
  const file = fileOfKept();
  Kept.open(file, 'a').add(green);
  expect(Kept.open(file, 'b').has(green)).toBe(false);
});

test('the table has a line for each scenario, and below it what was violated', () => {
  const quick = { ...green, perSecond: 600, restPerSecond: null, longestStallMs: 2000 };
  const other = { ...green, scenario: 'kill-standby' };
  const section = asSection([red, quick, other], ['machine: m']);
  expect(section.split('\n').slice(0, 2)).toEqual(['- machine: m', '']);
  expect(section).toContain(
    '| kill-active | 1 of 2 | 4 | 18000 | 6 | 80 | 512 | 498 | 2000 | 8 | 300 | 1400 | 1500 |\n' +
      '| kill-standby | 1 of 1 | 2 | 9000 | 3 | 40 | 512 | 498 | 1500 | 4 | 300 | 1400 | 1500 |\n\n' +
      '- **kill-active, seed 7**',
  );
  expect(section).toContain('(`again`): liveness: nobody serves');
  expect(asSection([green], [])).not.toContain('seed 8');
  expect(asText([red])).toMatch(/kill-active +7 +violation/);
});

test('a document gets it between its markers, again and again', () => {
  const document = 'a\n<!-- matrix:begin -->\nold\n<!-- matrix:end -->\nb\n';
  const once = withSection(document, 'new');
  expect(once).toBe('a\n<!-- matrix:begin -->\nnew\n<!-- matrix:end -->\nb\n');
  expect(withSection(once, 'new')).toBe(once);
  expect(() => withSection('a', 'new')).toThrow(/needs a line <!-- matrix:begin -->/);
});
