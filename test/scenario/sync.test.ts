/** How a standby comes by a snapshot, and what may happen on the way, told one story at a time. */
import { describe, expect, it } from 'vitest';
import { keyOf } from '../../replication/bytes.js';
import { accountsOf } from '../../replication/sync/sources.js';
import {
  all,
  amidSync,
  chunksOf,
  collectNow,
  expectLevel,
  filled,
  forget,
  network,
  newestSnapshot,
  recordedWithout,
  sizeOf,
  storedSizeOf,
  watchFetches,
} from './transfer.js';

describe('a failover while a standby syncs', () => {
  it('may promote that standby: it replays what it lacks, and its sync is over', () => {
    const stage = filled();
    recordedWithout(stage, 'n2');
    stage.resume('n2');
    const sync = amidSync(stage, 'n2');
    stage.failover('n2');
    stage.leads('n2');
    expect(sync).toMatchObject({ isGoing: false, result: { kind: 'busy' } });
    expect(stage.state('n2').events).toBe(120);
    stage.events(1);
    stage.whole();
    stage.sync();
    for (const name of ['n0', 'n1']) expectLevel(stage, name);
  });

  it('may promote another: it finishes its sync, and has the next epoch’s snapshot soon after', () => {
    const stage = filled();
    recordedWithout(stage, 'n2');
    stage.resume('n2');
    amidSync(stage, 'n2');
    stage.kill('n0');
    stage.promoted(2);
    expect(stage.active).toBe('n1');
    stage.until('it has that of epoch 1', () => stage.syncedThrough('n2') === 120);
    stage.events(1);
    stage.sync();
    expect(newestSnapshot(stage).id).toMatch(/^2-/);
    expectLevel(stage, 'n2');
  });

  it('of a hot group leaves nobody behind, whoever of them is in the middle of a snapshot', () => {
    for (const chosen of ['n1', 'n2']) {
      const stage = filled({ standby: 'hot', replayEvents: 10 });
      stage.sync();
      stage.cutOff('n2');
      for (let i = 0; i < 3; i++) stage.deliver(1, 3, 1, 3, 1, 3);
      stage.sync();
      stage.reconnect('n2');
      const sync = amidSync(stage, 'n2');
      stage.failover(chosen);
      stage.leads(chosen);
      if (chosen === 'n2') expect(sync).toMatchObject({ isGoing: false });
      stage.events(2);
      stage.whole();
      const others = all.filter((name) => name !== chosen);
      stage.until('all are level', () =>
        others.every((name) => stage.syncedThrough(name) === stage.seq),
      );
      for (const name of all) expect(stage.contents(name)).toEqual(stage.contents(chosen));
    }
  });
});

describe('a snapshot that is superseded while it is fetched', () => {
  it('and whose chunks are collected meanwhile is not installed: the next one is', () => {
    const stage = filled();
    recordedWithout(stage, 'n2');
    const first = newestSnapshot(stage);
    const old = chunksOf(stage, first);
    stage.resume('n2');
    const sync = amidSync(stage, 'n2');
    stage.pause('n2');
    for (let i = 0; i < 2; i++) {
      stage.deliver(...new Array<1>(60).fill(1));
      stage.sync();
    }
    collectNow(stage);
    const gone = old.filter((hash) => stage.world.model.stored.chunk(hash) === undefined);
    expect(gone.length).toBeGreaterThan(5);
    forget(stage, ['n0', 'n1'], old);
    const seqs = new Set<number | null>();
    stage.resume('n2');
    stage.until('it has a snapshot', () => {
      seqs.add(stage.syncedThrough('n2'));
      return stage.syncedThrough('n2') === 240;
    });
    expect([...seqs]).toEqual([0, 240]);
    expect(sync.result).toMatchObject({ kind: 'failed', problem: /chunks cannot be had/ });
    expectLevel(stage, 'n2');
    // That nobody has it any more is as it should be: the newest is whole, and cut once.
    stage.run(3000);
    expect(newestSnapshot(stage).at).toBe(240);
  });

  it('is finished all the same as long as its chunks are there', () => {
    const stage = filled();
    recordedWithout(stage, 'n2');
    stage.resume('n2');
    const sync = amidSync(stage, 'n2');
    stage.pause('n2');
    stage.events(3);
    stage.sync();
    collectNow(stage);
    stage.resume('n2');
    stage.until('the first is there', () => sync.result.kind !== 'busy');
    expect(sync.result.kind).toBe('done');
    stage.until('the second is there', () => stage.syncedThrough('n2') === 123);
    expectLevel(stage, 'n2');
  });
});

describe('a source', () => {
  it('that dies is not asked any more, and begins anew in the next generation', () => {
    const stage = filled();
    recordedWithout(stage, 'n2');
    forget(stage, ['n0'], chunksOf(stage, newestSnapshot(stage)));
    stage.resume('n2');
    const sync = amidSync(stage, 'n2');
    stage.world.model.loseLeader('silent');
    stage.kill('n1');
    stage.until('n2 is told', () => sync.ledger.peers.get('n1')?.isGone === true);
    expect(sync.result.kind).toBe('busy');
    stage.world.model.electLeader();
    const { asked } = sync.ledger.peers.get('n1') ?? {};
    expect(asked).toBeGreaterThan(0);
    stage.until('it is over', () => sync.result.kind === 'done');
    expect(sync.ledger.peers.get('n1')).toMatchObject({ asked, inFlight: 0, excluded: null });
    expectLevel(stage, 'n2');
    stage.start('n1');
    stage.whole();
    stage.events(10);
    stage.sync();
    stage.run(1000);
    stage.events(10);
    recordedWithout(stage, 'n2');
    stage.resume('n2');
    const next = amidSync(stage, 'n2', 1);
    expect(next.generation).not.toBe(sync.generation);
    expect(next.ledger.peers.get('n1')).toMatchObject({ strikes: 0, isGone: false });
    stage.until('it is over', () => next.result.kind === 'done');
    expect(next.ledger.peers.get('n1')?.asked).toBeGreaterThan(0);
    expectLevel(stage, 'n2');
  });

  it('that stands still is left alone once that is known, and nobody is blamed', () => {
    const stage = filled();
    recordedWithout(stage, 'n2');
    stage.resume('n2');
    const sync = amidSync(stage, 'n2', 0);
    stage.pause('n1');
    stage.until('it is asked', () => sync.ledger.peers.get('n1')?.inFlight === 1);
    stage.until('it is over', () => sync.result.kind === 'done');
    expect(sync.ledger.peers.get('n1')).toMatchObject({ isGone: true, strikes: 0, inFlight: 0 });
    expectLevel(stage, 'n2');
  });

  it('that fails every time is left out after three times, and what it was asked comes from others', () => {
    const stage = filled();
    recordedWithout(stage, 'n2');
    forget(stage, ['n0'], chunksOf(stage, newestSnapshot(stage)));
    const failed = { kind: 'failed', reason: 'the disk does not answer' } as const;
    stage.host('n1').chunks.handOut = () => failed;
    stage.resume('n2');
    const sync = amidSync(stage, 'n2', 0);
    stage.world.model.loseLeader('silent');
    const { said } = sync.ledger.peers.get('n1') ?? {};
    stage.until('it is left out', () => sync.ledger.peers.get('n1')?.excluded !== null);
    expect(stage.alarms('n2').join()).toContain('peer n1 is not asked any more');
    const { failed: before } = { ...said };
    stage.world.model.electLeader();
    stage.until('it is over', () => sync.result.kind === 'done');
    expect(said).toMatchObject({ failed: before });
    expectLevel(stage, 'n2');
  });

  it('that is slow is waited for, and not blamed', () => {
    const stage = filled();
    recordedWithout(stage, 'n2');
    stage.resume('n2');
    const sync = amidSync(stage, 'n2', 0);
    stage.world.bus.rates = { messageLost: 0, messageSlow: 1 };
    stage.until('it is over', () => sync.result.kind === 'done');
    for (const [, peer] of sync.ledger.peers) {
      expect(peer.asked).toBeGreaterThan(0);
      expect(peer).toMatchObject({ strikes: 0, said: { late: 0, failed: 0 } });
    }
    expectLevel(stage, 'n2');
  });

  it('that has nothing is no reason for a strike', () => {
    const stage = filled();
    recordedWithout(stage, 'n2');
    forget(stage, ['n0', 'n1'], chunksOf(stage, newestSnapshot(stage)));
    stage.resume('n2');
    const sync = amidSync(stage, 'n2');
    stage.until('it is over', () => sync.result.kind === 'done');
    for (const [, peer] of sync.ledger.peers) {
      expect(peer).toMatchObject({ strikes: 0, excluded: null, sizeBytes: 0 });
    }
    expect(stage.alarms('n2')).toEqual([]);
    expectLevel(stage, 'n2');
  });
});

describe('a standby that dies in the middle of a sync', () => {
  it('goes on from what its disk has: nothing comes over the network twice', () => {
    const stage = filled();
    recordedWithout(stage, 'n2');
    const fetches = watchFetches(stage, 'n2');
    stage.resume('n2');
    const { doneSizeBytes } = amidSync(stage, 'n2', 5);
    stage.kill('n2');
    stage.start('n2');
    const { ledger } = amidSync(stage, 'n2', 1);
    stage.until('it is level', () => stage.syncedThrough('n2') === 120);
    expect(ledger.cache.sizeBytes).toBe(doneSizeBytes);
    expectLevel(stage, 'n2');
    const keys = network(fetches).map(({ key }) => key);
    expect(new Set(keys).size).toBe(keys.length);
    expect([...keys].sort()).toEqual(chunksOf(stage, newestSnapshot(stage)).map(keyOf).sort());
  });
});

describe('a broker without a leader', () => {
  it.each(['refusing', 'silent'] as const)('(%s) is not needed while peers have it all', (how) => {
    const stage = filled();
    recordedWithout(stage, 'n2');
    stage.resume('n2');
    const sync = amidSync(stage, 'n2');
    stage.world.model.loseLeader(how);
    stage.until('it is over', () => sync.result.kind === 'done', 5000);
    expectLevel(stage, 'n2');
    stage.world.model.electLeader();
    stage.whole();
  });

  it.each(['refusing', 'silent'] as const)('(%s) is waited for where it is', (how) => {
    const stage = filled();
    recordedWithout(stage, 'n2');
    forget(stage, ['n0', 'n1'], chunksOf(stage, newestSnapshot(stage)));
    stage.resume('n2');
    const sync = amidSync(stage, 'n2');
    stage.world.model.loseLeader(how);
    stage.run(8000);
    expect(sync.result.kind).toBe('busy');
    expect(stage.syncedThrough('n2')).toBe(0);
    stage.world.model.electLeader();
    stage.until('it is over', () => sync.result.kind === 'done', 5000);
    expectLevel(stage, 'n2');
    expect(accountsOf(sync.ledger).map(({ excluded }) => excluded)).toEqual([
      null,
      null,
      null,
      null,
    ]);
  });
});

describe('a standby one snapshot behind', () => {
  it('fetches no more than what was stored anew', () => {
    const stage = filled({}, 160);
    stage.sync();
    const first = chunksOf(stage, newestSnapshot(stage));
    const before = new Set(first.map(keyOf));
    const wholeSizeBytes = storedSizeOf(stage, first);
    const fetches = watchFetches(stage, 'n2');
    stage.deliver(1, 1, 1);
    stage.sync();
    expectLevel(stage, 'n2');
    const anew = chunksOf(stage, newestSnapshot(stage)).filter((hash) => !before.has(keyOf(hash)));
    const anewSizeBytes = storedSizeOf(stage, anew);
    expect(anewSizeBytes).toBeLessThan(wholeSizeBytes / 2);
    expect(sizeOf(network(fetches))).toBe(anewSizeBytes);
    expect(sizeOf(fetches)).toBe(anewSizeBytes);
  });
});
