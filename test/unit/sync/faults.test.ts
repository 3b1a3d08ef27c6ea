import { describe, expect, it } from 'vitest';
import { begun, piece, pieces, Rig } from './support.js';

const done = { kind: 'done' };
const busy = { kind: 'busy' };

describe('a source that is slow or fails', () => {
  it('is not asked while it cools down, however much it could take', () => {
    const rig = begun(pieces('a', 'b')).cold().fail('store', 'a');
    expect(rig.asked()).toEqual(['store b']);
    rig.tick(999);
    expect(rig.asked()).toEqual(['store b']);
    expect(rig.wakeInMs).toBe(1);
    rig.tick(1);
    expect(rig.asked()).toEqual(['store b', 'store a']);
  });

  it('gets its chance again as soon as it is of use', () => {
    const rig = begun(pieces('a', 'b')).cold().fail('store', 'a').give('store', 'b');
    expect(rig.asked()).toEqual(['store a']);
    expect(rig.account('store').strikes).toBe(0);
  });

  it('is given up on after 5 s, the first request included, and somebody else is asked', () => {
    const rig = begun(pieces('a'), ['n1']).cold();
    expect(rig.wakeInMs).toBe(5000);
    expect(rig.tick(4999).asked()).toEqual(['n1 a']);
    expect(rig.tick(1).asked()).toEqual(['n1 a', 'store a']);
    expect(rig.account('n1')).toMatchObject({ strikes: 1, inFlight: 0, said: { late: 1 } });
    expect(rig.give('store').result).toEqual(done);
  });

  it('is not given up on after a standstill while its answers are there already', () => {
    const rig = begun(pieces('a', 'b')).cold();
    rig.nowMs += 60_000;
    rig.give('store', 'a');
    expect(rig.asked()).toEqual(['store b']);
    expect(rig.give('store', 'b').result).toEqual(done);
  });

  it('is left out only after three times in a row, with an alarm', () => {
    const rig = begun(pieces('a'), ['n1']).cold();
    rig.fail('n1').fail('store').tick(1000).fail('n1');
    expect(rig.account('n1')).toMatchObject({ excluded: null, strikes: 2 });
    expect(rig.alarms()).toEqual([]);
    rig.fail('store').tick(2000).fail('n1');
    expect(rig.account('n1').excluded).toBe('too late 0 times, failed 3 times');
    expect(rig.alarms()).toEqual([
      'internal: fetching snapshot g/1/7: peer n1 is not asked any more, ' +
        'too late 0 times, failed 3 times; at last it failed: no responders',
    ]);
    expect(rig.give('store').result).toEqual(done);
  });

  it('has what else it was asked for asked of others when it is left out', () => {
    const rig = begun(pieces('a', 'b', 'c', 'd'), ['n1']).cold();
    const other = rig.find('n1', 'c');
    rig.account('n1').strikes = 2;
    rig.fail('n1', 'a');
    expect(rig.account('n1').excluded).not.toBeNull();
    expect(rig.active()).not.toContain(other.call);
    expect(rig.find('store', 'c')).toBeDefined();
    expect(rig.account('n1').inFlight).toBe(0);
  });

  it('does not hold up others when it is the cache', () => {
    const rig = begun(pieces('a', 'b')).fail('cache', 'a');
    expect(rig.asked()).toEqual(['cache b', 'store a']);
    rig.tick(1000).lack('cache', 'b');
    expect(rig.give('store').give('store').result).toEqual(done);
  });

  it('starts counting anew when it was of use', () => {
    const rig = begun(pieces('a', 'b')).cold();
    rig.fail('store', 'a').tick(1000).fail('store', 'a').tick(1);
    expect(rig.account('store').strikes).toBe(2);
    rig.give('store', 'b').fail('store', 'a');
    expect(rig.account('store')).toMatchObject({ excluded: null, strikes: 1 });
  });

  it('is struck once for whatever was asked in the same bad spell', () => {
    const rig = begun(pieces('a', 'b', 'c', 'd')).cold();
    for (const name of ['a', 'b', 'c', 'd']) rig.fail('store', name);
    expect(rig.account('store')).toMatchObject({ strikes: 1, excluded: null });
    expect(rig.tick(1000).asked()).toHaveLength(4);
    rig.tick(5000);
    expect(rig.account('store')).toMatchObject({ strikes: 2, said: { failed: 4, late: 4 } });
  });

  it('is not struck for not having a chunk, and not asked for that one again', () => {
    const rig = begun(pieces('a', 'b', 'c', 'd', 'e'), ['n1']).cold();
    for (let left = 5; left > 0; left--) {
      if (rig.asked().some((each) => each.startsWith('n1'))) rig.lack('n1');
      rig.give('store');
    }
    expect(rig.account('n1')).toMatchObject({ strikes: 0, excluded: null });
    expect(rig.account('n1').asked).toBe(rig.account('n1').said.none);
    expect(rig.result).toEqual(done);
    expect(rig.alarms()).toEqual([]);
  });

  it('is one peer however often the same node is named', () => {
    const all = pieces('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
    const rig = begun(all, ['n1', 'n1', 'n1']).peers('n1', 'n1').cold();
    expect(rig.sync.ledger.peers.size).toBe(1);
    expect(rig.account('n1').inFlight).toBeLessThanOrEqual(4);
    rig.lie('n1');
    expect(rig.account('n1').inFlight).toBe(0);
    expect(rig.active()).toHaveLength(4);
  });

  it('is known anew in a new sync', () => {
    const rig = begun(pieces('a'), ['n1']).cold().lie('n1');
    expect(rig.account('n1').excluded).not.toBeNull();
    expect(begun(pieces('a'), ['n1']).cold().asked()).toEqual(['n1 a']);
  });

  it('that fails only for one chunk is not asked for that one any more', () => {
    const rig = begun(pieces('a'), ['n1']).cold();
    rig.account('n1').strikes = -9;
    for (let i = 0; i < 3; i++) rig.fail('n1').fail('store').tick(15_000);
    expect(rig.asked()).toEqual(['store a']);
    expect(rig.account('n1')).toMatchObject({ excluded: null, said: { failed: 3 } });
    expect(rig.give('store').result).toEqual(done);
  });

  it('is waited for when it is the store, however long its servers elect', () => {
    const rig = begun(pieces('a')).cold();
    for (let i = 0; i < 20; i++) rig.fail('store').tick(2000);
    expect(rig.account('store')).toMatchObject({ excluded: null, strikes: 20 });
    expect(rig.alarms()).toEqual([]);
    expect(rig.give('store').result).toEqual(done);
  });
});

describe('other bytes than those asked for', () => {
  it('exclude a peer at once, with what else it was asked, and are healed from elsewhere', () => {
    const rig = begun(pieces('a', 'b', 'c', 'd'), ['n1']).cold();
    const peer = rig.asked().filter((each) => each.startsWith('n1'));
    expect(peer.length).toBeGreaterThan(1);
    rig.lie('n1');
    expect(rig.account('n1')).toMatchObject({ inFlight: 0, strikes: 0 });
    expect(rig.alarms()).toEqual([
      expect.stringMatching(/^conflict: .*peer n1 gave other bytes for chunk [0-9a-f]{16}, with/),
    ]);
    rig.open = rig.open.filter(({ source }) => source.kind === 'store');
    expect(rig.giveAll().result).toEqual(done);
    expect(rig.script.accepted.sort()).toEqual(['a', 'b', 'c', 'd']);
    expect(rig.progress).toMatchObject({ corrupt: 1, doneSizeBytes: 4000 });
  });

  it('cost the store only that chunk', () => {
    const rig = begun(pieces('a', 'b'), ['n1', 'n2']).peers().cold();
    rig.lie('store', 'a').give('store', 'b');
    expect(rig.account('store').excluded).toBeNull();
    rig.peers('n1');
    expect(rig.asked()).toEqual([]);
    expect(rig.result).toMatchObject({ kind: 'failed', lost: [expect.anything()] });
  });

  it('of the cache are fetched from elsewhere, and replaced there', () => {
    const rig = begun(pieces('a', 'b')).lie('cache', 'a').give('cache', 'b');
    expect(rig.asked()).toEqual(['store a']);
    expect(rig.give('store').result).toEqual(done);
    expect(rig.kept()).toEqual(['a']);
    expect(rig.alarms()).toEqual([expect.stringMatching(/^conflict: .*the cache gave other/)]);
  });

  it('raise one alarm for each source, however much of it is bad', () => {
    const rig = begun(pieces('a', 'b', 'c'))
      .lie('cache')
      .lie('cache')
      .lie('cache');
    rig.lie('store').lie('store').lie('store');
    expect(rig.alarms()).toHaveLength(2);
    expect(rig.progress.corrupt).toBe(6);
  });

  it('raise no more alarms than a sync may', () => {
    const nodes = Array.from({ length: 12 }, (_, i) => `n${i}`);
    const rig = begun(pieces('a'), nodes).cold();
    for (const node of nodes) rig.lie(node);
    expect(rig.alarms()).toHaveLength(8);
    expect(rig.give('store').result).toEqual(done);
  });
});

describe('a chunk that nobody can give', () => {
  it('fails the sync, with what is lost and what everybody said', () => {
    const rig = begun(pieces('a', 'b'), ['n1', 'n2']).cold();
    const lost = rig.find('n1', 'a').hash;
    rig.lie('n1').give('n2', 'b').lack('store').lack('n2');
    rig.pass(500).lack('store').pass(1000).lack('store').pass(1500).lack('store');
    expect(rig.result).toEqual({
      kind: 'failed',
      problem:
        '1 of 2 chunks cannot be had, 1000 of 2000 bytes are here: ' +
        'the cache gave 0 bytes, did not have it 2 times; ' +
        'peer n1 is left out: gave other bytes than those asked for; ' +
        'peer n2 gave 1000 bytes, did not have it 1 times; ' +
        'the store gave 0 bytes, did not have it 4 times',
      lost: [lost],
    });
  });

  it('is asked of the store again, since it may lag, and no more than three times', () => {
    const rig = begun(pieces('a')).cold().lack('store');
    const pauses: number[] = [];
    while (rig.result.kind === 'busy') {
      pauses.push(rig.wakeInMs);
      rig.tick(rig.wakeInMs - 1);
      expect(rig.asked()).toEqual([]);
      rig.tick(1).lack('store');
    }
    expect(pauses).toEqual([500, 1000, 1500]);
    expect(begun(pieces('a')).cold().lack('store').pass(500).give('store').result).toEqual(done);
  });

  it('does not keep the others from being fetched first', () => {
    const rig = begun(pieces('a', 'b', 'c')).cold();
    rig.lie('store', 'a');
    expect(rig.result).toEqual(busy);
    rig.give('store', 'b').give('store', 'c');
    expect(rig.result).toMatchObject({ kind: 'failed' });
    expect(rig.progress.doneSizeBytes).toBe(2000);
  });

  it('is reported with others up to a limit', () => {
    const names = Array.from({ length: 100 }, (_, i) => `p${i}`);
    const rig = begun(pieces(...names));
    while (rig.result.kind === 'busy') {
      if (rig.asked().some((each) => each.startsWith('cache'))) rig.lack('cache');
      else rig.lie('store');
    }
    expect(rig.result.kind === 'failed' && rig.result.lost.length).toBe(64);
    expect(rig.result).toMatchObject({ problem: expect.stringMatching(/^100 of 100 chunks/) });
  });

  it('is waited for while all that stands in the way is that sources cool down', () => {
    const rig = begun(pieces('a'), ['n1']).cold().fail('n1').lie('store');
    expect(rig.result).toEqual(busy);
    expect(rig.active()).toEqual([]);
    expect(rig.wakeInMs).toBe(1000);
    expect(rig.tick(999).asked()).toEqual([]);
    expect(rig.tick(1).asked()).toEqual(['n1 a']);
    expect(rig.give('n1').result).toEqual(done);
  });

  it('waits for its turn while others only wait for a source to cool down', () => {
    const rig = begun(pieces('a', 'b')).cold().lie('store', 'a').fail('store', 'b');
    expect(rig.active()).toEqual([]);
    expect(rig.result).toEqual(busy);
    expect(rig.tick(1000).asked()).toEqual(['store b']);
    expect(rig.give('store').result).toMatchObject({
      kind: 'failed',
      problem: expect.stringMatching(/^1 of 2 chunks cannot be had, 1000 of 2000 bytes/),
    });
  });

  it('is not lost as long as it is being asked for', () => {
    const rig = begun(pieces('a', 'b'), ['n1']).cold().lie('store', 'b');
    rig.lack('n1', 'b');
    expect(rig.result).toEqual(busy);
    rig.give('n1', 'a');
    expect(rig.result).toMatchObject({ kind: 'failed' });
  });
});

describe('a worker whose handling throws', () => {
  const dying = (times: number, peers: readonly string[]) => {
    const rig = new Rig(pieces('a', 'b'), peers);
    let left = times;
    rig.script.instead.set('a', () => {
      left -= 1;
      if (left >= 0) throw new Error('boom');
      return [];
    });
    return rig.begin().cold();
  };

  it('is replaced, and its task goes to another source', () => {
    const rig = dying(1, ['n1']);
    const { workers } = rig.sync.coordinators.ranges;
    const { call } = rig.find('n1', 'a');
    const [dead] = workers.filter((worker) => worker.call === call);
    rig.give('n1', 'a');
    expect(workers).not.toContain(dead);
    expect(rig.find('store', 'a')).toBeDefined();
    expect(rig.alarms()).toEqual([expect.stringMatching(/^internal: .*taken in: Error: boom/)]);
    expect(rig.giveAll().result).toEqual(done);
    expect(rig.account('n1').strikes).toBe(0);
    expect(rig.progress).toMatchObject({ doneSizeBytes: 2000, knownSizeBytes: 2000 });
  });

  it('has its task asked of the same source if there is no other', () => {
    const rig = dying(1, []).give('store', 'a');
    expect(rig.find('store', 'a')).toBeDefined();
    expect(rig.giveAll().result).toEqual(done);
  });

  it('three times over one chunk fails the sync, and nothing is called lost', () => {
    const rig = dying(3, ['n1']).giveAll();
    expect(rig.result).toMatchObject({
      kind: 'failed',
      problem: expect.stringMatching(/could not be taken in: Error: boom, 3 times$/),
      lost: [],
    });
  });

  it('fails a sync that cannot even begin', () => {
    const rig = new Rig([piece('a')], [], ['b']);
    expect(rig.begin().result).toMatchObject({ kind: 'failed', lost: [] });
  });
});
