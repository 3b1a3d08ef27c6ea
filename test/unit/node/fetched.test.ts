import { beforeEach, describe, expect, test } from 'vitest';
import { newSync, type Sync } from '../../../replication/sync/sync.js';
import { FetchMeter } from '../../../src/node/fetched.js';
import { Script } from '../sync/support.js';

const newest = (generation: string): Sync =>
  newSync({ hash: (bytes) => bytes }, { next: 1, peers: [] }, generation, new Script([], []), [
    'b',
    'c',
  ]);

/** As if these bytes had come since the last step. */
function give(sync: Sync, from: 'cache' | 'store' | 'b' | 'c', sizeBytes: number): void {
  const { ledger } = sync;
  const account = from === 'cache' || from === 'store' ? ledger[from] : ledger.peers.get(from);
  if (account === undefined) throw new Error(`no ${from}`);
  account.sizeBytes += sizeBytes;
}

let meter: FetchMeter;
let step: (sync: Sync | null) => void;

beforeEach(() => {
  meter = new FetchMeter();
  step = meter.follow();
});

describe('bytes', () => {
  test('are counted once, by who gave them', () => {
    const sync = newest('1');
    step(sync);
    give(sync, 'cache', 1);
    give(sync, 'store', 20);
    give(sync, 'b', 300);
    step(sync);
    step(sync);
    give(sync, 'c', 4000);
    step(sync);
    expect(meter.total.fromSizeBytes).toEqual({ cache: 1, store: 20, peers: 4300 });
  });

  test('of the step that ends a sync are counted, and stay', () => {
    const [first, second] = [newest('1'), newest('2')];
    step(first);
    give(first, 'store', 5);
    first.corrupt = 2;
    step(second);
    give(second, 'store', 7);
    second.corrupt = 1;
    step(null);
    give(second, 'store', 100);
    step(null);
    const fromSizeBytes = { cache: 0, store: 12, peers: 0 };
    expect(meter.total).toEqual({ fromSizeBytes, corrupt: 3 });
  });

  test('of several members are one sum', () => {
    const other = meter.follow();
    const [mine, theirs] = [newest('1'), newest('2')];
    step(mine);
    other(theirs);
    give(mine, 'cache', 5);
    give(theirs, 'cache', 7);
    step(mine);
    other(null);
    step(mine);
    expect(meter.total.fromSizeBytes.cache).toBe(12);
  });
});
