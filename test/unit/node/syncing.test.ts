/** How long members are waited for that fetch a state. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { GroupDocument, MemberDocument, MemberSync } from '../../../cluster/documents.js';
import { type Time, untilHeld } from '../../../src/node/syncing.js';

let nowMs: number;

beforeEach(() => {
  nowMs = 0;
});

const time: Time = {
  nowMs: () => nowMs,
  pause: (ms) => {
    nowMs += ms;
    return Promise.resolve();
  },
};

describe('standbys that are to hold a seq', () => {
  const sync = (doneSizeBytes: number) => ({ doneSizeBytes }) as MemberSync;
  const standby = (index: number, parts: Partial<MemberDocument>): MemberDocument =>
    ({ index, state: 'standby', syncedThrough: 0, sync: null, ...parts }) as MemberDocument;
  let isOver: () => boolean;
  beforeEach(() => {
    isOver = () => false;
  });
  const wait = (members: () => MemberDocument[]) =>
    untilHeld(
      () => Promise.resolve({ members: members() } as unknown as GroupDocument),
      { through: 5, isOver: () => isOver() },
      time,
    );

  test('are waited for as long as one of them comes closer', async () => {
    await wait(() => [
      standby(0, { syncedThrough: 5 }),
      standby(1, { sync: sync(nowMs), syncedThrough: nowMs < 200_000 ? 0 : 5 }),
      standby(2, { syncedThrough: nowMs < 100_000 ? 0 : 6 }),
    ]);
    expect(nowMs).toBe(200_000);
  });

  test('are given up on when nothing has come for 30 s', async () => {
    await wait(() => [standby(1, { sync: sync(Math.min(nowMs, 60_000)) })]);
    expect(nowMs).toBe(90_000);
  });

  test('that cannot be reached are not waited for', async () => {
    const states = ['unreachable', 'quarantined'];
    await wait(() => states.map((state, index) => standby(index, { state })));
    expect(nowMs).toBe(0);
  });

  test('keep nobody waiting when the node stops', async () => {
    isOver = () => nowMs >= 1000;
    await wait(() => [standby(1, {})]);
    expect(nowMs).toBe(1000);
  });
});
