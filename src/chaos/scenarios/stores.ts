import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from 'nats';
import { asItIs } from '../../nats/chunk-codec.js';
import type { ChaosNode } from '../cluster/node.js';
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

const corruptOnDisk: Scenario = {
  name: 'corrupt-chunk-on-disk',
  shows: 'a node finds other bytes in its cached chunks: it throws them away and fetches them anew',
  ...withTrials,
  async round(stage) {
    const group = stage.chance.pick(trialGroups);
    const standby = stage.chance.pick(await stage.standbys(group));
    await stage.cluster.admin.sync(group);
    await until(`${standby.id} has chunks`, async () => chunksOf(standby).length > 0);
    await stage.during('corrupt chunks on disk', standby.id, async () => {
      await standby.end('SIGKILL');
      for (const file of chunksOf(standby)) writeFileSync(file, spoiled(stage, readFileSync(file)));
    });
    await stage.start(standby);
    await reported(standby, 'understudy_chunk_cache_corrupt_total');
  },
};

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

const corruptInStore: Scenario = {
  name: 'corrupt-chunk-in-store',
  shows:
    'stored chunks are replaced or gone, and a node without a cache needs them: the next snapshot heals it',
  ...withTrials,
  async round(stage) {
    const group = stage.chance.pick(trialGroups);
    const standby = stage.chance.pick(await stage.standbys(group));
    const what = stage.chance.pick(Object.keys(spoils));
    await stage.cluster.admin.sync(group);
    await stage.during(`chunks ${what} in the store`, group, async () => {
      await standby.end('SIGKILL');
      for (const node of stage.nodes) for (const file of chunksOf(node)) rmSync(file);
      await withBroker(stage, async (connection) => {
        for (const subject of await chunkSubjects(connection)) {
          await spoils[what]?.(stage, connection, subject);
        }
      });
    });
    await stage.start(standby);
    if (what === 'replaced') await reported(standby, 'understudy_sync_corrupt_total');
    await until(`${group} cuts a snapshot anew`, () => stage.cluster.admin.sync(group));
  },
};

/** Counted since the node has started, so that whoever watches it learns of it. */
async function reported({ id, adminUrl }: ChaosNode, metric: string): Promise<void> {
  await until(`${id} counts ${metric}`, async () => {
    const text = await (await fetch(`${adminUrl}/metrics`)).text();
    return new RegExp(`^${metric}(\\{.*\\})? [1-9]`, 'm').test(text);
  });
}

/** Of all groups: which chunk is whose, only their manifests tell. */
async function chunkSubjects(connection: NatsConnection): Promise<string[]> {
  const manager = await jetstreamManager(connection, { checkAPI: false });
  const query = { subjects_filter: names.allChunks };
  const { state } = await manager.streams.info(names.snapshotStream, query);
  return Object.keys(state.subjects ?? {});
}

export const stores: readonly Scenario[] = [corruptOnDisk, corruptInStore];
