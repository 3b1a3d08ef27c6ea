/** A member whose code keeps failing must not take its node's time for ever. */
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { crash, newActors, reinstate, spawn, type Verdict } from '../../../cluster/actors.js';
import type { Ports } from '../../../replication/execute.js';
import { seq } from '../../../replication/ids.js';
import type { Kind } from '../../../replication/kind.js';
import { limits } from '../../../replication/limits.js';
import { hasWork } from '../../../replication/work.js';
import { MemberDriver, messageOf } from '../../../src/node/member-driver.js';
import type { MemberEvents } from '../../../src/node/member-options.js';
import { add, batchOf, causeOf, configOf, lister, Store } from '../replication/support.js';

let isBroken: boolean;
let looks: number;
let crashes: number;
let driver: MemberDriver;
let store: Store;

function brokenPorts(): Ports {
  const { log } = store.ports;
  const last: typeof log.last = (done) => {
    looks += 1;
    if (isBroken) {
      crashes += 1;
      throw new Error('an assertion failed');
    }
    log.last(done);
  };
  return { ...store.ports, log: { ...log, last } };
}

beforeEach(() => {
  vi.useFakeTimers();
  isBroken = true;
  looks = 0;
  crashes = 0;
  store = new Store();
  const actors = newActors();
  spawn(actors, { group: 'g', groupId: 'id', index: 1 });
  const supervision: Partial<MemberEvents> = {
    crashed: (error) => {
      const verdict = crash(actors, 'g', messageOf(error), performance.now()) as Verdict;
      const { restartInMs, ending } = verdict;
      return restartInMs === null ? { quarantine: ending.why } : { restartInMs };
    },
    reinstated: () => reinstate(actors, 'g'),
  };
  const events = new Proxy(supervision as MemberEvents, {
    get: (known, key: keyof MemberEvents) => known[key] ?? (() => undefined),
  });
  const logger = pino({ level: 'silent' });
  const config = configOf(1, { kind: lister as Kind });
  driver = new MemberDriver({ config, ports: brokenPorts(), events, logger });
});

afterEach(() => {
  driver.stop();
  vi.useRealTimers();
});

describe('a member that crashes', () => {
  test('is started again whatever reaches it meanwhile', () => {
    driver.start();
    driver.input({ kind: 'tick' });
    driver.input({ kind: 'followers', indexes: [2] });
    vi.advanceTimersByTime(499);
    expect(looks).toBe(1);
    driver.input({ kind: 'tick' });
    vi.advanceTimersByTime(1);
    expect(looks).toBe(2);
  });

  test('still knows whom to ask for chunks: that is told only when it changes', () => {
    driver.start();
    driver.input({ kind: 'peers', nodes: ['n5', 'n6'] });
    vi.advanceTimersByTime(500);
    expect(crashes).toBe(2);
    expect(driver.member.calls.peers).toEqual(['n5', 'n6']);
  });

  test('is started again after growing pauses', () => {
    driver.start();
    expect(looks).toBe(1);
    vi.advanceTimersByTime(499);
    expect(looks).toBe(1);
    vi.advanceTimersByTime(1);
    expect(looks).toBe(2);
    vi.advanceTimersByTime(999);
    expect(looks).toBe(2);
    vi.advanceTimersByTime(1);
    expect(looks).toBe(3);
  });

  test('so often in a row is quarantined with its last error, and left alone', () => {
    driver.start();
    vi.advanceTimersByTime(600_000);
    expect(looks).toBe(limits.memberCrashes);
    expect(driver.report().state).toBe('quarantined');
    expect(driver.report().error).toMatch(/crashed 8 times in a row.*an assertion failed/);
  });

  test('is a member again once the cause is gone and it is reinitialised', async () => {
    driver.start();
    vi.advanceTimersByTime(600_000);
    isBroken = false;
    expect(await driver.reinit()).toBeNull();
    store.drain();
    expect(driver.report()).toMatchObject({ state: 'standby', error: null });
  });

  test('and then runs for a while has its crashes forgiven', () => {
    driver.start();
    for (let i = 1; i <= limits.memberCrashes + 2; i++) {
      isBroken = false;
      for (let second = 0; second < 61; second++) {
        vi.advanceTimersByTime(1000);
        store.drain();
      }
      expect(driver.report().state).toBe('standby');
      isBroken = true;
      driver.input({ kind: 'behind', seq: seq(1) });
      expect(crashes).toBe(i + 1);
    }
  });
});

describe('a member with work to do beside everything else', () => {
  /** A group whose active is the driver's. */
  function active(): MemberDriver {
    isBroken = false;
    driver.start();
    store.drain();
    driver.input({ kind: 'promote', ...causeOf(0) });
    while (store.drain());
    expect(driver.report().state).toBe('active');
    return driver;
  }

  test('is given time for it, and is not once it is done', () => {
    active();
    vi.advanceTimersByTime(100);
    while (store.drain());
    // The snapshot is announced; what it takes is worked out in slices.
    expect(store.types()).toEqual(['claim', 'barrier']);
    expect(store.chunks.size).toBe(0);
    vi.advanceTimersByTime(10);
    while (store.drain()) vi.advanceTimersByTime(10);
    expect(store.types()).toEqual(['claim', 'barrier', 'snapshot']);
    expect(hasWork(driver.member)).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('reports a snapshot, although nothing was delivered since', () => {
    active().deliver(batchOf([add('a')]), () => undefined);
    while (store.drain());
    expect(driver.report()).toMatchObject({ seq: 1, snapshotSeq: 0 });
    vi.advanceTimersByTime(10_000);
    while (store.drain()) vi.advanceTimersByTime(10);
    expect(store.types().at(-1)).toBe('snapshot');
    expect(driver.report()).toMatchObject({ seq: 1, snapshotSeq: 1 });
  });

  test('reports where the log ends, although no seq came of the last record', () => {
    active().deliver(batchOf([add('a')]), () => undefined);
    while (store.drain());
    const before = driver.report();
    driver.deliver(batchOf([add('no')], { first: 2 }), () => undefined);
    while (store.drain());
    const after = driver.report();
    expect([before.seq, after.seq]).toEqual([1, 1]);
    expect(after.known?.position).toBeGreaterThan(before.known?.position ?? 0);
  });

  test('gets none after the end', () => {
    active();
    vi.advanceTimersByTime(100);
    while (store.drain());
    expect(hasWork(driver.member)).toBe(true);
    driver.stop();
    vi.advanceTimersByTime(1000);
    while (store.drain()) vi.advanceTimersByTime(10);
    expect(store.chunks.size).toBe(0);
  });
});
