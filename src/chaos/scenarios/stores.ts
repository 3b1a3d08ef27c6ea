import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from 'nats';
import { asItIs } from '../../nats/chunk-codec.js';
import type { ChaosNode } from '../cluster/node.js';
import { counted, tellsOf } from '../faults/watch.js';
import { names, publish, withBroker } from '../faults/wire.js';
import { trialGroups, withTrials } from '../kinds/load.js';
import type { Stage } from '../stage.js';
import { until } from '../until.js';
import type { Scenario } from './scenario.js';

/** Chunks in a node's own cache. */
function chunksOf({ cacheDir }: ChaosNode): string[] {
  const files = readdirSync(cacheDir, { recursive: true }) as string[];
  return files
    .filter((file) => /^[0-9a-f]{2}\/[0-9a-f]{4,}$/.test(file))
    .map((file) => join(cacheDir, file));
}

const damaged = 'understudy_chunk_cache_corrupt_total';
const [group = ''] = trialGroups;

const corruptOnDisk: Scenario = {
  ...withTrials,
  name: 'corrupt-chunk-on-disk',
  shows: 'a node finds other bytes in its cached chunks: it throws them away and fetches them anew',
  async round(stage) {
    const standby = await syncedStandby(stage);
    const before = await counted(standby, damaged);
    await stage.during('corrupt chunks on disk', standby.id, async () => {
      for (const file of chunksOf(standby)) writeFileSync(file, spoiled(stage, readFileSync(file)));
      await begunAnew(stage, standby);
    });
    await until(`${standby.id} counts what was damaged`, async () => {
      return (await counted(standby, damaged)) > before;
    });
  },
};

/** A warm one, whose node has fetched the group's snapshot and keeps it on disk. */
async function syncedStandby(stage: Stage): Promise<ChaosNode> {
  const standby = stage.chance.pick(await stage.standbys(group));
  const { through } = await stage.cluster.admin.sync(group);
  await until(`${standby.id} has synced through ${through}`, async () => {
    const { members } = await stage.group(group);
    return members.some(
      ({ nodeId, syncedThrough }) => nodeId === standby.id && syncedThrough >= through,
    );
  });
  return standby;
}

/** Its member forgets what it holds and fetches all of it, as an operator may ask for. */
async function begunAnew(stage: Stage, { id }: ChaosNode): Promise<void> {
  const { admin } = stage.cluster;
  const { members } = await stage.group(group);
  const index = members.find(({ nodeId }) => nodeId === id)?.index ?? 0;
  const operation = await until(`${group} begins anew on ${id}`, () => admin.reinit(group, index));
  await until(`${group} is synced anew on ${id}`, async () => {
    const { state } = await admin.operation(operation.id);
    return state === 'done';
  });
}

/** One byte of it is another, wherever that is. */
function spoiled({ chance }: Stage, bytes: Uint8Array): Uint8Array {
  const at = chance.below(bytes.length);
  return bytes.with(at, (bytes[at] as number) ^ 0xff);
}

type Spoils = (stage: Stage, connection: NatsConnection, subject: string) => Promise<unknown>;

const spoils: Readonly<Record<string, Spoils>> = {
  replaced: (stage, connection, subject) =>
    publish(
      connection,
      subject,
      asItIs(Uint8Array.from({ length: 300 }, () => stage.chance.below(256))),
    ),
  removed: async (_, connection, subject) => {
    const manager = await jetstreamManager(connection, { checkAPI: false });
    await manager.streams.purge(names.snapshotStream, { filter: subject });
  },
};

const ways = Object.keys(spoils);

const corruptInStore: Scenario = {
  ...withTrials,
  name: 'corrupt-chunk-in-store',
  shows:
    'stored chunks are replaced or gone, and nobody else has them: refused, until the next snapshot',
  async round(stage) {
    const standby = await syncedStandby(stage);
    const what = stage.inTurn(ways);
    const sinceMs = Date.now();
    await stage.during(`chunks ${what} in the store`, group, async () => {
      for (const node of stage.nodes) for (const file of chunksOf(node)) rmSync(file);
      await withBroker(stage, async (connection) => {
        for (const subject of await chunkSubjects(connection)) {
          await spoils[what]?.(stage, connection, subject);
        }
      });
      await begunAnew(stage, standby);
    });
    await tellsOf(stage, group, /gave other bytes|cannot be had/, sinceMs);
  },
};

/** Of all groups: which chunk is whose, only their manifests tell. */
async function chunkSubjects(connection: NatsConnection): Promise<string[]> {
  const manager = await jetstreamManager(connection, { checkAPI: false });
  const query = { subjects_filter: names.allChunks };
  const { state } = await manager.streams.info(names.snapshotStream, query);
  return Object.keys(state.subjects ?? {});
}

export const stores: readonly Scenario[] = [corruptOnDisk, corruptInStore];
