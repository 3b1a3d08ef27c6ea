import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { memberCount } from '../check/members.js';
import { lacksVolumes } from '../cluster/volumes.js';
import { nobodyGoesOn } from '../faults/watch.js';
import { names, publish, withBroker } from '../faults/wire.js';
import type { Stage } from '../stage.js';
import { until } from '../until.js';
import { noFailover, type Scenario } from './scenario.js';

const mebibyte = 1_048_576;

/** Takes all room that is left, and returns what gives it back. */
function fill(dir: string): () => void {
  const path = join(dir, 'ballast');
  const file = openSync(path, 'w');
  try {
    for (let sizeBytes = mebibyte; sizeBytes >= 1; ) sizeBytes = wrote(file, sizeBytes);
  } finally {
    closeSync(file);
  }
  return () => rmSync(path);
}

/** What to try next: where no mebibyte fits, a kilobyte may. */
function wrote(file: number, sizeBytes: number): number {
  try {
    return writeSync(file, Buffer.alloc(sizeBytes)) > 0 ? sizeBytes : sizeBytes / 4;
  } catch {
    return sizeBytes / 4;
  }
}

const brokerDiskFull: Scenario = {
  name: 'disk-full-broker',
  shows:
    "the broker's disk runs full: nothing is acknowledged until there is room, nothing is lost",
  brokers: 1,
  isAlone: true,
  lacks: lacksVolumes,
  volumes: [{ path: 'broker-1', sizeBytes: 256 * mebibyte }],
  async round(stage) {
    const [broker] = stage.brokers;
    if (broker === undefined) return;
    await stage.during('disk full', broker.name, async () => {
      const empty = fill(broker.dataDir);
      await nobodyGoesOn(stage);
      empty();
      // It has given up its store, and looks at it again only when it starts.
      await broker.end('SIGTERM');
    });
    await stage.start(broker);
  },
};

const leftSizeBytes = 256 * 1024;
/** Which is no hash of anything: whoever collects garbage takes it away. */
const ballast = names.chunk('00'.repeat(32));

/** Stores until the broker refuses: that clients are not answered may have another reason. */
async function fillStore(stage: Stage): Promise<void> {
  await withBroker(stage, (connection) =>
    until('the broker refuses to store more', async () => {
      const refusal = await publish(connection, ballast, Buffer.alloc(leftSizeBytes)).then(
        () => '',
        (error: Error) => error.message,
      );
      if (refusal !== '' && !/insufficient|resource|exceeded/.test(refusal))
        throw new Error(refusal);
      return refusal !== '';
    }),
  );
}

const storeFull: Scenario = {
  name: 'store-full',
  shows: 'the broker may store no more: nothing is acknowledged until it may, nothing is lost',
  brokers: 1,
  isAlone: true,
  async round(stage) {
    const [broker] = stage.brokers;
    if (broker === undefined) return;
    await stage.during('store full', broker.name, async () => {
      const stored = await withBroker(stage, async (connection) => {
        const manager = await jetstreamManager(connection, { checkAPI: false });
        return (await manager.getAccountInfo()).storage;
      });
      await broker.end('SIGTERM');
      broker.maxStoreSizeBytes = stored + leftSizeBytes;
      await stage.start(broker);
      await fillStore(stage);
      await nobodyGoesOn(stage);
      await broker.end('SIGTERM');
      broker.maxStoreSizeBytes = null;
    });
    await stage.start(broker);
  },
};

const nodeIds = Array.from({ length: memberCount }, (_, i) => `node-${i + 1}`);

const nodeDiskFull: Scenario = {
  name: 'disk-full-node',
  shows: "a node's disk runs full: it keeps nothing there, and goes on",
  brokers: 1,
  isAlone: true,
  lacks: lacksVolumes,
  volumes: nodeIds.map((id) => ({ path: `cache/${id}`, sizeBytes: 16 * mebibyte })),
  async round(stage) {
    const node = stage.chance.pick(stage.nodes);
    await stage.during('disk full', node.id, async () => {
      const empty = fill(node.cacheDir);
      for (const group of stage.groups) await stage.cluster.admin.sync(group);
      await stage.wait(3000);
      empty();
    });
  },
  expectsAlone: noFailover,
};

const slowBroker: Scenario = {
  name: 'slow-broker',
  shows: 'the only broker stands still four fifths of the time, as on a disk that is far too slow',
  brokers: 1,
  async round(stage) {
    const [broker] = stage.brokers;
    if (broker === undefined) return;
    await stage.during('slow', broker.name, async () => {
      for (let i = 0; i < 25; i++) {
        broker.freeze();
        await stage.wait(stage.chance.between(50, 300));
        broker.thaw();
        await stage.wait(40);
      }
    });
  },
};

export const disks: readonly Scenario[] = [brokerDiskFull, storeFull, nodeDiskFull, slowBroker];
