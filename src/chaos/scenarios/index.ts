/** All scenarios. A new one is an object in one of the files beside this, and nothing else. */
import { calm } from './calm.js';
import { clocks } from './clocks.js';
import { disks } from './disks.js';
import { kills } from './kills.js';
import { links } from './links.js';
import { losses } from './losses.js';
import { networks } from './networks.js';
import { operators } from './operators.js';
import { pauses } from './pauses.js';
import { points } from './points.js';
import { restarts } from './restarts.js';
import type { Scenario } from './scenario.js';
import { stores } from './stores.js';
import { strangers } from './strangers.js';
import { trials } from './trials.js';

export const scenarios: readonly Scenario[] = [
  ...kills,
  ...pauses,
  ...networks,
  ...links,
  ...restarts,
  ...operators,
  ...points,
  ...clocks,
  ...strangers,
  ...stores,
  ...disks,
  ...trials,
  ...losses,
  ...calm,
];

/** Each kind of fault once. */
export const smokeNames: readonly string[] = [
  'kill-active',
  'kill-stream-leader',
  'stop-active-2x',
  'partition-node',
  'lonely-broker',
  'roll-nodes',
];

/** Any of those for so many brokers, another in each round. */
export function anything(brokers: 1 | 3): Scenario {
  const drawn = scenarios.filter((one) => one.brokers <= brokers && !one.isAlone);
  return {
    name: 'random',
    shows: 'one fault after the other, drawn by the seed',
    brokers,
    round: (stage) => stage.chance.pick(drawn).round(stage),
    expects: allOf(drawn),
  };
}

/** One after the other on one cluster: most of a short run is its beginning and its end. */
export function smoke(): Scenario {
  const rounds = smokeNames.map((name) => scenarios.find((one) => one.name === name) as Scenario);
  let next = 0;
  return {
    name: 'smoke',
    shows: smokeNames.join(', '),
    brokers: 3,
    leastRounds: rounds.length,
    round: (stage) => (rounds[next++ % rounds.length] as Scenario).round(stage),
    expects: allOf(rounds),
  };
}

const allOf =
  (parts: readonly Scenario[]): NonNullable<Scenario['expects']> =>
  (facts) => {
    for (const { expects } of parts) {
      const problem = expects?.(facts) ?? null;
      if (problem !== null) return problem;
    }
    return null;
  };
