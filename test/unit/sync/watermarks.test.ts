import { describe, expect, it } from 'vitest';
import { limits } from '../../../replication/limits.js';
import { newPace, press, quicken, rateOf, slow } from '../../../replication/sync/pace.js';
import {
  type Account,
  freeBits,
  newLedger,
  nextCoolMs,
  onUseful,
  soonest,
  storeBit,
  strike,
} from '../../../replication/sync/sources.js';
import { begun, piece, pieces } from './support.js';

const MiB = 1024 * 1024;
const names = (count: number) => Array.from({ length: count }, (_, i) => `p${i}`);

describe('the watchdog', () => {
  const hung = ['n1', 'n2', 'n3', 'n4', 'n5', 'n6', 'n7', 'n8'];

  it('drains everything when no byte comes for 10 s while something is active', () => {
    const rig = begun(pieces('a', 'b'), hung).cold().pass(9999);
    const before = rig.active();
    expect(before).toHaveLength(2);
    expect(rig.alarms()).toEqual([]);
    rig.tick(1);
    expect(rig.alarms()).toEqual([expect.stringMatching(/^internal: .*no byte has come for 10 s/)]);
    expect(rig.active()).toHaveLength(2);
    expect(rig.active().some((call) => before.includes(call))).toBe(false);
    // Those that were drained are not blamed, those of the first 5 s were too late.
    const strikes = hung.map((node) => rig.account(node).strikes);
    expect(strikes).toEqual([1, 1, 0, 0, 0, 0, 0, 0]);
    expect(rig.sync.coordinators.ranges.workers).toHaveLength(2);
  });

  it('gives up after the third time in a row, its own restarts not counted as progress', () => {
    const rig = begun(pieces('a', 'b'), hung).cold().pass(29_999);
    expect(rig.result).toEqual({ kind: 'busy' });
    rig.tick(1);
    expect(rig.result).toMatchObject({
      kind: 'failed',
      problem: expect.stringMatching(/3 times in a row$/),
      lost: [],
    });
    expect(rig.alarms()).toHaveLength(1);
  });

  it('is content with bytes, and starts anew with them', () => {
    const rig = begun(pieces('a', 'b', 'c', 'd'), hung)
      .cold()
      .pass(25_000);
    expect(rig.sync.stalls).toBe(2);
    const [call] = rig.active() as [number];
    const fetch = rig.open.find((each) => each.call === call) as (typeof rig.open)[number];
    rig.answer(fetch, { kind: 'chunk', bytes: rig.script.pieceOf(fetch.hash).bytes });
    expect(rig.sync.stalls).toBe(0);
    expect(rig.pass(9999).sync.stalls).toBe(0);
    expect(rig.pass(1).sync.stalls).toBe(1);
    expect(rig.progress).toMatchObject({ doneSizeBytes: 1000, knownSizeBytes: 4000 });
    expect(rig.progress.work.ranges).toMatchObject({ completed: 1 });
  });

  it('wakes by itself, whatever else is waited for', () => {
    const rig = begun(pieces('a', 'b', 'c', 'd'), hung)
      .cold()
      .pass(3000)
      .give('n1');
    expect(rig.pass(9999).sync.stalls).toBe(0);
    expect(rig.pass(1).sync.stalls).toBe(1);
  });

  it('is not content with answers that hold no bytes', () => {
    const rig = begun(pieces(...names(20)), ['n1', ...hung]).cold();
    for (let second = 1; second < 10; second++) {
      rig.pass(1000);
      const active = rig.active();
      const fetch = rig.open.findLast(({ call }) => active.includes(call));
      if (fetch !== undefined) rig.answer(fetch, { kind: 'none' });
    }
    expect(rig.pass(999).alarms()).toEqual([]);
    expect(rig.pass(1).alarms()).toEqual([expect.stringMatching(/no byte has come/)]);
  });

  it('is silent when there is nobody to ask', () => {
    const rig = begun(pieces('a')).cold();
    rig.fail('store');
    rig.account('store').coolUntilMs = rig.nowMs + 60_000;
    rig.pass(59_999);
    expect(rig.alarms()).toEqual([]);
    expect(rig.sync.stalls).toBe(0);
    expect(rig.pass(1).give('store').result).toEqual({ kind: 'done' });
  });

  it('does not fetch again what is completed', () => {
    const rig = begun(pieces('a', 'b', 'c'), hung).cold();
    rig.give('n1', 'a').give('n2', 'b').pass(10_000);
    const after = rig.open.filter(({ call }) => rig.active().includes(call));
    expect(after.map((fetch) => rig.nameOf(fetch))).toEqual(['c']);
    expect(rig.progress.doneSizeBytes).toBe(2000);
  });
});

describe('back-pressure', () => {
  it('stops above the high mark in bytes, and goes on only below the low one', () => {
    const rig = begun(pieces(...names(20))).cold();
    expect(rig.active()).toHaveLength(4);
    rig.script.waitingSizeBytes = 32 * MiB - limits.chunkSizeBytes;
    rig.give('store');
    expect(rig.active()).toHaveLength(3);
    rig.script.waitingSizeBytes = 17 * MiB;
    rig.give('store');
    expect(rig.active()).toHaveLength(2);
    rig.script.waitingSizeBytes = 15 * MiB;
    rig.give('store');
    expect(rig.active().length).toBeGreaterThan(3);
  });

  it('does not stop just below the high mark', () => {
    const rig = begun(pieces(...names(20))).cold();
    rig.script.waitingSizeBytes = 32 * MiB - limits.chunkSizeBytes - 4000;
    rig.give('store');
    expect(rig.active().length).toBeGreaterThan(3);
  });

  it('stops at the high mark in chunks too, and each low mark has to be reached', () => {
    const rig = begun(pieces(...names(90)));
    rig.sync.pace.width = limits.syncRequests;
    while (rig.active().length < limits.syncHighChunks) rig.lack('cache');
    rig.lack('cache');
    expect(rig.active()).toHaveLength(limits.syncHighChunks - 1);
    rig.script.waitingSizeBytes = 17 * MiB;
    while (rig.active().length > limits.syncLowChunks - 1) rig.give('store');
    expect(rig.active()).toHaveLength(limits.syncLowChunks - 1);
    rig.give('store');
    expect(rig.active()).toHaveLength(limits.syncLowChunks - 2);
    rig.script.waitingSizeBytes = 0;
    rig.give('store');
    expect(rig.active().length).toBeGreaterThan(limits.syncLowChunks - 2);
  });

  it('is left to work that can be done with what is here', () => {
    const rig = begun(pieces(...names(20))).cold();
    rig.script.waitingSizeBytes = 100 * MiB;
    const relieved = () => {
      rig.script.waitingSizeBytes -= 45 * MiB;
      return [];
    };
    rig.script.toDo.push(relieved, relieved);
    for (let left = 4; left > 0; left--) rig.give('store');
    expect(rig.active()).toHaveLength(0);
    rig.feed({ kind: 'work', sizeBytes: 45 * MiB });
    expect(rig.active()).toHaveLength(0);
    rig.feed({ kind: 'work', sizeBytes: 45 * MiB });
    expect(rig.active().length).toBeGreaterThan(4);
  });

  it('lets some through when nothing is under way that could relieve it', () => {
    const rig = begun(pieces(...names(20))).cold();
    rig.script.waitingSizeBytes = 100 * MiB;
    for (let left = 4; left > 0; left--) {
      expect(rig.active()).toHaveLength(left);
      rig.give('store');
    }
    expect(rig.active()).toHaveLength(4);
    expect(rig.giveAll().result).toEqual({ kind: 'done' });
  });

  it('asks first for what others may wait for: values, then ranges, and each in its order', () => {
    const all = [
      piece('m', { work: 'healing' }),
      ...pieces('a', 'b', 'c', 'd'),
      piece('v', { work: 'values' }),
    ];
    const rig = begun(all, ['n1']);
    const looked = rig.asked();
    expect(looked).toEqual(['v', 'a', 'b', 'c', 'd', 'm'].map((name) => `cache ${name}`));
    rig.cold();
    expect(rig.asked().map((each) => each.split(' ')[1])).toEqual(['v', 'a', 'b', 'c']);
    // It comes before what was never asked for, and not behind it.
    rig.fail('n1', 'v').give('n1', 'b').lie('store', 'a');
    expect(rig.asked().map((each) => each.split(' ')[1])).toEqual(['c', 'v', 'd', 'a']);
  });
});

describe('the width', () => {
  const round = (pace: ReturnType<typeof newPace>, atMs: number) => {
    for (let left = pace.width; left > 0; left--) quicken(pace, 1000, atMs);
    return pace.width;
  };

  it('grows by one a round while chunks come faster, up to its limit', () => {
    const pace = newPace();
    expect([round(pace, 100), round(pace, 190), round(pace, 270)]).toEqual([5, 6, 7]);
    expect(round(pace, 2000)).toBe(7);
    let atMs = 2000;
    for (let i = 0; i < 100; i++) {
      atMs += 100;
      round(pace, atMs);
    }
    expect(pace.width).toBe(limits.syncRequests);
  });

  it('halves when answers stay out, once for all that were under way, and not below two', () => {
    const pace = newPace();
    pace.width = 16;
    slow(pace, 0, 5000);
    slow(pace, 10, 5001);
    expect(pace.width).toBe(8);
    slow(pace, 5002, 10_002);
    for (let i = 3; i < 9; i++) slow(pace, i * 10_000, i * 10_000 + 5000);
    expect(pace.width).toBe(2);
  });

  it('is that of the requests on the network, the cache does not count', () => {
    const rig = begun(pieces(...names(30)));
    expect(rig.asked()).toHaveLength(limits.syncCacheRequests);
    for (let i = 0; i < 20; i++) rig.lack('cache');
    expect(rig.account('store').inFlight).toBe(4);
    expect(rig.account('cache').inFlight).toBe(8);
    rig.pass(5000);
    expect(rig.account('store').inFlight + rig.account('cache').inFlight).toBe(0);
    expect(rig.sync.pace.width).toBe(2);
    expect(rig.pass(1000).account('store').inFlight).toBe(2);
  });

  it('does not suffer from a slow disk, and grows with what comes over the network', () => {
    const rig = begun(pieces(...names(8)));
    rig.lack('cache').pass(4900).give('store').pass(100);
    expect(rig.account('cache')).toMatchObject({ strikes: 1 });
    expect(rig.sync.pace.width).toBe(4);
    for (let i = 0; i < 4; i++) rig.give('store');
    expect(rig.sync.pace.width).toBe(5);
  });

  it('is pressed between the marks only after it was above one', () => {
    const pace = newPace();
    expect(press(pace, 20 * MiB, 30)).toBe(false);
    expect(press(pace, 0, limits.syncHighChunks)).toBe(true);
    expect(press(pace, 0, limits.syncLowChunks)).toBe(true);
    expect(press(pace, 0, limits.syncLowChunks - 1)).toBe(false);
  });

  it('is shown with a rate over the last seconds, of which there may be few', () => {
    expect(rateOf({ ...newPace(), slices: [{ second: 9, sizeBytes: 500 }] }, 9000, 9100)).toBe(500);
  });
});

describe('a ledger', () => {
  it('makes cooldowns longer for who keeps failing, up to 15 s, and shorter for who is of use', () => {
    const ledger = newLedger(['n1']);
    const peer = ledger.peers.get('n1') as Account;
    const pauses: number[] = [];
    let nowMs = 0;
    for (let i = 0; i < 12; i++) {
      nowMs += 20_000;
      if (i % 3 === 2) onUseful(peer, 1, 0);
      else strike(peer, nowMs - 1, nowMs);
      if (i % 3 !== 2) pauses.push(peer.coolUntilMs - nowMs);
    }
    expect(pauses).toEqual([1000, 2000, 2000, 4000, 4000, 8000, 7500, 15_000]);
    for (let i = 0; i < 9; i++) onUseful(peer, 1, 0);
    strike(peer, nowMs, nowMs + 1);
    expect(peer.coolUntilMs - nowMs - 1).toBe(1000);
    expect(peer.excluded).toBeNull();
  });

  it('leaves the store alone for 2 s at most, and never for good', () => {
    const { store } = newLedger([]);
    for (const atMs of [10, 2000, 5000, 9000]) strike(store, atMs, atMs + 1);
    expect(store).toMatchObject({ strikes: 4, excluded: null, coolUntilMs: 11_001 });
  });

  it('does not know when who is left out could be asked again', () => {
    const ledger = newLedger(['n1']);
    const peer = ledger.peers.get('n1') as Account;
    for (const atMs of [10, 2000, 5000]) strike(peer, atMs, atMs + 1);
    expect(peer.excluded).not.toBeNull();
    expect(nextCoolMs(ledger, 5001)).toBe(Number.POSITIVE_INFINITY);
    expect(freeBits(ledger, 90_000, 4) & peer.bit).toBe(0);
  });

  it('has the one asked that is least busy for what it can take', () => {
    const ledger = newLedger(['n1', 'n2']);
    const [one, two] = [...ledger.peers.values()] as [Account, Account];
    const all = one.bit | two.bit | storeBit;
    one.inFlight = 1;
    ledger.store.inFlight = 2;
    two.asked = 9;
    expect(soonest(ledger, all, 16)).toBe(two);
    two.inFlight = 3;
    expect(soonest(ledger, all, 16)).toBe(ledger.store);
    expect(soonest(ledger, all, 4)).toBe(one);
    expect(soonest(ledger, two.bit, 4)).toBe(two);
    expect(soonest(ledger, 0, 4)).toBeNull();
  });

  it('has the one asked that will have answered first, however much is asked of it already (L4)', () => {
    const ledger = newLedger(['n1', 'n2']);
    const [one, two] = [...ledger.peers.values()] as [Account, Account];
    const all = one.bit | two.bit | storeBit;
    for (const [account, turnMs] of [
      [one, 10],
      [two, 8],
      [ledger.store, 1],
    ] as const) {
      onUseful(account, 1, turnMs);
    }
    // A peer's time counts twice.
    ledger.store.inFlight = 14;
    expect(soonest(ledger, all, 16)).toBe(ledger.store);
    ledger.store.inFlight = 16;
    expect(soonest(ledger, all, 16)).toBe(two);
    two.inFlight = 1;
    expect(soonest(ledger, all, 16)).toBe(ledger.store);
    for (let i = 0; i < 9; i++) onUseful(ledger.store, 1, 9);
    expect(soonest(ledger, all, 16)).toBe(one);
  });

  it('takes what was asked of somebody at the same time for one after the other', () => {
    const rig = begun(pieces('a', 'b', 'c'), ['n1']).cold();
    expect(rig.asked()).toEqual(['n1 a', 'store b', 'n1 c']);
    rig.pass(30).give('n1', 'c');
    expect(rig.account('n1').turnMs).toBe(15);
    expect(rig.give('store', 'b').account('store').turnMs).toBe(30);
  });

  it('holds so many peers and no more', () => {
    const ledger = newLedger(names(40));
    expect(ledger.peers.size).toBe(limits.syncPeers);
    const bits = [...ledger.peers.values()].map(({ bit }) => bit);
    expect(new Set(bits).size).toBe(limits.syncPeers);
    expect(Math.min(...bits)).toBe(4);
  });
});
