import { createAdminClient } from '../../client/admin.js';
import type { Failpoint } from '../../failpoint.js';
import type { ChaosNode } from '../cluster/node.js';
import { lacksHook, preloading } from '../hook.js';
import type { Stage } from '../stage.js';
import { until } from '../until.js';
import type { Scenario } from './scenario.js';

/** At which of the times that the program comes by: the first would mostly be before it leads. */
const times: Readonly<Record<Failpoint, number>> = {
  'before-append': 10,
  'after-ack': 10,
  'before-answer': 40,
  'between-chunks': 1,
  'before-snapshot-record': 1,
  'after-snapshot-record': 1,
  'after-claim': 1,
  'before-open': 1,
  'before-call': 1,
  'after-call': 1,
};
const names = Object.keys(times) as Failpoint[];

/**
 * Who follows the log mostly lacks nothing when it has claimed, and another than the active may cut the
 * snapshots of such a group: an active of a warm group comes by all of them.
 */
const inWarm: ReadonlySet<Failpoint> = new Set([
  'after-claim',
  'between-chunks',
  'before-snapshot-record',
  'after-snapshot-record',
]);

const comesByMs = 45_000;
const disarmed = { NODE_OPTIONS: undefined, UNDERSTUDY_FAILPOINTS: undefined };

const killAtPoints: Scenario = {
  name: 'kill-at-points',
  shows: 'a node that becomes the active dies at a named point of its code, at another each round',
  brokers: 1,
  isAlone: true,
  lacks: (main) => lacksHook(main, 'failpoints'),
  async round(stage) {
    const name = stage.inTurn(names);
    const group = stage.chance.pick(inWarm.has(name) ? await warm(stage) : stage.groups);
    const node = stage.chance.pick(await stage.standbys(group));
    node.setEnv({
      NODE_OPTIONS: preloading(stage.cluster.main, 'failpoints'),
      UNDERSTUDY_FAILPOINTS: `${name}=kill@${times[name]}`,
    });
    await stage.during(`killed at ${name}`, node.id, async () => {
      await node.end('SIGTERM');
      // It may come by that soon.
      await node.start().catch(() => undefined);
      await until(`${node.id} comes by ${name}`, () => leads(stage, node, group, name), comesByMs);
    });
    node.setEnv(disarmed);
    await stage.start(node);
  },
};

async function warm(stage: Stage): Promise<string[]> {
  const documents = await Promise.all(stage.groups.map((group) => stage.group(group)));
  return documents.filter(({ standby }) => standby === 'warm').map(({ name }) => name);
}

/** Makes it the active, and so the driver of what makes it so, until it is gone. */
async function leads(
  stage: Stage,
  node: ChaosNode,
  group: string,
  name: Failpoint,
): Promise<boolean> {
  if (!node.isRunning) return true;
  const admin = createAdminClient({ url: node.adminUrl });
  const { activeNode } = await admin.group(group);
  // It may have become the active without coming by: then another does, and it once more.
  const isPast = activeNode === node.id && name === 'after-claim';
  const request = isPast ? {} : { candidate: node.id };
  await admin.switchover(group, request).catch(() => undefined);
  await admin.sync(group).catch(() => undefined);
  await stage.wait(300);
  return !node.isRunning;
}

export const points: readonly Scenario[] = [killAtPoints];
