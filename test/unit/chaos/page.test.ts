import { expect, test } from 'vitest';
import { chartOf } from '../../../src/chaos/report/chart.js';
import { pageOf } from '../../../src/chaos/report/page.js';
import type { Report } from '../../../src/chaos/report/report.js';

const none = { count: 0, p50: 0, p90: 0, p99: 0, most: 0 };
const phases = { detectMs: 11.4, decideMs: 12, claimMs: 13, replayMs: 14, openMs: 15 };
const report: Report = {
  ...{
    scenario: 'kill-active',
    shows: 'a < b & "c"',
    seed: 7,
    brokers: 1,
    command: 'npm run chaos',
  },
  ...{
    verdict: 'violation',
    calmRate: 500,
    restRate: 480,
    leastRate: 200,
    durationMs: 1000,
    dir: '/d',
  },
  violations: [{ check: 'session', group: null, detail: 'from <seq> 3' }],
  counts: {
    ...{ acknowledged: 1234, rejected: 1, unknown: 2, notTaken: 3, repeated: 4, reads: 5 },
    unansweredReads: 6,
  },
  ...{ longestStallMs: 789, outagesMs: { ...none, count: 3, most: 789 }, latenciesMs: none },
  faults: [
    { what: 'killed', target: 'node-1', fromMs: 250, toMs: 500 },
    { what: 'frozen', target: 'node-2', fromMs: 900, toMs: null },
  ],
  groups: [
    {
      ...{
        name: 'g',
        kind: 'counter',
        standby: 'hot',
        seq: 9,
        records: 9,
        digests: 1,
        strangers: [],
      },
      epochs: [
        {
          ...{ epoch: 2, node: 'node-2', index: 1, cause: 'disconnect', operation: null },
          ...{ startedAt: '', fromSeq: 4, phases, replayed: 5, unavailableMs: 321.6 },
        },
      ],
    },
  ],
  slices: [
    { fromMs: 0, perSecond: 100, medianMs: 4, worstMs: 9 },
    { fromMs: 500, perSecond: 0, medianMs: null, worstMs: null },
  ],
};

test('the page holds what was seen, and loads nothing', () => {
  const page = pageOf(report);
  for (const text of ['1234', '789 ms', 'node-1', 'disconnect', '11 ms', '322 ms', '/d']) {
    expect(page).toContain(text);
  }
  expect(page).not.toMatch(/<script|src=|href=|@import|url\(/);
});

test('what was seen is text, never markup', () => {
  const page = pageOf(report);
  expect(page).toContain('from &lt;seq&gt; 3');
  expect(page).toContain('a &lt; b &amp; &quot;c&quot;');
  expect(page).not.toContain('<seq>');
});

test('faults are drawn where they were, on both charts', () => {
  const faults = [
    ...pageOf(report).matchAll(/<rect class="fault" x="([\d.]+)" .*? width="([\d.]+)"/g),
  ];
  const drawn = faults.map(([, x, width]) => [Number(x), Number(width)]);
  // 64 units to the left of a plot of 1024.
  const one = [64 + 256, 256];
  const toTheEnd = [64 + 921.6, 102.4];
  expect(drawn).toEqual([one, toTheEnd, one, toTheEnd]);
});

test('a curve has a hole where there is no value', () => {
  const values = [1, 1, null, 1];
  const chart = { title: 't', unit: 'u', durationMs: 4, bands: [] };
  const svg = chartOf({ ...chart, curves: [{ name: 'c', colour: 'red', values }] });
  const path = /<path d="([^"]+)"/.exec(svg)?.[1] ?? '';
  expect(path.match(/M/g)).toHaveLength(2);
  expect(path.match(/L/g)).toHaveLength(1);
});
