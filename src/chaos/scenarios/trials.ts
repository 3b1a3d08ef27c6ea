import { limits } from '../../../replication/limits.js';
import { allGoOn } from '../faults/watch.js';
import { doorNames } from '../history.js';
import { trialGroups, withTrials } from '../kinds/load.js';
import type { Stage } from '../stage.js';
import { until } from '../until.js';
import { noFailover, type Scenario } from './scenario.js';

const deliver = (stage: Stage, group: string, command: object) =>
  stage.workload.deliver(group, { by: 1, ...command });

async function stalled(stage: Stage, group: string, factor: number): Promise<void> {
  const spinMs = factor * stage.hangTimeoutMs;
  const { id } = await stage.active(group);
  await stage.during(`stalled for ${spinMs} ms by its kind`, id, () =>
    deliver(stage, group, { spinMs }),
  );
}

const stallBelow: Scenario = {
  ...withTrials,
  name: 'stall-in-kind-0-5x',
  shows: 'a kind keeps its node busy for half of what is tolerated: nobody fails over',
  round: (stage) => stalled(stage, stage.chance.pick(trialGroups), 0.5),
  expectsAlone: noFailover,
};

const stallAbove: Scenario = {
  ...withTrials,
  name: 'stall-in-kind-2x',
  shows:
    'a kind keeps its node busy for too long: others take over, and it answers nobody after it',
  async round(stage) {
    const group = stage.chance.pick(trialGroups);
    const { epoch } = await stage.group(group);
    await stalled(stage, group, 2);
    await until(`${group} has failed over`, async () => (await stage.group(group)).epoch > epoch);
  },
};

const poisonOnActive: Scenario = {
  ...withTrials,
  name: 'poison-event',
  shows: 'an event cannot be applied: it is refused before it is appended, and all goes on',
  async round(stage) {
    const group = stage.chance.pick(trialGroups);
    await stage.during('got poison', group, async () => {
      const outcome = await deliver(stage, group, { poison: 'everywhere' });
      if (outcome.kind === 'rejected' && outcome.code === 'apply-failed') return;
      throw new Error(`poison for ${group} was ${outcome.kind}, expected rejected: apply-failed`);
    });
  },
  expectsAlone: noFailover,
};

const poisonOnReplay: Scenario = {
  ...withTrials,
  name: 'poison-on-replay',
  shows:
    'a recorded event cannot be applied by a later program: its group stops there, all others go on',
  async round(stage) {
    const group = stage.chance.pick(trialGroups);
    await until(`${group} takes what cannot be applied later`, async () => {
      const { kind } = await deliver(stage, group, { poison: 'here' });
      return kind === 'accepted';
    });
    // A snapshot behind it would spare everybody the replay: nobody has asked for one.
    await stage.during('poisoned', group, async () => {
      await anew(stage, '1');
      await until(`${group} is quarantined and says why`, async () => {
        const { quarantined, members } = await stage.group(group);
        return quarantined && members.some(({ error }) => error?.includes('poison'));
      });
      await allGoOn(
        stage,
        stage.groups.filter((one) => one !== group),
      );
      await anew(stage, undefined);
    });
  },
};

/** All nodes at once: of those that die in turn the others would go on. */
async function anew({ nodes }: Stage, poison: '1' | undefined): Promise<void> {
  await Promise.all(nodes.map((node) => node.end('SIGKILL')));
  for (const node of nodes) node.setEnv({ UNDERSTUDY_TRIAL_POISON: poison });
  await Promise.all(nodes.map((node) => node.start()));
}

const oversized: Scenario = {
  ...withTrials,
  name: 'oversized-event',
  shows: 'an event is larger than any may be: whoever sends it is told so at once, by any way in',
  async round(stage) {
    const group = stage.chance.pick(trialGroups);
    const padding = 'x'.repeat(limits.eventSizeBytes + 1);
    for (const door of doorNames) {
      await stage.during(`got an oversized event by ${door}`, group, async () => {
        const outcome = await stage.workload.deliver(group, { by: 1, padding }, door);
        if (outcome.kind !== 'accepted' && outcome.code === 'too-large') return;
        const told = outcome.kind === 'accepted' ? `seq ${outcome.seq}` : outcome.code;
        throw new Error(`by ${door} an oversized event was ${outcome.kind} (${told})`);
      });
    }
  },
  expectsAlone: noFailover,
};

export const trials: readonly Scenario[] = [
  stallBelow,
  stallAbove,
  poisonOnActive,
  poisonOnReplay,
  oversized,
];
