/** What this node does for operations by itself: the registry, and what groups stored. */
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import type { DeleteData, LogEnds } from '../../../cluster/operations/delete.js';
import { shardOf } from '../../nats/subjects.js';
import type { Runtime } from '../runtime.js';
import type { OwnVerbs } from './hands.js';

const askTimeoutMs = 500;

export function ownVerbs(runtime: Runtime): OwnVerbs {
  return {
    'id-revision': async ({ group, groupId }: DeleteData) => ({
      revision: await runtime.registry.idRevision(group, groupId),
    }),
    'remove-group': async (data: DeleteData) => ({ gone: await remove(runtime, data) }),
    'still-hosting': async (data: DeleteData) => ({ nodes: await stillHosting(runtime, data) }),
    'log-ends': (data: DeleteData) => logEnds(runtime, data),
    purge: (data: DeleteData) => purge(runtime, data),
    'release-id': async ({ groupId, idRevision }: DeleteData) => ({
      released: await runtime.registry.releaseId(groupId, idRevision ?? 0),
    }),
  };
}

/** True: there is no entry of this life any more. The name may be another group's by now. */
async function remove(
  { registry }: Runtime,
  { group, groupId, createdAt }: DeleteData,
): Promise<boolean> {
  const found = await registry.get(group);
  if (found === null) return true;
  const { config, revision } = found;
  const isOther = config.groupId !== groupId || config.createdAtMs !== Date.parse(createdAt);
  return isOther || (await registry.remove(config, revision));
}

async function stillHosting(runtime: Runtime, { group, groupId }: DeleteData): Promise<string[]> {
  const { nodes } = runtime.coordinator.membership;
  const up = [...nodes.values()].filter(({ state }) => state !== 'down').map(({ info }) => info.id);
  const asked = up.map(async (node) => {
    const request = { group, groupId };
    const hosts = await runtime.rpc
      .call<boolean>(node, 'hosts', request, askTimeoutMs)
      .catch(() => true);
    return hosts ? [node] : [];
  });
  return (await Promise.all(asked)).flat();
}

function streamsOf({ options }: Runtime, { groupId, standby }: DeleteData) {
  const { names, config } = options;
  const shard = shardOf(groupId, config.shards);
  return {
    log: { stream: names.logStream(shard), filter: names.log(shard, groupId, standby) },
    snapshots: { stream: names.snapshotStream, filter: names.snapshotsOf(groupId) },
  };
}

const managerOf = ({ options }: Runtime): Promise<JetStreamManager> =>
  jetstreamManager(options.connections.control, { checkAPI: false });

async function logEnds(runtime: Runtime, data: DeleteData): Promise<LogEnds> {
  const manager = await managerOf(runtime);
  const { log, snapshots } = streamsOf(runtime, data);
  const endOf = async (stream: string) => (await manager.streams.info(stream)).state.last_seq + 1;
  return { log: await endOf(log.stream), snapshots: await endOf(snapshots.stream) };
}

async function purge(runtime: Runtime, data: DeleteData): Promise<null> {
  const manager = await managerOf(runtime);
  const { log, snapshots } = streamsOf(runtime, data);
  const below = data.below as LogEnds;
  await manager.streams.purge(log.stream, { filter: log.filter, seq: below.log });
  const { filter } = snapshots;
  await manager.streams.purge(snapshots.stream, { filter, seq: below.snapshots });
  runtime.nudgeCollector();
  return null;
}
