/**
 * One round of scenarios that bring something of their own, so that what they rely on stays true. `npm test` has those
 * with volumes and with a kind of their own; `npm run test:whole`, and `npm run chaos:matrix`, all.
 */
import { expect, test } from 'vitest';
import { runScenario } from '../../src/chaos/run.js';
import { scenarios } from '../../src/chaos/scenarios/index.js';
import type { Scenario } from '../../src/chaos/scenarios/scenario.js';
import { shippedLoads } from '../../src/chaos/workload/groups.js';
import { program } from '../support/node-process.js';
import { sampleOf } from '../support/sample.js';

const tells: Readonly<Record<string, RegExp>> = {
  'lost-pages': /lost pages.*loss accepted/,
  'poison-on-replay': /trial-\w+ poisoned/,
  'foreign-writer': /got, from a stranger, /,
  'kill-at-points': /killed at /,
};

test.each(sampleOf(Object.keys(tells), ['lost-pages', 'poison-on-replay']))(
  '%s',
  async (name) => {
    const said: string[] = [];
    const report = await runScenario({
      scenario: scenarios.find((one) => one.name === name) as Scenario,
      ...{ seed: 1, durationMs: 1000, loads: shippedLoads, rate: 200, leastRate: 10 },
      ...{ boundMs: 60_000, main: program, kindsFile: undefined, dir: null, env: process.env },
      say: (line) => void said.push(line),
    });
    expect(report).toMatchObject({ verdict: 'green', violations: [], dir: null });
    expect(said).toEqual([expect.stringMatching(tells[name] as RegExp)]);
  },
  180_000,
);
