/** What a member is asked when it is to begin anew, and when that counts as done. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { GroupDetail, OperationDocument } from '../../../cluster/documents.js';
import { UnderstudyError } from '../../../replication/errors.js';
import { type ActionContext, reinit } from '../../../src/node/actions.js';
import type { OperationRequest, Step } from '../../../src/node/operations.js';

const createdAt = '2026-01-02T03:04:05.678Z';
const members = [
  { index: 0, nodeId: 'a', state: 'active', error: null },
  { index: 1, nodeId: 'b', state: 'standby', error: null },
  { index: 2, nodeId: 'c', state: 'unreachable', error: null },
  { index: 3, nodeId: 'd', state: 'unreachable', error: 'node d does not have kind k' },
  { index: 4, nodeId: 'e', state: 'quarantined', error: 'poison' },
];

/** Replies to `inspect`, in order; an error is thrown. */
let inspections: (object | Error)[];
let refusal: string | null;
let calls: string[];
let steps: string[];
let requests: OperationRequest[];
let outcome: Promise<string>;

beforeEach(() => {
  inspections = [{ state: 'standby', lastSyncMs: 1, syncedThrough: 7, error: null }];
  refusal = null;
  calls = [];
  steps = [];
  requests = [];
});

const rpc = {
  call(node: string, verb: string) {
    calls.push(`${verb} ${node}`);
    if (verb === 'reinit') return Promise.resolve({ failure: refusal });
    const next = inspections.shift();
    return next instanceof Error ? Promise.reject(next) : Promise.resolve({ report: next });
  },
};

const operations = {
  start(request: OperationRequest, run: (step: Step) => Promise<string>) {
    requests.push(request);
    outcome = run((name) => Promise.resolve(void steps.push(name)));
    outcome.catch(() => undefined);
    return Promise.resolve({ id: request.id } as OperationDocument);
  },
};

const context = {
  runtime: { rpc },
  operations,
  group: () =>
    Promise.resolve({ name: 'g', createdAt, activeIndex: 0, members } as unknown as GroupDetail),
} as unknown as ActionContext;

const begin = (index: number) => reinit(context, 'g', index, { by: 'ops' });

describe('what is refused changes nothing', () => {
  test.each([
    ['the active', 0, 'conflict', /active of g, on a; switch over first/],
    ['nobody', 5, 'member-not-found', /its members are 0 to 4/],
    ['one whose node is down', 2, 'not-ready', /node c of member 2 is down/],
    ['one whose node lacks the kind', 3, 'not-ready', /does not have kind k/],
  ])('%s', async (_who, index, code, detail) => {
    await expect(begin(index)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(detail),
    });
    expect(requests).toEqual([]);
    expect(calls).toEqual([]);
  });
});

test.each([1, 4])('member %i forgets, syncs, and is done', async (index) => {
  const operation = await begin(index);
  expect(operation.id).toBe(`reinit.g.${Date.parse(createdAt).toString(36)}.${index}`);
  const request = { kind: 'reinit', target: `g/${index}`, by: 'ops', repeatable: true };
  expect(requests).toMatchObject([request]);
  expect(await outcome).toBe('synced through 7');
  expect(steps).toEqual(['forgetting', 'syncing']);
  const node = index === 1 ? 'b' : 'e';
  expect(calls).toEqual([`reinit ${node}`, `inspect ${node}`]);
});

test('it is not done before the member holds a state, and a lost answer is no state', async () => {
  const still = { state: 'starting', lastSyncMs: null, syncedThrough: 0, error: null };
  const lost = new UnderstudyError('timeout', 'no answer');
  inspections = [still, { ...still, state: 'standby' }, lost, ...inspections];
  await begin(1);
  expect(await outcome).toBe('synced through 7');
  expect(calls).toHaveLength(5);
});

test('a member that ends in quarantine again fails it with the reason', async () => {
  inspections = [{ state: 'quarantined', lastSyncMs: null, syncedThrough: 0, error: 'poison' }];
  await begin(4);
  await expect(outcome).rejects.toMatchObject({
    code: 'quarantined',
    message: 'quarantined again: poison',
  });
});

test('a member that has become the active meanwhile refuses, and keeps its state', async () => {
  refusal = 'member 1 is the active';
  await begin(1);
  await expect(outcome).rejects.toMatchObject({ code: 'conflict', message: refusal });
  expect(calls).toEqual(['reinit b']);
});
