/** A driver tells anew of a member that fetches, and of no other that stands still. */
import { pino } from 'pino';
import { beforeEach, expect, test } from 'vitest';
import type { MemberConfig } from '../../../replication/effects.js';
import type { Ports } from '../../../replication/execute.js';
import { MemberDriver } from '../../../src/node/member-driver.js';
import type { MemberEvents } from '../../../src/node/member-options.js';
import { pieces, Rig } from '../sync/support.js';

let driver: MemberDriver;

beforeEach(() => {
  const config = { group: 'g', id: { index: 1, node: 'b', incarnation: '1' } } as MemberConfig;
  const events = new Proxy({} as MemberEvents, { get: () => () => undefined });
  driver = new MemberDriver({
    config,
    ports: {} as Ports,
    events,
    logger: pino({ level: 'silent' }),
  });
});

test('what it fetches is told anew each time, also that it has ended', () => {
  const rig = new Rig(pieces('a', 'b')).begin().cold();
  const recovery = { phase: 'fetching', fetch: { sync: rig.sync } };
  Object.assign(driver.member, { role: { state: 'restoring', recovery } });
  expect(driver.report().sync).toMatchObject({ doneSizeBytes: 0 });
  rig.give('store', 'a');
  expect(driver.report().sync).toMatchObject({ doneSizeBytes: 1000 });
  recovery.phase = 'replaying';
  const last = driver.report();
  expect(last.sync).toBeNull();
  expect(driver.report()).toBe(last);
});
