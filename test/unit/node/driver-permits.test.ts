/** A member does heavy work with a permit of its node, and gives it back however that ends. */
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Ports } from '../../../replication/execute.js';
import type { Kind } from '../../../replication/kind.js';
import { MemberDriver } from '../../../src/node/member-driver.js';
import type { MemberEvents } from '../../../src/node/member-options.js';
import { PermitPool } from '../../../src/node/permit-pool.js';
import { causeOf, configOf, lister, Store } from '../replication/support.js';

let pool: PermitPool;
let store: Store;
let isBroken: boolean;
let mayAct: boolean;
let noted: { detectMs: number; decideMs: number }[];
const drivers: MemberDriver[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  pool = new PermitPool({ all: 1, patient: 1 });
  store = new Store();
  isBroken = false;
  mayAct = true;
  noted = [];
});
afterEach(() => {
  for (const driver of drivers.splice(0)) driver.stop();
  vi.useRealTimers();
});

function member(index: number, priority = () => 0): MemberDriver {
  const { log } = store.ports;
  const append: typeof log.append = (...all) => {
    if (isBroken) throw new Error('an assertion failed');
    log.append(...all);
  };
  const ports: Ports = { ...store.ports, log: { ...log, append } };
  const crashed: MemberEvents['crashed'] = () => ({ restartInMs: 1000 });
  const events = new Proxy({ crashed } as MemberEvents, {
    get: (known, key: keyof MemberEvents) => known[key] ?? (() => undefined),
  });
  const logger = pino({ level: 'silent' });
  const config = configOf(index, { kind: lister as Kind, group: `g${index}` });
  const driver = new MemberDriver({
    config,
    ports,
    events,
    logger,
    permits: pool,
    priority,
    mayActOn: () => mayAct,
  });
  drivers.push(driver);
  driver.start();
  settle();
  return driver;
}

function settle(): void {
  do vi.advanceTimersByTime(1);
  while (store.drain());
}

const held = () => Object.values(pool.counts).reduce((sum, count) => sum + count.held, 0);
const waiting = () => Object.values(pool.counts).reduce((sum, count) => sum + count.waiting, 0);
const promote = (driver: MemberDriver) => driver.input({ kind: 'promote', ...causeOf(0) });
/** Somebody else is at it. */
const occupy = () =>
  pool.ask({ id: 'another', work: 'cut', priority: 0, sinceMs: 0 }, () => undefined);

describe('a promotion', () => {
  it('waits for a permit, and gives it back once the member serves', () => {
    const driver = member(1);
    occupy();
    promote(driver);
    settle();
    expect([driver.report().state, pool.counts.promotion.waiting]).toEqual(['standby', 1]);
    pool.end('another');
    settle();
    expect(driver.report().state).toBe('active');
    expect([held(), waiting()]).toEqual([0, 0]);
  });

  it('that may not be any more when it is its turn is let be, and can be asked for again', () => {
    const driver = member(1);
    occupy();
    promote(driver);
    mayAct = false;
    pool.end('another');
    settle();
    expect(driver.report().state).toBe('standby');
    expect([held(), waiting()]).toEqual([0, 0]);
    mayAct = true;
    promote(driver);
    settle();
    expect(driver.report().state).toBe('active');
  });

  it('that is asked for again and again while it waits happens once, and knows how long it was', () => {
    const driver = member(1);
    occupy();
    for (let i = 0; i < 5; i++) {
      promote(driver);
      vi.advanceTimersByTime(100);
    }
    expect(waiting()).toBe(1);
    pool.end('another');
    settle();
    const { role } = driver.member;
    if (role.state !== 'active') throw new Error(`it is ${role.state}`);
    noted.push(...role.active.replica.history);
    expect(noted).toHaveLength(1);
    expect(noted[0]?.decideMs).toBeGreaterThanOrEqual(100);
  });

  it('goes before others of a lower priority, as that is when it begins', () => {
    let high = 0;
    const [first, second] = [member(1), member(2, () => high)];
    high = 1;
    occupy();
    promote(first);
    promote(second);
    pool.end('another');
    // Only until one of both has begun: in the end the last one to claim is the active.
    vi.advanceTimersByTime(0);
    const states = [first, second].map((driver) => driver.report().state);
    expect(states).toEqual(['standby', 'promoting']);
  });

  it('gives the permit back if the member crashes in the middle of it', () => {
    const driver = member(1);
    isBroken = true;
    promote(driver);
    settle();
    expect(driver.report().state).toBe('starting');
    expect([held(), waiting()]).toEqual([0, 0]);
  });

  it('gives it back if the member is stopped, at it or waiting', () => {
    const [first, second] = [member(1), member(2)];
    promote(first);
    promote(second);
    expect([held(), waiting()]).toEqual([1, 1]);
    second.stop();
    expect([held(), waiting()]).toEqual([1, 0]);
    first.stop();
    expect([held(), waiting()]).toEqual([0, 0]);
  });

  it('gives it back if it is lost', () => {
    const [first, second] = [member(1), member(2)];
    promote(first);
    settle();
    promote(second);
    settle();
    expect(second.report().state).toBe('standby');
    expect([held(), waiting()]).toEqual([0, 0]);
  });
});

describe('a snapshot', () => {
  it('is begun when it is its turn, and is done with its permit when it is recorded', () => {
    const driver = member(1);
    promote(driver);
    settle();
    occupy();
    vi.advanceTimersByTime(500);
    settle();
    expect(pool.counts.cut.waiting).toBe(1);
    expect(store.types()).toEqual(['claim', 'barrier']);
    pool.end('another');
    for (let i = 0; i < 20; i++) settle();
    expect(store.types()).toEqual(['claim', 'barrier', 'snapshot']);
    expect([held(), waiting()]).toEqual([0, 0]);
  });
});
