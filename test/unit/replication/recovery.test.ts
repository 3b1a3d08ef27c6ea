import { describe, expect, it } from 'vitest';
import { keyOf } from '../../../replication/bytes.js';
import type { Kind } from '../../../replication/kind.js';
import { wakeAtMs } from '../../../replication/member.js';
import { flipped } from './store.js';
import {
  activeRig,
  add,
  batchOf,
  itemsOf,
  lister,
  type Rig,
  Store,
  standbyRig,
} from './support.js';

let first = 1;
const next = (...items: unknown[]) => {
  first += 10;
  return batchOf([add(...items)], { first, floor: 1 });
};

function deliver(rig: Rig, ...items: string[]): void {
  for (const item of items) rig.settle().deliver(next(item));
  rig.settle();
}

function spoil(store: Store, hash: Uint8Array): void {
  store.chunks.set(keyOf(hash), flipped(store.chunks.get(keyOf(hash)) as Uint8Array));
}

function sync(rig: Rig): void {
  rig.sync();
  rig.settle();
}

describe('a replay with something missing', () => {
  /** A standby that was promoted and holds its replay back. */
  function replaying() {
    const active = activeRig();
    deliver(active, 'a', 'b', 'c');
    const { store } = active;
    const rig = standbyRig(store).promote(1);
    // The snapshot's record, the events, the claim.
    const records = () => store.records.slice(2);
    const { call: last } = rig.take('read-last');
    const end = store.records.at(-1);
    if (end) rig.feed({ kind: 'read-done', call: last, outcome: { kind: 'record', record: end } });
    rig.commit();
    return { rig, store, records, call: rig.take('replay').call };
  }

  it('reads what really comes next, and replays again from there', () => {
    const { rig, records, call } = replaying();
    rig.feed({ kind: 'replayed', call, records: records().filter((_, i) => i !== 2) });
    expect(rig.take('read-next')).toMatchObject({ after: 4 });
    expect(itemsOf(rig)).toEqual(['a']);
  });

  it('does not take the gap for a stranger', () => {
    const { rig, store, records, call } = replaying();
    rig.feed({ kind: 'replayed', call, records: records().filter((_, i) => i !== 2) });
    rig.settle();
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c']);
    expect(rig.alarms()).toEqual([]);
    expect(store.types().filter((type) => type === 'claim')).toHaveLength(2);
  });

  it('takes a stranger for one, whom the log really has there', () => {
    const active = activeRig();
    deliver(active, 'a');
    active.store.append(Uint8Array.of(7));
    deliver(active, 'b');
    const rig = standbyRig(active.store).promote(1).settle();
    expect(itemsOf(rig)).toEqual(['a', 'b']);
    expect(rig.alarms()).toEqual([expect.stringMatching(/passed over: it not a record/)]);
  });

  it('waits and replays again when the answer is no help', () => {
    const { rig, records, call } = replaying();
    rig.feed({ kind: 'replayed', call, records: records().slice(2) });
    const verify = rig.take('read-next').call;
    rig.feed({ kind: 'read-done', call: verify, outcome: { kind: 'none' } });
    expect(wakeAtMs(rig.member)).toBe(rig.nowMs + 10);
    rig.tick(10).settle();
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c']);
  });

  it('ignores records it has, and records of a replay it has left', () => {
    const { rig, records, call } = replaying();
    const all = records();
    rig.feed({ kind: 'replayed', call, records: [...all.slice(0, 3), ...all.slice(0, 3)] });
    expect(itemsOf(rig)).toEqual(['a', 'b']);
    rig.feed({ kind: 'replayed', call: call + 50, records: all });
    expect(itemsOf(rig)).toEqual(['a', 'b']);
    rig.feed({ kind: 'replayed', call, records: all.slice(3) });
    rig.feed({ kind: 'replay-ended', call, failure: null }).settle();
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c']);
  });

  it('is not done when the replay ends early', () => {
    const { rig, records, call } = replaying();
    rig.feed({ kind: 'replayed', call, records: records().slice(0, 2) });
    rig.feed({ kind: 'replay-ended', call, failure: null });
    expect(rig.state).toBe('promoting');
    rig.tick(1000).settle();
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c']);
  });

  it('pauses longer and longer while nothing comes, up to a second', () => {
    const { rig, call } = replaying();
    let open = call;
    const pauses: number[] = [];
    for (let i = 0; i < 9; i++) {
      rig.feed({ kind: 'replay-ended', call: open, failure: 'no leader' });
      pauses.push(wakeAtMs(rig.member) - rig.nowMs);
      rig.tick(pauses.at(-1));
      open = rig.take('replay').call;
    }
    expect(pauses).toEqual([10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
  });
});

describe('a standby', () => {
  it('restores the newest snapshot when it starts, and the next when it is announced', () => {
    const active = activeRig();
    deliver(active, 'a');
    sync(active);
    const rig = standbyRig(active.store);
    expect(itemsOf(rig)).toEqual(['a']);
    expect(rig.member.lastSyncMs).toBe(rig.nowMs);
    deliver(active, 'b');
    sync(active);
    const seen = active.told.findLast(({ kind }) => kind === 'announce-snapshot');
    if (seen?.kind !== 'announce-snapshot') throw new Error('no announcement');
    rig.feed({ kind: 'snapshot-seen', position: seen.position, seq: seen.seq }).settle();
    expect(itemsOf(rig)).toEqual(['a', 'b']);
  });

  it('finds a snapshot it was not told of at its next look', () => {
    const active = activeRig();
    const rig = standbyRig(active.store);
    deliver(active, 'a');
    sync(active);
    expect(wakeAtMs(rig.member)).toBe(rig.nowMs + 500);
    rig.tick(500).settle();
    expect(itemsOf(rig)).toEqual(['a']);
  });

  it('looks at nothing for an announcement of what it has', () => {
    const active = activeRig();
    const rig = standbyRig(active.store);
    rig.feed({ kind: 'snapshot-seen', position: rig.member.tip.position, seq: rig.member.tip.seq });
    expect(rig.pending).toEqual([]);
  });

  it.each<[string, (store: Store, hash: Uint8Array) => void, RegExp[]]>([
    [
      'corrupt',
      (store, hash) => spoil(store, hash),
      [/the store gave other bytes for chunk/, /^snapshot refused: .*gave other bytes 1 times/],
    ],
    [
      'missing',
      (store, hash) => void store.chunks.delete(keyOf(hash)),
      [/^snapshot refused: 1 of 2 chunks cannot be had.* the store .*did not have it 4 times/],
    ],
  ])('keeps what it holds if the new one is %s, says so once, and tries again', (_, act, why) => {
    const active = activeRig();
    deliver(active, 'a');
    sync(active);
    const { store } = active;
    const rig = standbyRig(store);
    deliver(active, 'b');
    sync(active);
    const [core] = store.newestChunks() as [Uint8Array];
    const good = store.chunks.get(keyOf(core)) as Uint8Array;
    act(store, core);
    rig.pass(20_000);
    expect(itemsOf(rig)).toEqual(['a']);
    expect(rig.state).toMatch(/^(standby|restoring)$/);
    const refused = rig.alarms().filter((detail) => /^snapshot refused/.test(detail));
    expect(refused).toHaveLength(1);
    expect(rig.alarms().slice(0, why.length)).toEqual(
      why.map((each) => expect.stringMatching(each)),
    );
    expect(rig.member.error).not.toBeNull();
    store.chunks.set(keyOf(core), good);
    rig.pass(5000);
    expect(itemsOf(rig)).toEqual(['a', 'b']);
    expect(rig.member.error).toBeNull();
  });

  it('of another version of the kind refuses the snapshot, and can still lead', () => {
    const active = activeRig();
    deliver(active, 'a');
    sync(active);
    const kind = { ...(lister as Kind), version: 2, upcast: (event: unknown) => event } as Kind;
    const rig = standbyRig(active.store, 1, { kind });
    expect(rig.member.replica).toBeNull();
    expect(rig.alarms()).toEqual([expect.stringMatching(/this node runs lister version 2/)]);
    rig.promote(1).settle();
    expect(itemsOf(rig)).toEqual(['a']);
  });

  it('is promoted in the middle of a restore with what it held before', () => {
    const active = activeRig();
    deliver(active, 'a');
    sync(active);
    const rig = standbyRig(active.store);
    deliver(active, 'b');
    sync(active);
    rig.tick(500);
    rig.store.drain();
    const { call } = rig.take('read-last');
    const record = active.store.records.at(-1);
    if (record) rig.feed({ kind: 'read-done', call, outcome: { kind: 'record', record } });
    expect(rig.state).toBe('restoring');
    const late = rig.take('read-at');
    rig.promote(1);
    rig.feed({ kind: 'read-done', call: late.call, outcome: { kind: 'none' } });
    rig.settle();
    expect(rig.state).toBe('active');
    expect(itemsOf(rig)).toEqual(['a', 'b']);
  });
});

it('an active whose state is spoilt builds it from a far snapshot and the log', () => {
  const store = new Store();
  const rig = activeRig({}, store);
  rig.deliver(next(...new Array(20_001).fill(0)));
  rig.settle();
  sync(rig);
  deliver(rig, 'a');
  rig.deliver(next('boom'));
  expect(rig.holds('read-at')).toBe(true);
  rig.settle();
  expect(itemsOf(rig)).toHaveLength(20_002);
  expect(itemsOf(rig).at(-1)).toBe('a');
});
