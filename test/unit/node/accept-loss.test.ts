/** When an operator is told that a loss is accepted. */
import { expect, test } from 'vitest';
import type { GroupState } from '../../../cluster/coordinator.js';
import type { LossDocument } from '../../../cluster/documents.js';
import type { GroupConfig } from '../../../cluster/types.js';
import { acceptLoss } from '../../../src/node/accept-loss.js';
import type { Runtime } from '../../../src/node/runtime.js';
import { groupOf, reportOf } from '../cluster/support.js';

const lost = { toSeq: 9, epoch: 1 } as LossDocument;

/** What a node knows that hosts none of the members; n2 is down. */
function world() {
  const group = {
    config: groupOf(['n0', 'n1', 'n2']),
    reports: new Map([0, 1, 2].map((index) => [index, reportOf(index, 'quarantined')])),
  } as unknown as GroupState & { config: GroupConfig };
  const states = { n0: 'up', n1: 'up', n2: 'down' };
  const nodes = new Map(Object.entries(states).map(([id, state]) => [id, { state }]));
  const runtime = {
    coordinator: { groups: new Map([['g', group]]), membership: { nodes } },
    ports: () => ({ log: { last: (done: (outcome: object) => void) => done({ kind: 'none' }) } }),
    registry: {
      changeGroup: (_: string, change: (config: GroupConfig) => GroupConfig) => {
        group.config = change(group.config);
        group.reports.clear();
        return Promise.resolve();
      },
    },
  } as unknown as Runtime;
  return { group, runtime };
}

const turn = () => new Promise(setImmediate);

test('it is when every member has let go of what is gone whose node is up', async () => {
  const { group, runtime } = world();
  let isDone = false;
  const accepted = acceptLoss(runtime, { config: group.config, lost }, { through: 0 }, {
    by: 'me',
  } as Parameters<typeof acceptLoss>[3]).then(() => {
    isDone = true;
  });
  const told = async (index: number) => {
    for (let i = 0; i < 5; i++) await turn();
    expect(isDone).toBe(false);
    group.reports.set(index, { ...reportOf(index, 'starting'), era: 1 });
  };
  await told(0);
  await told(1);
  await accepted;
  expect(group.config.era).toBe(1);
});
