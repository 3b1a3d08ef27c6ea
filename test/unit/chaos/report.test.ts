import { expect, test } from 'vitest';
import type { Violation } from '../../../src/chaos/check/violation.js';
import { type History, newHistory } from '../../../src/chaos/history.js';
import { pausesOf, percentilesOf, rateIn, slicesOf } from '../../../src/chaos/measure.js';
import { type RunFacts, reportOf } from '../../../src/chaos/report/report.js';
import { scenarios } from '../../../src/chaos/scenarios/index.js';
import { type Facts, noFailover } from '../../../src/chaos/scenarios/scenario.js';

/** A call that was answered at each of these times, after 10 ms. */
function answeredAt(...times: number[]): History {
  const history = newHistory('g');
  for (const [i, returnedAt] of times.entries()) {
    const outcome = { kind: 'accepted', seq: i + 1, epoch: 1, result: null } as const;
    const who = { client: 'c', door: 'http', tries: 1 } as const;
    const when = { calledAt: returnedAt - 10, returnedAt };
    history.deliveries.push({ ...who, id: `k${i}`, command: {}, outcome, ...when });
  }
  return history;
}

function facts(calmRate: number, violations: Violation[] = []): RunFacts {
  const [scenario] = scenarios;
  return {
    options: { scenario, seed: 7, durationMs: 60_000, leastRate: 100 } as RunFacts['options'],
    rests: [
      { fromMs: 1100, toMs: 1150 },
      { fromMs: 1900, toMs: 2100 },
    ],
    ...{ dir: '/d', calmRate, startedMs: 1000, endedMs: 3000, violations, groups: [] },
    faults: [{ what: 'killed', target: 'node-1', fromMs: 1500, toMs: null }],
    histories: [answeredAt(1100, 1200, 2000), answeredAt(1100, 1150)],
  };
}

const violation: Violation = { check: 'session', group: 'g', detail: 'd' };

test('too little traffic is invalid, and a violation is one whatever the traffic', () => {
  expect(reportOf(facts(100)).verdict).toBe('green');
  expect(reportOf(facts(99)).verdict).toBe('invalid');
  expect(reportOf(facts(99, [violation])).verdict).toBe('violation');
});

test('data is kept for whoever has to find out, and only then', () => {
  expect(reportOf(facts(100)).dir).toBe(null);
  expect(reportOf(facts(100, [violation])).dir).toBe('/d');
});

test('between faults it is the time from whole again to the next one that counts', () => {
  expect(reportOf(facts(100)).restRate).toBe(12);
  expect(reportOf({ ...facts(100), rests: [] }).restRate).toBe(null);
});

test('pauses are each group’s own, and those above a quarter of a second are outages', () => {
  expect(pausesOf(facts(1).histories)).toEqual([100, 800, 50]);
  const { outagesMs, longestStallMs, faults, command } = reportOf(facts(100));
  expect(outagesMs).toEqual({ count: 1, p50: 800, p90: 800, p99: 800, most: 800 });
  expect(longestStallMs).toBe(800);
  expect(faults).toEqual([{ what: 'killed', target: 'node-1', fromMs: 500, toMs: null }]);
  expect(command).toContain('--seed 7');
});

test('rates and slices count what was answered in them', () => {
  const histories = [answeredAt(100, 900, 1000, Number.POSITIVE_INFINITY)];
  expect(rateIn(histories, { fromMs: 0, toMs: 1000 })).toBe(2);
  const stretches = [
    { fromMs: 0, toMs: 200 },
    { fromMs: 950, toMs: 1050 },
  ];
  expect(rateIn(histories, ...stretches)).toBeCloseTo(2 / 0.3);
  expect(slicesOf(histories, 0, 2000, 2)).toEqual([
    { fromMs: 0, perSecond: 2, medianMs: 10, worstMs: 10 },
    { fromMs: 1000, perSecond: 1, medianMs: 10, worstMs: 10 },
  ]);
  expect(percentilesOf([])).toEqual({ count: 0, p50: 0, p90: 0, p99: 0, most: 0 });
});

test('a failover is one that nobody asked for', () => {
  const epochs = (...causes: string[]) =>
    ({ epochs: causes.map((cause, i) => ({ epoch: i + 1, cause })) }) as unknown as Facts;
  expect(noFailover(epochs('created', 'switchover', 'vacated'))).toBe(null);
  expect(noFailover(epochs('created', 'silence'))).toMatch(/no failover, .* epoch 2 \(silence\)/);
});

test('scenarios have names of their own', () => {
  const names = scenarios.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) expect(name).toMatch(/^[a-z0-9-]+$/);
});
