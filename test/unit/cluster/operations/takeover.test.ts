/** Who goes on with an operation whose driver is gone, and when. */
import { beforeEach, describe, expect, test } from 'vitest';
import {
  brokerLost,
  heard,
  type Membership,
  newMembership,
  probed,
  tickMembership,
} from '../../../../cluster/membership.js';
import type { Driver, Operation } from '../../../../cluster/operations/operation.js';
import { type Orphans, shouldTakeOver } from '../../../../cluster/operations/takeover.js';
import { nodeInfo, timings } from '../support.js';

const drivenBy = (driver: Driver | null) => ({ id: 'x', driver }) as unknown as Operation;
const byC = drivenBy({ node: 'c', incarnation: '000001' });
const startMs = 10_000;

let nowMs: number;
let nodes: Record<'a' | 'b', { membership: Membership; orphans: Orphans }>;

beforeEach(() => {
  nowMs = startMs;
  const knowing = (self: string) => {
    const membership = newMembership(self, timings, 0);
    for (const id of ['a', 'b', 'c']) heard(membership, nodeInfo(id), startMs);
    tickMembership(membership, startMs);
    return { membership, orphans: new Map() };
  };
  nodes = { a: knowing('a'), b: knowing('b') };
});

const takesOver = (node: 'a' | 'b', operation = byC) =>
  shouldTakeOver(nodes[node].membership, nodes[node].orphans, operation, nowMs);

const goDown = (id: string) => {
  for (const { membership } of Object.values(nodes))
    probed(membership, id, '000001', 'gone', nowMs);
};

describe('an operation', () => {
  test('is left to a driver that is up', () => {
    expect([takesOver('a'), takesOver('b')]).toEqual([false, false]);
  });

  test('of a node that is down is taken by the first node at once, by the next a little later', () => {
    goDown('c');
    expect([takesOver('a'), takesOver('b')]).toEqual([true, false]);
    nowMs += 249;
    expect(takesOver('b')).toBe(false);
    nowMs += 1;
    expect(takesOver('b')).toBe(true);
  });

  test('of a former life of a node is taken while the node is up', () => {
    heard(nodes.a.membership, nodeInfo('c', { incarnation: '000002' }), nowMs);
    expect(takesOver('a')).toBe(true);
  });

  test('that was let go of is taken at once', () => {
    expect(takesOver('a', drivenBy(null))).toBe(true);
  });

  test('is not taken twice in a row, and again after a second', () => {
    goDown('c');
    expect([takesOver('a'), takesOver('a')]).toEqual([true, false]);
    nowMs += 1000;
    expect(takesOver('a')).toBe(true);
  });

  test('is taken by nobody who has lost the broker', () => {
    goDown('c');
    brokerLost(nodes.a.membership);
    expect(takesOver('a')).toBe(false);
  });

  describe('is seen by a node that has only just come', () => {
    let fresh: Membership;
    beforeEach(() => {
      fresh = newMembership('b', timings, 0);
      tickMembership(fresh, nowMs);
      heard(fresh, nodeInfo('b'), nowMs);
    });

    test('as left to a driver that it has not heard of, for as long as that may only hang', () => {
      const orphans = new Map();
      const at = (atMs: number) => shouldTakeOver(fresh, orphans, byC, atMs);
      expect(at(nowMs + timings.hangTimeoutMs - 1)).toBe(false);
      expect(at(nowMs + timings.hangTimeoutMs)).toBe(true);
    });

    test.each([
      ['let go of', null, () => undefined],
      ['of a driver that is down', byC.driver, () => probed(fresh, 'c', '000001', 'gone', nowMs)],
      [
        'of a former life of a driver',
        byC.driver,
        () => heard(fresh, nodeInfo('c', { incarnation: '000002' }), nowMs),
      ],
    ])('and taken at once if it was %s', (_what, driver, happen) => {
      heard(fresh, nodeInfo('c'), nowMs);
      happen();
      // Of two nodes that are up the first by id, or the only one.
      expect(shouldTakeOver(fresh, new Map(), drivenBy(driver), nowMs)).toBe(true);
    });
  });

  test('is not counted from the time when its driver was down before', () => {
    goDown('c');
    expect(takesOver('b')).toBe(false);
    heard(nodes.b.membership, nodeInfo('c'), nowMs);
    nowMs += 1000;
    expect(takesOver('b')).toBe(false);
    goDown('c');
    expect(takesOver('b')).toBe(false);
  });
});
