import type { GroupDocument, LossDocument } from '../../../cluster/documents.js';
import { UnderstudyError } from '../../../replication/errors.js';
import { storesOf } from '../faults/stores.js';
import { allGoOn } from '../faults/watch.js';
import { nowMs } from '../history.js';
import type { Stage } from '../stage.js';
import { until } from '../until.js';
import type { Scenario } from './scenario.js';

function lostPages(name: string, brokers: 1 | 3, shows: string): Scenario {
  return {
    ...{ name, shows, brokers },
    isAlone: true,
    async round(stage) {
      const stores = storesOf(stage);
      const copiedMs = await stores.copy();
      // There is nothing to lose of a group that has acknowledged nothing since.
      await allGoOn(stage, stage.groups);
      await stage.wait(stage.chance.between(500, 3000));
      await stores.bringBack();
      for (const group of stage.groups) await goOnWithout(stage, group, copiedMs);
    },
  };
}

async function goOnWithout(stage: Stage, group: string, copiedMs: number): Promise<void> {
  const { admin } = stage.cluster;
  // Whoever knows less may find out first; the last that was acknowledged has to be among it.
  const acknowledged = stage.workload.acknowledged(group);
  const lost = await until(`${group} is known to have lost seq ${acknowledged}`, async () =>
    stopped(await admin.group(group), acknowledged),
  );
  await until(`${group} refuses, and doctor says why`, async () => {
    const { findings } = await admin.doctor();
    const isFound = findings.some(({ code, about }) => code === 'log-lost' && about === group);
    return isFound && (await refuses(stage, group));
  });
  const { endsAt, toSeq } = lost;
  const loss = { group, fromMs: copiedMs, toMs: nowMs(), keptSeq: endsAt.seq, namedSeq: toSeq };
  stage.losses.push(loss);
  await stage.during('loss accepted', group, async () => {
    await until(`the loss of ${group} is accepted`, async () => {
      await admin.acceptLoss(group, endsAt.seq);
      return true;
    });
  });
}

function stopped({ lost, activeNode }: GroupDocument, acknowledged: number): LossDocument | null {
  return lost !== null && lost.toSeq >= acknowledged && activeNode === null ? lost : null;
}

/** No kind takes such a command: a group that decides anything rejects it. */
async function refuses(stage: Stage, group: string): Promise<boolean> {
  try {
    await stage.cluster.admin.deliver(group, { type: 'nothing' });
  } catch (error) {
    return error instanceof UnderstudyError && error.code === 'quarantined';
  }
  return false;
}

export const losses: readonly Scenario[] = [
  lostPages(
    'lost-pages',
    1,
    'the broker comes back with an older store: groups say what is gone, and serve nothing until told',
  ),
  lostPages(
    'lost-pages-of-all',
    3,
    'all three brokers come back with older stores, as after a power loss',
  ),
];
