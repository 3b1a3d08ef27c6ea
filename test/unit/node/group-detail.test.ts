/** One group's document: put together from what its members say now, as far as they answer. */
import { beforeEach, expect, test } from 'vitest';
import { type Coordinator, newCoordinator, stepNode } from '../../../cluster/coordinator.js';
import type { AlarmDocument } from '../../../cluster/documents.js';
import { defaultTimings, type GroupConfig, type NodeInfo } from '../../../cluster/types.js';
import type { MemberReport } from '../../../replication/effects.js';
import { epoch, seq } from '../../../replication/ids.js';
import { BadRequest } from '../../../src/client/errors.js';
import { namesFor } from '../../../src/nats/subjects.js';
import { NodeBackend } from '../../../src/node/backend.js';
import type { Inspection } from '../../../src/node/verbs.js';

const now = { monoMs: 0, wallMs: 0 };
const writer = { index: 0, node: 'a', incarnation: '1' };

const info = (id: string): NodeInfo => ({
  id,
  incarnation: '1',
  zone: null,
  adminUrl: null,
  pid: 1,
  kinds: ['counter'],
  draining: false,
});

const report = (index: number, at: number, parts: Partial<MemberReport> = {}): MemberReport => ({
  group: 'g',
  index,
  state: index === 0 ? 'active' : 'standby',
  epoch: epoch(1),
  syncedThrough: seq(at),
  lastSyncMs: 1,
  seq: seq(at),
  writer,
  fromSeq: seq(0),
  hot: true,
  snapshotSeq: seq(0),
  diverged: 0,
  sync: null,
  error: null,
  era: 0,
  known: null,
  loss: null,
  ...parts,
});

const config: GroupConfig = {
  name: 'g',
  kind: 'counter',
  groupId: 'ab'.repeat(16),
  seed: 'cd'.repeat(32),
  standby: 'hot',
  sync: { everyEvents: 1, everyMs: 1 },
  members: ['a', 'b', 'c'].map((node) => ({ node, publicKey: '' })),
  createdAtMs: 0,
};

let coordinator: Coordinator;
/** What each node answers; without one it does not. */
let answers: Map<string, Inspection>;
let asked: string[];
/** As the node's own: closed, it takes nothing, and says that the caller is wrong. */
const client = {
  close: () => Promise.resolve(),
  group: () => {
    throw new BadRequest('this client has been closed');
  },
};

beforeEach(() => {
  coordinator = newCoordinator(info('a'), defaultTimings, now);
  stepNode(coordinator, { kind: 'group', config, revision: 1 }, now);
  for (const [index, id] of ['a', 'b', 'c'].entries()) {
    const beat = { info: info(id), reports: [report(index, 3)] };
    stepNode(coordinator, { kind: 'beat', beat }, now);
  }
  stepNode(coordinator, { kind: 'own-report', report: report(0, 3) }, now);
  answers = new Map();
  asked = [];
});

function backend(): NodeBackend {
  const rpc = {
    call: (node: string, verb: string) => {
      asked.push(`${verb} ${node}`);
      const answer = answers.get(node);
      return answer === undefined ? Promise.reject(new Error('silent')) : Promise.resolve(answer);
    },
  };
  const runtime = { coordinator, rpc, options: { names: namesFor('understudy'), info: info('a') } };
  return new NodeBackend(runtime as never, null as never, client as never);
}

const alarm = (index: number, at: string): AlarmDocument => ({
  at,
  index,
  nodeId: 'abc'[index] ?? '',
  code: 'conflict',
  detail: 'foreign record',
});

test('every member is asked, so that no seq is a beat old', async () => {
  for (const [index, node] of ['a', 'b', 'c'].entries()) {
    answers.set(node, { report: report(index, 9), alarms: [] });
  }
  const group = await backend().group('g');
  expect(asked.sort()).toEqual(['inspect a', 'inspect b', 'inspect c']);
  expect(group.members.map(({ syncedThrough }) => syncedThrough)).toEqual([9, 9, 9]);
  expect(group).toMatchObject({ seq: 9, bufferedEventCount: 0, standby: 'hot', alarms: [] });
});

test('of a member that does not answer its last word stands', async () => {
  answers.set('a', { report: report(0, 9), alarms: [] });
  const group = await backend().group('g');
  expect(group.members.map(({ syncedThrough, lag }) => [syncedThrough, lag])).toEqual([
    [9, 0],
    [3, 6],
    [3, 6],
  ]);
});

test('what a node says of another member than asked for is not taken for it', async () => {
  answers.set('b', { report: report(2, 9), alarms: [alarm(2, '1')] });
  const group = await backend().group('g');
  expect(group.members.map(({ syncedThrough }) => syncedThrough)).toEqual([3, 3, 3]);
  expect(group.alarms).toEqual([]);
});

test('alarms of all members are one list, newest first', async () => {
  answers.set('a', { report: report(0, 3), alarms: [alarm(0, '4'), alarm(0, '1')] });
  answers.set('b', { report: report(1, 3), alarms: [alarm(1, '3')] });
  const { alarms } = await backend().group('g');
  expect(alarms.map(({ at, nodeId }) => [at, nodeId])).toEqual([
    ['4', 'a'],
    ['3', 'b'],
    ['1', 'a'],
  ]);
});

test('members show how often they diverged, and a quarantined one its way out', async () => {
  const error = 'apply threw at seq 4';
  const broken = report(2, 0, { state: 'quarantined', lastSyncMs: null, diverged: 2, error });
  answers.set('c', { report: broken, alarms: [] });
  const { members } = await backend().group('g');
  expect(members.map(({ diverged }) => diverged)).toEqual([0, 0, 2]);
  expect(members[2]?.error).toBe(`${error}; once the cause is gone: understudy reinit g 2`);
});

test('a member shows what it fetches, how fast, and how long it will take', async () => {
  const sync = {
    generation: 'g/1/3',
    work: {} as never,
    doneSizeBytes: 100,
    knownSizeBytes: 1000,
    fromSizeBytes: { cache: 10, store: 20, peers: 70 },
    corrupt: 2,
    sinceMs: 0,
    bytesPerSecond: 399.6,
  };
  const still = { ...sync, bytesPerSecond: 0.4 };
  answers.set('b', { report: report(1, 0, { state: 'restoring', sync }), alarms: [] });
  answers.set('c', { report: report(2, 0, { sync: still }), alarms: [] });
  const { members } = await backend().group('g');
  const shown = {
    doneSizeBytes: 100,
    knownSizeBytes: 1000,
    bytesPerSecond: 400,
    secondsLeft: 3,
    fromCache: 10,
    fromStore: 20,
    fromPeers: 70,
    corrupt: 2,
  };
  expect(members.map((member) => member.sync)).toEqual([
    null,
    shown,
    { ...shown, bytesPerSecond: 0, secondsLeft: null },
  ]);
});

test('who comes to a node that has left is sent to another one, and is not called wrong', async () => {
  const leaving = backend();
  await leaving.leave();
  const refused = { code: 'not-ready', message: 'this node stops; ask another one' };
  await expect(leaving.deliver('g', null as never, 1)).rejects.toMatchObject(refused);
  await expect(leaving.query('g', { name: 'get' })).rejects.toMatchObject(refused);
});
