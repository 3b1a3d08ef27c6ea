import { describe, expect, it } from 'vitest';
import { epoch } from '../../../replication/ids.js';
import type { Kind } from '../../../replication/kind.js';
import { limits } from '../../../replication/limits.js';
import { wakeAtMs } from '../../../replication/member.js';
import type { ReadOutcome } from '../../../replication/ports.js';
import {
  decodeRecord,
  encodeRecord,
  isRecord,
  type LogRecord,
} from '../../../replication/record.js';
import { activeRig, add, batchOf, itemsOf, lister, Rig, Store, standbyRig } from './support.js';

let first = 1;
const next = (...items: unknown[]) => {
  first += 10;
  return batchOf([add(...items)], { first, floor: 1 });
};

/** A log of epoch 1 with three events, synced at the first; the active does nothing more by itself. */
function begun(): { active: Rig; store: Store } {
  const active = activeRig();
  active.deliver(next('a'));
  active.settle().sync();
  active.settle();
  for (const item of ['b', 'c']) active.deliver(next(item));
  active.settle();
  return { active, store: active.store };
}

const failed: ReadOutcome = { kind: 'failed', reason: 'no leader' };

function answerLast(rig: Rig, outcome: ReadOutcome): void {
  rig.feed({ kind: 'read-done', call: rig.take('read-last').call, outcome });
}

const lastOf = (store: Store): ReadOutcome => {
  const record = store.records.at(-1);
  return record ? { kind: 'record', record } : { kind: 'none' };
};

function recordAt(store: Store, index: number): LogRecord {
  const record = decodeRecord(store.records.at(index)?.bytes ?? new Uint8Array(0));
  if (!isRecord(record)) throw new Error(record.problem);
  return record;
}

describe('a promotion', () => {
  it('claims, replays what the standby missed, and opens with a stopwatch', () => {
    const { store } = begun();
    const rig = standbyRig(store);
    expect(itemsOf(rig)).toEqual(['a']);
    rig.promote(1, { detectMs: 4, decideMs: 1, cause: 'disconnect' });
    rig.nowMs += 7;
    rig.settle();
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c']);
    expect(recordAt(store, -2)).toMatchObject({ epoch: 2, number: 0, body: { type: 'claim' } });
    expect(recordAt(store, -1).body).toEqual({
      type: 'barrier',
      mark: null,
      opened: { claimMs: 7, replayMs: 0, openMs: 0, replayed: 2, unavailableMs: 12 },
    });
    expect(rig.told.find(({ kind }) => kind === 'open')).toEqual({ kind: 'open', epoch: 2 });
  });

  it('of a member that never synced replays everything', () => {
    const { store } = begun();
    const rig = new Rig(store, 1).promote(1).settle();
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c']);
  });

  it('keeps the first answers for those who send again', () => {
    const { active, store } = begun();
    const batch = next('d');
    active.deliver(batch);
    active.settle();
    const rig = standbyRig(store).promote(1).settle();
    const request = rig.deliver(batch);
    expect(rig.answer(request)).toMatchObject({ ok: true, runs: [{ duplicate: true, epoch: 1 }] });
  });

  it('is void once the log is in a later epoch', () => {
    const { store } = begun();
    standbyRig(store, 2).promote(1).settle();
    const rig = standbyRig(store).promote(1).settle();
    expect(rig.state).toBe('standby');
    expect(store.types().filter((type) => type === 'claim')).toHaveLength(2);
    expect(rig.member.tip.epoch).toBe(2);
  });

  it('asked for again while it is under way changes nothing', () => {
    const { store } = begun();
    const rig = standbyRig(store).promote(1).promote(1).promote(1);
    expect(rig.pending).toHaveLength(1);
    rig.settle().promote(1).promote(2).settle();
    expect(recordAt(store, -1).epoch).toBe(2);
  });
});

describe('on silence alone', () => {
  it('it is given up while the log still advances', () => {
    const { active, store } = begun();
    const rig = standbyRig(store).promote(1, { observeMs: 200 }).settle();
    expect(wakeAtMs(rig.member)).toBe(rig.nowMs + 200);
    active.deliver(next('d'));
    active.settle();
    rig.tick(200).settle();
    expect(rig.state).toBe('standby');
    expect(store.types().filter((type) => type === 'claim')).toHaveLength(1);
  });

  it('it goes on once the log has stood still for that long', () => {
    const { store } = begun();
    const rig = standbyRig(store).promote(1, { observeMs: 200 }).settle();
    rig.tick(199).settle();
    expect(rig.state).toBe('promoting');
    rig.tick(1).settle();
    expect(rig.state).toBe('active');
  });

  it('it is given up by who cannot read the log, and may have been cut off', () => {
    const { store } = begun();
    const rig = standbyRig(store).promote(1, { observeMs: 200 });
    answerLast(rig, failed);
    rig.settle().tick(1000).settle();
    expect(rig.state).toBe('standby');
    const surer = standbyRig(store, 2).promote(1);
    answerLast(surer, failed);
    surer.settle().tick(1000).settle();
    expect(surer.state).toBe('active');
  });

  it('it is not kept for later by who loses the connection', () => {
    const { store } = begun();
    const promoted = ({ observeMs }: { observeMs: number }) => {
      const rig = standbyRig(store).promote(1, { observeMs });
      rig.feed({ kind: 'suspect' });
      rig.settle().tick(1000).settle();
      return rig.state;
    };
    expect([promoted({ observeMs: 200 }), promoted({ observeMs: 0 })]).toEqual([
      'standby',
      'active',
    ]);
  });
});

describe('the claim decides', () => {
  it('between candidates who saw the same end of the log', () => {
    const { store } = begun();
    const [one, two] = [standbyRig(store, 1).promote(1), standbyRig(store, 2).promote(1)];
    const end = lastOf(store);
    answerLast(one, end);
    answerLast(two, end);
    two.settle();
    one.settle();
    expect([one.state, two.state]).toEqual(['standby', 'active']);
    expect(one.member.tip).toMatchObject({ epoch: 2, writer: { index: 2 } });
    const held = one.member.replica;
    expect(held?.tip.seq).toBe(1);
  });

  it('against an old writer that still appends, which is then fenced', () => {
    const { active, store } = begun();
    const rig = standbyRig(store).promote(1);
    const stale = lastOf(store);
    active.deliver(next('d'));
    active.settle();
    active.deliver(next('e'));
    active.settle();
    answerLast(rig, stale);
    rig.settle();
    expect(rig.state).toBe('active');
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c', 'd', 'e']);
    const request = active.deliver(next('f'));
    active.settle();
    expect(active.answer(request)).toMatchObject({ code: 'moved' });
    expect(active.state).toBe('standby');
  });

  it('but it is not chased for ever', () => {
    const { active, store } = begun();
    const rig = standbyRig(store).promote(1);
    answerLast(rig, lastOf(store));
    let attempts = 0;
    for (; rig.state === 'promoting'; attempts++) {
      active.deliver(next(attempts));
      active.settle();
      const append = rig.take('append');
      rig.feed({ kind: 'appended', call: append.call, outcome: { kind: 'wrong-last' } });
      const { call, after } = rig.take('read-next');
      const record = store.records.find((each) => each.position > after);
      if (record) rig.feed({ kind: 'read-done', call, outcome: { kind: 'record', record } });
    }
    expect(attempts).toBe(limits.claimAttempts + 1);
    expect(rig.settle().state).toBe('standby');
  });

  it('also if its acknowledgement was lost and a rival has followed already', () => {
    const { store } = begun();
    const rig = standbyRig(store).promote(1);
    answerLast(rig, lastOf(store));
    const { call, bytes } = rig.take('append');
    store.append(bytes);
    const rival = new Rig(store, 2).promote(2).settle();
    rig.feed({ kind: 'appended', call, outcome: { kind: 'unknown' } }).settle();
    expect(rival.state).toBe('active');
    expect(rig.state).toBe('standby');
    expect(recordAt(store, -1)).toMatchObject({ epoch: 3 });
  });
});

describe('a log that cannot be read', () => {
  it('is asked again for a while, then the member stays a standby', () => {
    const { store } = begun();
    const rig = standbyRig(store).promote(1);
    let looks = 0;
    for (; rig.state === 'promoting'; looks++) {
      answerLast(rig, failed);
      rig.tick(50);
    }
    expect(looks).toBe(limits.claimAttempts + 1);
    expect(rig.settle().state).toBe('standby');
  });

  it('and one that lags behind what the caller knows is not claimed on', () => {
    const { store } = begun();
    const older = lastOf(store);
    const rival = standbyRig(store, 2).promote(1).settle();
    const rig = standbyRig(store).promote(2);
    answerLast(rig, older);
    expect(rig.pending).toEqual([]);
    rig.tick(50).settle();
    expect(rig.state).toBe('active');
    expect(rig.member.tip.epoch).toBe(3);
    expect(rival.state).toBe('active');
  });
});

describe('a stranger at the end of the log', () => {
  const garbage = (store: Store) => void store.append(Uint8Array.of(1, 2, 3));
  const copy = (store: Store) => {
    const bytes = store.records[2]?.bytes;
    if (bytes) store.append(bytes);
  };
  const forged = (store: Store, ahead: number) => {
    const last = recordAt(store, -1);
    store.append(encodeRecord({ ...last, epoch: epoch(last.epoch + ahead), number: 77 }));
  };

  it.each<[string, (store: Store) => void, number]>([
    ['with no record', garbage, 1],
    ['with a copy of an older record of the epoch', copy, 1],
    ['with a record that never was', (store) => forged(store, 0), 1],
    ['with a record of an epoch to come, once somebody believes it', (s) => forged(s, 5), 6],
  ])('%s is passed over', (_, intrude, endsEpoch) => {
    const { store } = begun();
    const rig = standbyRig(store);
    intrude(store);
    rig.promote(endsEpoch).settle();
    expect(rig.state).toBe('active');
    expect(rig.member.tip.epoch).toBe(2);
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c']);
    expect(rig.alarms().some((detail) => /foreign record/.test(detail))).toBe(true);
    const follower = new Rig(store, 2).promote(2).settle();
    expect(itemsOf(follower)).toEqual(['a', 'b', 'c']);
  });

  it('with a record of an older epoch does not pass for a log that lags', () => {
    const { store } = begun();
    standbyRig(store, 2).promote(1).settle();
    copy(store);
    const rig = standbyRig(store).promote(2);
    for (let i = 0; i < 4; i++) rig.settle().tick(50);
    rig.settle();
    expect(rig.state).toBe('active');
    expect(rig.member.tip.epoch).toBe(3);
  });

  it('never makes a member the second writer of an epoch', () => {
    const { store } = begun();
    const writer = standbyRig(store, 2).promote(1).settle();
    copy(store);
    const rig = standbyRig(store, 1).promote(1).settle();
    expect(rig.state).toBe('standby');
    expect(rig.member.tip).toMatchObject({ epoch: 2, writer: { index: 2 } });
    const request = writer.deliver(next('d'));
    writer.settle();
    expect(writer.answer(request)).toMatchObject({ ok: true });
    const written = store.decoded().filter((r) => r.writer.index === 1);
    expect(written.map(({ body }) => body.type)).toEqual(['claim']);
  });
});

describe('poison', () => {
  /** Takes what the active's program let through, except for one event. */
  const stricter: Kind = {
    ...(lister as Kind),
    apply(state, event, context) {
      if ((event as { item: unknown }).item === 'b') throw new Error('b again');
      return (lister as Kind).apply(state, event, context);
    },
  };

  it('on replay stops the member at that seq, and tells the others that the epoch has no writer', () => {
    const { store } = begun();
    const rig = standbyRig(store, 1, { kind: stricter }).promote(1).settle();
    expect(rig.state).toBe('quarantined');
    expect(rig.member.error).toMatch(/at seq 2: b again/);
    expect(rig.member.tip).toMatchObject({ epoch: 2, writer: { index: 1 } });
    expect(rig.alarms()).toHaveLength(1);
    const other = standbyRig(store, 2).promote(2).settle();
    expect(other.state).toBe('active');
    expect(rig.promote(3).settle().state).toBe('quarantined');
    expect(rig.answer(rig.deliver(next('x')))).toMatchObject({ code: 'moved' });
    expect(wakeAtMs(rig.member)).toBe(Number.POSITIVE_INFINITY);
  });

  it('also are events of a later version of the kind', () => {
    const store = new Store();
    const newer = activeRig({ kind: { ...(lister as Kind), version: 2 } }, store);
    newer.deliver(next('a'));
    newer.settle();
    const rig = standbyRig(store).promote(1).settle();
    expect(rig.state).toBe('quarantined');
    expect(rig.member.error).toMatch(/version 2 of kind lister, this node runs version 1/);
  });

  it('are not events of an older version: they are brought to the present shape', () => {
    const { store } = begun();
    const upcast = (event: unknown, version: number) => ({
      item: `${(event as { item: string }).item} of ${version}`,
    });
    const rig = new Rig(store, 1, { kind: { ...(lister as Kind), version: 2, upcast } });
    rig.promote(1).settle();
    expect(itemsOf(rig)).toEqual(['a of 1', 'b of 1', 'c of 1']);
  });
});

describe('without a usable snapshot', () => {
  it('the whole log is replayed', () => {
    const store = new Store();
    const active = activeRig({}, store);
    active.deliver(next(...new Array(20_001).fill(0)));
    active.settle().sync();
    active.settle();
    expect([...store.pins.keys()]).toEqual(['1-1-0', '1-3-20001']);
    store.chunks.clear();
    const rig = new Rig(store, 1).promote(1).settle();
    expect(rig.state).toBe('promoting');
    // The store may lag: it is asked some more times.
    rig.pass(3000);
    expect(rig.state).toBe('active');
    expect(itemsOf(rig)).toHaveLength(20_001);
    expect(rig.alarms()).toEqual([
      expect.stringMatching(/^replaying the whole log: 1 of 1 chunks cannot be had/),
    ]);
  });

  it('with one, a member far behind starts from it', () => {
    const store = new Store();
    const active = activeRig({}, store);
    active.deliver(next(...new Array(20_001).fill(0)));
    active.settle().sync();
    active.settle();
    active.deliver(next('last'));
    active.settle();
    const rig = new Rig(store, 1).promote(1).settle();
    expect(itemsOf(rig)).toHaveLength(20_002);
    const claimed = rig.told.find(({ kind }) => kind === 'epoch-noted');
    expect(claimed).toMatchObject({ note: { opened: { replayed: 1 } } });
  });
});
