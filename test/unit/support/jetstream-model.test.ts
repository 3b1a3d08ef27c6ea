import { describe, expect, it } from 'vitest';
import { position } from '../../../replication/ids.js';
import type { Fetched, ReadOutcome, StoredRecord } from '../../../replication/ports.js';
import { bytes, setUp } from './model-set-up.js';

const none = position(0);

describe('modelled appends over a bad wire', () => {
  it('loses a request: unknown at the deadline, nothing stored', () => {
    const { scheduler, model, append, outcomes, stored } = setUp();
    model.faults.requestLost = 1;
    append('a', 1);
    scheduler.run(5000);
    expect(outcomes).toEqual([['a', 'unknown', 1000]]);
    expect(stored()).toEqual([]);
  });

  it('loses an acknowledgement: unknown at the deadline, but stored', () => {
    const { scheduler, model, append, outcomes, stored } = setUp();
    model.faults.answerLost = 1;
    append('a', 1);
    scheduler.run(5000);
    expect(outcomes).toEqual([['a', 'unknown', 1000]]);
    expect(stored()).toEqual([1]);
  });

  it('delivers a slow request after its caller has given up', () => {
    const { scheduler, model, append, outcomes, stored } = setUp();
    model.faults.slow = 1;
    append('a', 1);
    scheduler.run(1000);
    expect(outcomes).toEqual([['a', 'unknown', 1000]]);
    expect(stored()).toEqual([]);
    scheduler.run(5000);
    expect(stored()).toEqual([1]);
    expect(outcomes).toHaveLength(1);
  });

  it('keeps the order of one client, unless told to reorder', () => {
    const firsts = (reordered: number) => {
      const seen = new Set<number | undefined>();
      for (let seed = 0; seed < 50; seed++) {
        const { scheduler, model, append, stored } = setUp({}, seed);
        model.faults.reordered = reordered;
        append('a', 1);
        append('a', 2);
        scheduler.run(5000);
        seen.add(stored()[0]);
      }
      return [...seen].toSorted();
    };
    expect(firsts(0)).toEqual([1]);
    expect(firsts(0.5)).toEqual([1, 2]);
  });
});

describe('modelled appends at the broker', () => {
  it('is busy while three replicas commit, and says wrong-last afterwards', () => {
    const { scheduler, append, kinds, stored } = setUp({
      replicas: 3,
      latencyMs: { least: 1, most: 1 },
    });
    append('a', 1);
    append('b', 2);
    scheduler.run(100);
    append('b', 3);
    scheduler.run(200);
    expect(kinds()).toEqual(['b busy', 'a stored', 'b wrong-last']);
    expect(stored()).toEqual([1]);
  });

  it('refuses when full', () => {
    const { scheduler, model, append, kinds, stored } = setUp();
    model.faults.isFull = true;
    append('a', 1);
    scheduler.run(5000);
    expect(kinds()).toEqual(['a refused']);
    expect(stored()).toEqual([]);
  });

  it('without a leader answers not-stored or nothing', () => {
    const { scheduler, model, append, kinds, stored } = setUp();
    model.loseLeader('refusing');
    append('a', 1);
    scheduler.run(100);
    model.electLeader();
    model.loseLeader('silent');
    append('a', 2);
    scheduler.run(5000);
    model.electLeader();
    append('a', 3);
    scheduler.run(6000);
    expect(kinds()).toEqual(['a not-stored', 'a unknown', 'a stored']);
    expect(stored()).toEqual([3]);
  });

  it('settles an append in flight either way when the leader is lost, and tells nobody', () => {
    const results = new Set<string>();
    for (let seed = 0; seed < 50; seed++) {
      const { scheduler, model, append, kinds, stored } = setUp(
        { replicas: 3, latencyMs: { least: 1, most: 1 } },
        seed,
      );
      append('a', 1);
      scheduler.run(1.5);
      model.loseLeader('refusing');
      model.electLeader();
      scheduler.run(5000);
      results.add(`${kinds()} ${stored().length}`);
    }
    expect([...results].toSorted()).toEqual(['a unknown 0', 'a unknown 1']);
  });
});

describe('modelled clients', () => {
  it('partitioned: what is on the wire in either direction is dropped', () => {
    const { scheduler, model, append, outcomes, stored } = setUp({
      latencyMs: { least: 10, most: 10 },
    });
    append('a', 1);
    append('b', 2);
    scheduler.run(5);
    model.partition('a');
    scheduler.run(15);
    model.partition('b');
    scheduler.run(20);
    model.heal('a');
    model.heal('b');
    scheduler.run(5000);
    expect(stored()).toEqual([2]);
    expect(outcomes).toEqual([
      ['a', 'unknown', 1000],
      ['b', 'unknown', 1000],
    ]);
  });

  it('disconnected: open calls end at once, what was sent still lands', () => {
    const { scheduler, model, append, outcomes, stored } = setUp();
    append('a', 1);
    model.disconnect('a');
    scheduler.run(5000);
    expect(outcomes).toEqual([['a', 'unknown', 0]]);
    expect(stored()).toEqual([1]);
  });

  it('crashed: no callback runs, what was sent still lands, its successor works', () => {
    const { scheduler, model, append, kinds, stored } = setUp();
    append('a', 1);
    model.crash('a');
    scheduler.run(5000);
    expect(kinds()).toEqual([]);
    expect(stored()).toEqual([1]);
    append('a', 2, position(1));
    scheduler.run(9000);
    expect(kinds()).toEqual(['a stored']);
  });
});

describe('modelled reads', () => {
  it('may be stale, never wrong', () => {
    const { scheduler, model, append } = setUp({ staleRecords: 3 });
    for (let i = 1; i <= 4; i++) append('a', i, position(i - 1));
    scheduler.run(100);
    model.faults.staleRead = 1;
    const seen = new Set<string>();
    const note = (outcome: ReadOutcome) =>
      seen.add(outcome.kind === 'record' ? String(outcome.record.position) : outcome.kind);
    for (let i = 0; i < 50; i++) model.log('a', 'g').last(note);
    scheduler.run(200);
    expect([...seen].toSorted()).toEqual(['1', '2', '3']);
    seen.clear();
    model.log('a', 'g').at(position(4), note);
    model.log('a', 'g').next(position(3), note);
    scheduler.run(300);
    expect([...seen]).toEqual(['none']);
  });

  it('replay resumes over stale batches and gives up when nothing comes', () => {
    const { scheduler, model, append } = setUp({ replayBatchRecords: 2 });
    for (let i = 1; i <= 9; i++) append('a', i, position(i - 1));
    scheduler.run(100);
    const replay = () => {
      const records: StoredRecord[] = [];
      const ends: (string | null)[] = [];
      model.log('a', 'g').replay(none, position(8), {
        records: (batch) => records.push(...batch),
        end: (failure) => ends.push(failure),
      });
      scheduler.run(scheduler.now() + 20_000);
      return { positions: records.map((record) => Number(record.position)), ends };
    };
    expect(replay()).toEqual({ positions: [1, 2, 3, 4, 5, 6, 7, 8], ends: [null] });
    model.faults.staleRead = 1;
    const stale = replay();
    expect(stale.positions).toEqual([1, 2, 3, 4, 5, 6, 7, 8].slice(0, stale.positions.length));
    model.partition('a');
    expect(replay()).toEqual({ positions: [], ends: ['no answer in time after position 0'] });
  });
});

describe('modelled chunks', () => {
  const hash = bytes(7);
  const chunk = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const others = [bytes(1), bytes(2)];

  it('corrupts copies, never what is stored: flipped, cut off, or another chunk', () => {
    const { scheduler, model } = setUp();
    const store = model.chunks('a', 'g');
    store.put(hash, chunk, () => {});
    for (const other of others) store.put(other, other, () => {});
    scheduler.run(100);
    const results: Fetched[] = [];
    model.faults.chunkCorrupted = 1;
    for (let i = 0; i < 100; i++) store.get(hash, (result) => void results.push(result));
    scheduler.run(200);
    const sizes = results.map((result) => (result.kind === 'chunk' ? result.bytes.length : -1));
    expect(new Set(sizes)).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7, 8]));
    expect(results).not.toContainEqual({ kind: 'chunk', bytes: chunk });
    expect(results).toContainEqual({ kind: 'chunk', bytes: others[0] });
    model.faults.chunkCorrupted = 0;
    store.get(hash, (result) => void results.push(result));
    scheduler.run(300);
    expect(results.at(-1)).toEqual({ kind: 'chunk', bytes: chunk });
    expect(model.stored.chunk(hash)).toEqual(chunk);
  });

  it('breaks off between the announcement and the look at what stands', () => {
    const { scheduler, model } = setUp({ latencyMs: { least: 1, most: 1 } });
    const results: unknown[] = [];
    model.chunks('a', 'g').announce('1-2-3', [hash], (result) => results.push(result));
    scheduler.run(1.5);
    model.loseLeader('silent');
    scheduler.run(5000);
    expect(results).toEqual([{ failure: 'no answer in time' }]);
    const pin = { at: 1, isOpen: true, groupId: 'g', snapshotId: '1-2-3', chunks: [hash] };
    expect(model.stored.pins()).toEqual([pin]);
  });

  it('carries late requests out as late as they come: what was put since is not forgotten', () => {
    const { scheduler, model } = setUp();
    const store = model.chunks('a', 'g');
    store.put(hash, chunk, () => {});
    scheduler.run(50);
    let mark = none;
    model.garbage('b').mark((result) => {
      mark = 'at' in result ? result.at : none;
    });
    scheduler.run(100);
    model.faults.slow = 1;
    const ends: unknown[] = [];
    model.garbage('b').forget(hash, mark, (failure) => ends.push(failure));
    model.faults.slow = 0;
    store.put(hash, chunk, () => {});
    scheduler.run(5000);
    expect(ends).toEqual(['no answer in time']);
    expect(model.stored.hashes()).toEqual([hash]);
    model.garbage('b').forget(hash, position(mark + 2), (failure) => ends.push(failure));
    scheduler.run(6000);
    expect([ends.at(-1), model.stored.hashes()]).toEqual([null, []]);
  });

  it('stores nothing while it is full', () => {
    const { scheduler, model } = setUp();
    model.faults.isFull = true;
    const ends: unknown[] = [];
    const store = model.chunks('a', 'g');
    store.put(hash, chunk, (failure) => ends.push(failure));
    store.announce('1-2-3', [], (result) => ends.push(result));
    scheduler.run(100);
    expect(ends).toHaveLength(2);
    expect(ends).toEqual(
      expect.arrayContaining(['the store is full', { failure: 'the store is full' }]),
    );
    expect([model.stored.hashes(), model.stored.pins()]).toEqual([[], []]);
  });
});

it('runs the same way for the same seed', () => {
  const run = (requestLost: number) => {
    const { scheduler, model, append, outcomes } = setUp({ replicas: 3 }, 42);
    Object.assign(model.faults, { requestLost, answerLost: 0.1, slow: 0.1, reordered: 0.1 });
    for (let i = 0; i < 200; i++) scheduler.after(i, () => append(`c${i % 3}`, i % 256));
    scheduler.run(10_000);
    expect(outcomes).toHaveLength(200);
    return outcomes;
  };
  expect(run(0.1)).toEqual(run(0.1));
  expect(run(0.1)).not.toEqual(run(0.2));
});
