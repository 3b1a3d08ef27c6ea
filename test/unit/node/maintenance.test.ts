/** What operators ask of nodes and groups, as it is written to the registry. */
import { beforeEach, describe, expect, test } from 'vitest';
import { type Coordinator, newCoordinator, stepNode } from '../../../cluster/coordinator.js';
import {
  type ClusterConfig,
  defaultTimings,
  type GroupConfig,
  newClusterConfig,
} from '../../../cluster/types.js';
import { limits } from '../../../replication/limits.js';
import { cordon, pause, resume, uncordon } from '../../../src/node/maintenance.js';
import type { Runtime } from '../../../src/node/runtime.js';
import { nodeDocuments } from '../../../src/node/views.js';
import { groupOf, nodeInfo } from '../cluster/support.js';

const now = { monoMs: 0, wallMs: 0 };
const actor = { by: 'somebody' };

let coordinator: Coordinator;
let stored: ClusterConfig;
let group: GroupConfig;
let revision: number;
let runtime: Runtime;

beforeEach(() => {
  coordinator = newCoordinator(nodeInfo('a'), defaultTimings, now);
  stepNode(coordinator, { kind: 'beat', beat: { info: nodeInfo('b'), reports: [] } }, now);
  stored = newClusterConfig;
  group = groupOf(['a', 'b']);
  revision = 0;
  const registry = {
    changeCluster: (change: (config: ClusterConfig) => ClusterConfig) => {
      stored = change(stored);
      revision += 1;
      stepNode(coordinator, { kind: 'cluster', config: stored, revision }, now);
      return Promise.resolve();
    },
    changeGroup: (_name: string, change: (config: GroupConfig) => GroupConfig) => {
      group = change(group);
      return Promise.resolve();
    },
  };
  runtime = { coordinator, registry } as unknown as Runtime;
});

describe('a cordon', () => {
  test('is kept with who asked first, and shown', async () => {
    expect(await cordon(runtime, 'b', actor)).toMatchObject({ id: 'b', cordoned: true });
    const first = stored;
    expect(first.cordons.b).toMatchObject({ by: 'somebody' });
    await cordon(runtime, 'b', { by: 'another' });
    expect(stored).toBe(first);
    expect(await uncordon(runtime, 'b')).toMatchObject({ id: 'b', cordoned: false });
    expect(stored.cordons).toEqual({});
    const none = stored;
    await uncordon(runtime, 'b');
    expect(stored).toBe(none);
  });

  test('is refused for a node that nobody knows', async () => {
    for (const asked of [cordon(runtime, 'z', actor), uncordon(runtime, 'z')]) {
      await expect(asked).rejects.toMatchObject({
        code: 'node-not-found',
        message: 'there is no node z; known: a, b',
      });
    }
    expect(stored).toBe(newClusterConfig);
  });

  test('of a node that is gone is shown, and can be taken back', async () => {
    const cordons = { gone: { by: 'x', atMs: 1 } };
    await runtime.registry.changeCluster((config) => ({ ...config, cordons }));
    expect(nodeDocuments(coordinator)).toMatchObject([
      { id: 'a', cordoned: false },
      { id: 'b', cordoned: false },
      { id: 'gone', cordoned: true, state: 'down', pid: null },
    ]);
    expect(await uncordon(runtime, 'gone')).toMatchObject({ id: 'gone', cordoned: false });
    expect(nodeDocuments(coordinator).map(({ id }) => id)).toEqual(['a', 'b']);
  });

  test('has a limit, which those that are there do not count against', async () => {
    const many = Array.from({ length: limits.cordons }, (_, i) => [`n${i}`, { by: 'x', atMs: 1 }]);
    const cordons = Object.fromEntries(many) as ClusterConfig['cordons'];
    await runtime.registry.changeCluster((config) => ({ ...config, cordons }));
    await expect(cordon(runtime, 'b', actor)).rejects.toMatchObject({ code: 'overloaded' });
    expect(await cordon(runtime, 'n0', actor)).toMatchObject({ cordoned: true });
  });
});

describe('a pause', () => {
  test('of a group is kept with it, an hour long if nobody says more, and lifted', async () => {
    const beforeMs = Date.now();
    await pause(runtime, 'g', {}, actor);
    expect(group.pause).toMatchObject({ ttlMs: 3_600_000, reason: null, by: 'somebody' });
    expect(group.pause?.untilMs).toBeGreaterThanOrEqual(beforeMs + 3_600_000);
    expect(group.pause?.untilMs).toBeLessThanOrEqual(Date.now() + 3_600_000);
    await resume(runtime, 'g');
    expect(group.pause).toBeNull();
    expect(stored.pause).toBeNull();
  });

  test('of all leaves cordons and the pauses of groups alone', async () => {
    await cordon(runtime, 'b', actor);
    await pause(runtime, 'g', { ttlMs: 5 }, actor);
    await pause(runtime, null, { ttlMs: 7, reason: 'why' }, actor);
    expect(stored.pause).toMatchObject({ ttlMs: 7, reason: 'why' });
    await resume(runtime, null);
    expect(stored.pause).toBeNull();
    expect(Object.keys(stored.cordons)).toEqual(['b']);
    expect(group.pause?.ttlMs).toBe(5);
  });
});
