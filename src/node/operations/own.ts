/** What this node does for operations by itself: the registry, and what groups stored. */
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import type { GroupDocument, OperationDocument } from '../../../cluster/documents.js';
import type { DeleteData, LogEnds } from '../../../cluster/operations/delete.js';
import { failureOf } from '../../../cluster/operations/engine.js';
import type { Begun } from '../../../cluster/operations/moving.js';
import type { OperationRequest } from '../../../cluster/operations/operation.js';
import { requestReplace } from '../../../cluster/operations/replace.js';
import { requestSwitchover } from '../../../cluster/operations/switchover.js';
import { withMemberOn } from '../../../cluster/placement.js';
import type { Move } from '../../../cluster/plan.js';
import { UnderstudyError } from '../../../replication/errors.js';
import { shardOf } from '../../nats/subjects.js';
import type { Runtime } from '../runtime.js';
import { handsOf, type OwnVerbs, seenBy } from './hands.js';
import { Operations } from './operations.js';
import type { OperationStore } from './store.js';

const askTimeoutMs = 500;

/** The operations of this node. */
export function operationsOf(
  runtime: Runtime,
  store: OperationStore,
  group: (name: string) => Promise<GroupDocument>,
): Operations {
  const { id: node, incarnation } = runtime.options.info;
  const own = ownVerbs(runtime, {
    group,
    start: (request) => operations.start(request),
    get: (id) => operations.get(id, 0),
  });
  const operations: Operations = new Operations({
    store,
    self: { node, incarnation },
    hands: handsOf({ runtime, group, own }),
    membership: () => runtime.coordinator.membership,
  });
  runtime.onEnding = () => operations.look();
  return operations;
}

/** What it takes to begin operations for other operations. */
interface Beginner {
  group(name: string): Promise<GroupDocument>;
  start(request: OperationRequest): Promise<OperationDocument>;
  get(id: string): Promise<OperationDocument>;
}

function ownVerbs(runtime: Runtime, beginner: Beginner): OwnVerbs {
  return {
    'place-member': async (request: Placing) => ({ placed: await placeMember(runtime, request) }),
    'begin-move': async (request: { move: Move; by: string }) => ({
      move: request.move,
      begun: await beginMove(runtime, beginner, request),
    }),
    'look-at': async ({ ids }: { ids: readonly string[] }) => {
      const looked = ids.map((id) => beginner.get(id).catch(() => null));
      return { looked: (await Promise.all(looked)).filter((one) => one !== null) };
    },
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

interface Placing {
  readonly group: string;
  readonly groupId: string;
  readonly index: number;
  readonly from: string;
  readonly to: string;
}

/** Only while the member is where it was: whoever comes late changes nothing. */
async function placeMember({ registry }: Runtime, placing: Placing): Promise<boolean> {
  const { group, groupId, index, from, to } = placing;
  const found = await registry.get(group);
  if (found === null || found.config.groupId !== groupId) return false;
  const { config, revision } = found;
  const isFree = config.members.every(({ node }) => node !== to);
  if (config.members[index]?.node !== from || !isFree) return false;
  return await registry.update(withMemberOn(config, index, to), revision);
}

async function beginMove(
  runtime: Runtime,
  { group, start }: Beginner,
  { move, by }: { readonly move: Move; readonly by: string },
): Promise<Begun> {
  try {
    const found = await group(move.group);
    const request =
      move.kind === 'switchover'
        ? requestSwitchover(found, { leader: move.from, candidate: move.to }, null, by)
        : requestReplace(seenBy(runtime, found), { index: move.index, node: move.to }, by);
    return await start(request);
  } catch (cause) {
    if (cause instanceof UnderstudyError) return { refused: failureOf(cause) };
    throw cause;
  }
}
