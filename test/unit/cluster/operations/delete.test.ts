/** Deleting a group: in which order, and what a late driver can destroy. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { GroupDocument } from '../../../../cluster/documents.js';
import { type DeleteData, requestDelete } from '../../../../cluster/operations/delete.js';
import { UnderstudyError } from '../../../../replication/errors.js';
import { TestDriver } from '../../../support/operation-driver.js';
import { driverOf, OperationWorld } from '../../../support/operation-world.js';

let world: OperationWorld;
let asked: { verb: string; data: DeleteData }[];

beforeEach(() => {
  world = new OperationWorld();
  asked = [];
  const { call } = world;
  world.call = (one, answer) => {
    asked.push({ verb: one.verb, data: one.request as DeleteData });
    call.call(world, one, answer);
  };
});

const begin = () => {
  const request = requestDelete(world.see().group as GroupDocument, 'ops');
  world.start(request, driverOf('d'));
  return new TestDriver(world, request.id, driverOf('d'));
};

const verbs = () => asked.map(({ verb }) => verb);

test('the entry goes first, the id last, and what was stored in between', () => {
  const driver = begin();
  driver.run();
  expect(driver.ended).toMatchObject({ state: 'done', target: 'g' });
  const order = ['id-revision', 'remove-group', 'still-hosting', 'log-ends', 'purge', 'release-id'];
  expect(verbs()).toEqual(order);
  expect([world.group, world.logSize, world.idTaken]).toEqual([null, 0, false]);
});

test('what is purged ends where the log ended, and only the id of this life is given free', () => {
  begin().run();
  const last = (verb: string) => asked.find((one) => one.verb === verb)?.data;
  expect(last('purge')?.below).toEqual({ log: 6, snapshots: 6 });
  expect(last('release-id')?.idRevision).toBe(7);
});

describe('a node that still hosts a member', () => {
  const hosting = (untilMs: number) => {
    const { call } = world;
    world.call = (one, answer) => {
      const still = one.verb === 'still-hosting' && world.nowMs < 1_000_000 + untilMs;
      if (still) answer({ kind: 'answered', value: { nodes: ['b'] } });
      else call.call(world, one, answer);
    };
  };

  test('is waited for before anything is purged', () => {
    hosting(2000);
    begin().run();
    expect(world.nowMs).toBeGreaterThanOrEqual(1_002_000);
    expect(world.logSize).toBe(0);
  });

  test('is not waited for for ever', () => {
    hosting(3_600_000);
    const driver = begin();
    driver.run();
    expect(driver.ended?.steps.map(({ detail }) => detail)).toContain('b did not answer');
    expect(world.nowMs - 1_000_000).toBeLessThan(6000);
  });
});

test('an entry that changed just then is removed all the same', () => {
  const { call } = world;
  let races = 3;
  world.call = (one, answer) => {
    const lost = one.verb === 'remove-group' && races-- > 0;
    if (lost) answer({ kind: 'answered', value: { gone: false } });
    else call.call(world, one, answer);
  };
  const driver = begin();
  driver.run();
  expect(driver.ended?.state).toBe('done');
  expect(world.group).toBeNull();
});

test('it never gives up, as nobody could ask for it again', () => {
  const { call } = world;
  world.call = (one, answer) => {
    if (one.verb === 'purge' && world.nowMs < 1_400_000) {
      throw new UnderstudyError('broker-unavailable', 'no leader');
    }
    call.call(world, one, answer);
  };
  const driver = begin();
  driver.run();
  expect(driver.ended?.state).toBe('done');
  expect(driver.parks.filter((detail) => detail === 'no leader').length).toBeGreaterThan(20);
});
