import { expect, test } from 'vitest';
import type { GroupDetail, MemberDocument } from '../../../cluster/documents.js';
import type { Kind } from '../../../replication/kind.js';
import { checkShown, checkStanding, type Shown } from '../../../src/chaos/check/members.js';
import { counter } from '../../../src/kinds/counter.js';

const log = {
  decided: [1, 2].map((by) => ({
    ...{ id: `k${by}`, seq: by, epoch: 1, recordedAtMs: 0 },
    ...{ events: [{ by }], result: undefined, rejection: null },
  })),
  ...{ epochs: [{ epoch: 1, fromSeq: 0 }], records: 3, strangers: [], seq: 2 },
};

const answer = (member: number, total = 3, seq = 2): Shown => ({
  ...{ name: 'get', args: undefined },
  answer: { value: { total, count: 2 }, seq, epoch: 1, member },
});

const check = (all: readonly Shown[]) =>
  checkShown(counter as Kind, log, 'g', all).map(({ detail }) => detail);

test('members that hold what the log gives are right', () => {
  expect(check([answer(0), answer(1), answer(2)])).toEqual([]);
});

test('a member that shows something else is named, with both', () => {
  expect(check([answer(0), answer(1, 4), answer(2)])).toEqual([
    'member 1 answers get with {"total":4,"count":2} of seq 2; the log gives ' +
      '{"total":3,"count":2} at seq 2',
  ]);
});

test('a member that stands elsewhere is named', () => {
  expect(check([answer(0), answer(1), answer(2, 3, 1)])).toEqual([
    expect.stringMatching(/member 2 answers .* of seq 1; .* at seq 2/),
  ]);
});

test('a member that nobody got an answer from is missed', () => {
  expect(check([answer(0), answer(2)])).toEqual(['2 of 3 answered get']);
});

const member: MemberDocument = {
  ...{ index: 0, nodeId: 'n', publicKey: '', role: 'standby', healthy: true, syncedThrough: 2 },
  ...{ lastSync: null, state: 'standby', lag: 0, diverged: 0, sync: null, error: null },
};

const standing = (more: Partial<MemberDocument>, quarantined = false) =>
  checkStanding({
    ...{ name: 'g', quarantined, members: [{ ...member, ...more }] },
  } as unknown as GroupDetail).map((one) => `${one.check}: ${one.detail}`);

test('a group whose members all stand is right', () => {
  expect(standing({})).toEqual([]);
});

test.each<[string, string[]]>([
  ['quarantined', standing({ state: 'quarantined', error: 'why' })],
  ['found to differ', standing({ diverged: 1 })],
  ['not healthy', standing({ healthy: false, state: 'restoring' })],
  ['lacks 3 events', standing({ lag: 3 })],
  ['the group is quarantined', standing({}, true)],
])('%s', (what, details) => {
  expect(details).toEqual([expect.stringContaining(what)]);
});
