/** What happens to the containers. Each fault waits for what it is meant to cause, then heals. */
import type { HistoryEntry } from '../../../cluster/documents.js';
import type { AdminClient } from '../../../src/client/admin.js';
import { until } from '../../support/until.js';
import type { Load } from './load.js';
import type { Stack } from './stack.js';

export interface Stage {
  readonly stack: Stack;
  readonly admin: AdminClient;
  readonly load: Load;
  readonly groups: readonly string[];
}

export interface Fault {
  readonly name: string;
  readonly what: string;
  strike(stage: Stage): Promise<void>;
}

/** For a promotion, when three brokers may have to elect a leader first. */
const promotionMs = 60_000;
const wholeMs = 120_000;

const [watched] = ['hot'] as const;

async function activeOf({ admin }: Stage): Promise<{ node: string; epoch: number }> {
  return await until(`${watched} has an active`, async () => {
    const { activeNode: node, epoch } = await admin.group(watched);
    return node === null ? null : { node, epoch };
  });
}

async function standbyOf(stage: Stage): Promise<string> {
  const { node } = await activeOf(stage);
  return stage.stack.nodes.find((other) => other !== node) as string;
}

/** The first epoch after `epoch` that has opened. */
async function promoted({ admin }: Stage, epoch: number): Promise<HistoryEntry> {
  const opened = async () =>
    (await admin.history(watched)).findLast(
      (entry) => entry.epoch > epoch && entry.phases !== null,
    );
  return await until(`${watched} has an active after epoch ${epoch}`, opened, promotionMs);
}

/** Every group has all its members, healthy and synced. */
export async function whole({ admin, groups }: Stage): Promise<void> {
  for (const group of groups) {
    let seen = '';
    const isWhole = async () => {
      const { health, reprotected, activeNode, members } = await admin.group(group);
      seen = JSON.stringify(members);
      return health.healthy === health.total && reprotected && activeNode !== null;
    };
    await until(`${group} is whole`, isWhole, wholeMs).catch((error: Error) => {
      throw new Error(`${error.message}\n${seen}`);
    });
  }
}

/** `harm` to the active's node; the others have to take over and serve before `heal`. */
function lost(
  name: string,
  what: string,
  harm: (stack: Stack, node: string) => Promise<void>,
  heal: (stack: Stack, node: string) => Promise<void>,
): Fault {
  const strike = async (stage: Stage) => {
    const { node, epoch } = await activeOf(stage);
    await harm(stage.stack, node);
    await promoted(stage, epoch);
    await stage.load.round();
    await heal(stage.stack, node);
    await stage.stack.healthy(node);
  };
  return { name, what, strike };
}

/** `harm` to one broker of three: the other two have to serve before `heal`. */
function brokerLost(
  name: string,
  what: string,
  harm: (stack: Stack, broker: string) => Promise<void>,
  heal: (stack: Stack, broker: string) => Promise<void>,
): Fault {
  const strike = async ({ stack, load }: Stage) => {
    for (const broker of stack.brokers) {
      await harm(stack, broker);
      await load.round();
      await heal(stack, broker);
      await stack.healthy(broker);
      await load.round();
    }
  };
  return { name, what, strike };
}

async function killTogether({ stack, load }: Stage, services: readonly string[]): Promise<void> {
  await Promise.all(services.map((service) => stack.does('kill', service)));
  await Promise.all(services.map((service) => stack.does('start', service)));
  await Promise.all(services.map((service) => stack.healthy(service)));
  await load.round();
}

/** Two of three nodes: the last one has to serve alone. */
async function killTwo(stage: Stage): Promise<void> {
  const { stack, load } = stage;
  const { node, epoch } = await activeOf(stage);
  const two = [node, await standbyOf(stage)];
  await Promise.all(two.map((one) => stack.does('kill', one)));
  await promoted(stage, epoch);
  await load.round();
  await Promise.all(two.map((one) => stack.does('start', one)));
  await Promise.all(two.map((one) => stack.healthy(one)));
}

/** Whoever cannot hear the others must not take over, neither now nor when it hears them again. */
async function disconnectStandby(stage: Stage): Promise<void> {
  const { stack, admin, load } = stage;
  const { epoch } = await activeOf(stage);
  const node = await standbyOf(stage);
  await stack.disconnect(node);
  await until(`${node} is missed`, async () => {
    return (await admin.nodes()).find(({ id }) => id === node)?.state === 'down';
  });
  await load.round();
  await stack.connect(node);
  await stack.healthy(node);
  await whole(stage);
  const after = await activeOf(stage);
  if (after.epoch !== epoch)
    throw new Error(`${node} was lost, and the active of ${watched} changed`);
}

/** Nobody may notice: the actives are handed over, and no try goes without an answer. */
async function rollingRestart(stage: Stage): Promise<void> {
  const { stack, admin, load } = stage;
  for (const node of stack.nodes) {
    const before = await activeOf(stage);
    const missed = load.missed;
    await stack.does('stop', node);
    const { state } = await stack.container(node);
    if (state.ExitCode !== 0) throw new Error(`${node} ended with ${state.ExitCode} when stopped`);
    await load.round();
    if (load.missed > missed) {
      throw new Error(`${load.missed - missed} calls got no answer while ${node} was stopped`);
    }
    const since = (await admin.history(watched)).filter(({ epoch }) => epoch > before.epoch);
    const causes = since.map(({ cause }) => cause).filter((cause) => cause !== 'switchover');
    if (causes.length > 0)
      throw new Error(`${node} was stopped, and had to be replaced: ${causes}`);
    await stack.does('start', node);
    await stack.healthy(node);
    await whole(stage);
  }
}

/** New containers on the old volumes. */
async function downAndUp({ stack, load }: Stage): Promise<void> {
  await stack.down(false);
  await stack.up();
  await load.round();
}

export const faults: readonly Fault[] = [
  lost(
    'kill-active',
    'docker kill of the node of an active',
    (stack, node) => stack.does('kill', node),
    (stack, node) => stack.does('start', node),
  ),
  lost(
    'crash-active',
    'its process dies; the restart policy brings it back',
    (stack, node) => stack.crash(node),
    async () => undefined,
  ),
  {
    name: 'crash-standby',
    what: 'the process of another node dies; the restart policy brings it back',
    async strike(stage) {
      const node = await standbyOf(stage);
      await stage.stack.crash(node);
      await stage.stack.healthy(node);
    },
  },
  lost(
    'pause-active',
    'docker pause of the node of an active, until others have taken over',
    (stack, node) => stack.does('pause', node),
    (stack, node) => stack.does('unpause', node),
  ),
  lost(
    'disconnect-active',
    'the node of an active loses the network, with its published port',
    (stack, node) => stack.disconnect(node),
    (stack, node) => stack.connect(node),
  ),
  {
    name: 'disconnect-standby',
    what: 'another node loses the network; the active stays',
    strike: disconnectStandby,
  },
  { name: 'kill-two', what: 'docker kill of two nodes at once', strike: killTwo },
  brokerLost(
    'kill-broker',
    'docker kill of each broker, one after the other',
    (stack, broker) => stack.does('kill', broker),
    (stack, broker) => stack.does('start', broker),
  ),
  brokerLost(
    'pause-broker',
    'docker pause of each broker, one after the other',
    (stack, broker) => stack.does('pause', broker),
    (stack, broker) => stack.does('unpause', broker),
  ),
  brokerLost(
    'disconnect-broker',
    'each broker loses the network, one after the other',
    (stack, broker) => stack.disconnect(broker),
    (stack, broker) => stack.connect(broker),
  ),
  {
    name: 'kill-brokers',
    what: 'docker kill of all brokers at once',
    strike: (stage) => killTogether(stage, stage.stack.brokers),
  },
  {
    name: 'kill-all',
    what: 'docker kill of all containers at once',
    strike: (stage) => killTogether(stage, [...stage.stack.brokers, ...stage.stack.nodes]),
  },
  { name: 'rolling-restart', what: 'docker stop and start of each node', strike: rollingRestart },
  { name: 'down-up', what: 'docker compose down and up, on the same volumes', strike: downAndUp },
];
