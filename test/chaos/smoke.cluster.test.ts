/** One short run on real processes: that scenarios run, are checked, and leave nothing behind. */
import { expect, test } from 'vitest';
import { runScenario } from '../../src/chaos/run.js';
import { scenarios } from '../../src/chaos/scenarios/index.js';
import type { Scenario } from '../../src/chaos/scenarios/scenario.js';
import { shippedLoads } from '../../src/chaos/workload/groups.js';
import { program } from '../support/node-process.js';

const timeoutMs = 180_000;

test(
  'an active is killed, and every answer was true',
  async () => {
    const said: string[] = [];
    const report = await runScenario({
      scenario: scenarios.find(({ name }) => name === 'kill-active') as Scenario,
      ...{ seed: 1, durationMs: 10_000, loads: shippedLoads, rate: 300, leastRate: 20 },
      ...{ boundMs: 60_000, main: program, kindsFile: undefined, dir: null, env: process.env },
      say: (line) => void said.push(line),
    });
    expect(report).toMatchObject({ verdict: 'green', violations: [], dir: null });
    expect(report.faults.map(({ what }) => what)).toContain('killed');
    expect(said.length).toBeGreaterThan(0);
    expect(report.counts.acknowledged).toBeGreaterThan(200);
    expect(report.groups.map(({ name }) => name)).toEqual(shippedLoads.map(({ name }) => name));
    for (const { digests } of report.groups) expect(digests).toBeGreaterThan(0);
    const epochs = report.groups.map((group) => group.epochs.length);
    expect(Math.max(...epochs)).toBeGreaterThan(1);
  },
  timeoutMs,
);
