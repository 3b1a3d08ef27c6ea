/** How long members are waited for that fetch a state. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { GroupDocument, MemberDocument, MemberSync } from '../../../cluster/documents.js';
import type { SyncProgress } from '../../../replication/sync/progress.js';
import type { Step } from '../../../src/node/operations.js';
import { type Time, untilHeld, untilReinitialised } from '../../../src/node/syncing.js';
import type { Inspection } from '../../../src/node/verbs.js';

let nowMs: number;
let steps: [atMs: number, name: string, detail: string | undefined][];

beforeEach(() => {
  nowMs = 0;
  steps = [];
});

const time: Time = {
  nowMs: () => nowMs,
  pause: (ms) => {
    nowMs += ms;
    return Promise.resolve();
  },
};

const step: Step = (name, detail) => Promise.resolve(void steps.push([nowMs, name, detail]));

describe('a member that begins anew', () => {
  const member = { index: 1, nodeId: 'b' } as MemberDocument;
  const progress = (doneSizeBytes: number): SyncProgress => ({
    generation: 'x',
    work: {} as SyncProgress['work'],
    doneSizeBytes,
    knownSizeBytes: 10_240_000,
    fromSizeBytes: { cache: 0, store: doneSizeBytes, peers: 0 },
    corrupt: 0,
    sinceMs: 0,
    bytesPerSecond: 10_240,
  });
  const report = (parts: object): Inspection =>
    ({
      report: { state: 'restoring', lastSyncMs: null, syncedThrough: 0, sync: null, ...parts },
    }) as unknown as Inspection;
  const synced = report({ state: 'standby', lastSyncMs: 1, syncedThrough: 7 });
  const wait = (look: () => Inspection | Error) =>
    untilReinitialised(
      () => {
        const found = look();
        return found instanceof Error ? Promise.reject(found) : Promise.resolve(found);
      },
      member,
      step,
      time,
    );

  test('is waited for as long as bytes come, and one step tells how many', async () => {
    const endMs = 1_000_000;
    const through = await wait(() =>
      nowMs < endMs ? report({ sync: progress(nowMs * 10.24) }) : synced,
    );
    expect([through, nowMs]).toEqual([7, endMs]);
    expect(steps).toHaveLength(1000);
    expect(new Set(steps.map(([, name]) => name))).toEqual(new Set(['syncing']));
    const gaps = steps.slice(1).map(([atMs], i) => atMs - (steps[i]?.[0] ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(1000);
    const half = 'member 1 on b: 4.9 MiB of 9.8 MiB, 10 KiB/s, 8 min 20 s left';
    expect(steps[500]).toEqual([500_000, 'syncing', half]);
  });

  test('is given up on when nothing has come for 50 s', async () => {
    const stuck = wait(() => report({ sync: progress(Math.min(nowMs, 30_000)) }));
    await expect(stuck).rejects.toMatchObject({
      code: 'timeout',
      message: expect.stringMatching(/for 50000 ms; last: restoring, 29 KiB of 9.8 MiB/),
    });
    expect(nowMs).toBe(80_000);
  });

  test('does not come closer by fetching the same again and again', async () => {
    const again = wait(() => report({ sync: progress(nowMs % 10_000) }));
    await expect(again).rejects.toMatchObject({ code: 'timeout' });
    expect(nowMs).toBeLessThan(61_000);
  });

  test('that cannot be asked is given up on with what was said last', async () => {
    const silent = wait(() => (nowMs < 10_000 ? report({}) : new Error('no answer')));
    await expect(silent).rejects.toMatchObject({ message: expect.stringMatching(/no answer/) });
    expect(nowMs).toBe(50_000);
    expect(steps).toEqual([]);
  });
});

describe('standbys that are to hold a seq', () => {
  const sync = (doneSizeBytes: number) => ({ doneSizeBytes }) as MemberSync;
  const standby = (index: number, parts: Partial<MemberDocument>): MemberDocument =>
    ({ index, state: 'standby', syncedThrough: 0, sync: null, ...parts }) as MemberDocument;
  let lacked: number[];
  let isOver: () => boolean;
  beforeEach(() => {
    lacked = [];
    isOver = () => false;
  });
  const wait = (members: () => MemberDocument[], isMeant = (_: MemberDocument) => true) =>
    untilHeld(
      () => Promise.resolve({ members: members() } as unknown as GroupDocument),
      {
        through: 5,
        isMeant,
        onLack: ({ index }) => void lacked.push(index),
        isOver: () => isOver(),
      },
      time,
    );

  test('are waited for as long as one of them comes closer', async () => {
    await wait(() => [
      standby(0, { syncedThrough: 5 }),
      standby(1, { sync: sync(nowMs), syncedThrough: nowMs < 200_000 ? 0 : 5 }),
      standby(2, { syncedThrough: nowMs < 100_000 ? 0 : 6 }),
    ]);
    expect(nowMs).toBe(200_000);
    expect(new Set(lacked)).toEqual(new Set([1, 2]));
  });

  test('are given up on when nothing has come for 30 s', async () => {
    await wait(() => [standby(1, { sync: sync(Math.min(nowMs, 60_000)) })]);
    expect(nowMs).toBe(90_000);
  });

  test('that cannot be reached, or are not meant, are not waited for', async () => {
    const states = ['unreachable', 'quarantined', 'standby'];
    await wait(
      () => states.map((state, index) => standby(index, { state })),
      ({ index }) => index < 2,
    );
    expect([nowMs, lacked]).toEqual([0, []]);
  });

  test('keep nobody waiting when the node stops', async () => {
    isOver = () => nowMs >= 1000;
    await wait(() => [standby(1, {})]);
    expect(nowMs).toBe(1000);
  });
});
