import { setImmediate as nextTurn } from 'node:timers/promises';
import { beforeEach, expect, test, vi } from 'vitest';
import { type AnswerRun, type Batch, decodeBatch, encodeValue } from '../../replication/batch.js';
import { limits } from '../../replication/limits.js';
import { Budget } from '../../src/client/budget.js';
import type { Answered } from '../../src/client/command-batch.js';
import { pace } from '../../src/client/command-batch.js';
import type { Parcel } from '../../src/client/courier.js';
import { Overloaded, Rejected, Timeout } from '../../src/client/errors.js';
import { Pump } from '../../src/client/pump.js';

interface Sent extends Batch {
  readonly parcel: Parcel<Answered>;
}

let sent: Sent[];
let budget: Budget;
let pump: Pump;

beforeEach(() => {
  sent = [];
  budget = new Budget({ commands: 20_000, sizeBytes: 1024 * 1024 });
  const carry = (parcel: Parcel<Answered>) => {
    const batch = decodeBatch(parcel.payload);
    if ('problem' in batch) throw new Error(batch.problem);
    sent.push({ ...batch, parcel });
  };
  pump = new Pump({ subject: 'deliver.g', carry }, budget);
});

function deliver(value: unknown, options: { key?: string; timeoutMs?: number } = {}) {
  return pump.deliver(encodeValue(value), options.key, options.timeoutMs ?? 30_000);
}

function fill(batches: number): Promise<unknown> {
  const all = Array.from({ length: batches * pace.events }, () => deliver(1));
  return Promise.allSettled(all);
}

const plain = { epoch: 3, eventCounts: null, results: null, rejections: null, duplicate: false };

function answer(batch: Sent | undefined, ...runs: Partial<AnswerRun>[]): void {
  if (!batch) throw new Error('no such batch');
  const { first, count } = batch;
  const whole = { ...plain, first, count, baseSeq: first - 1 };
  const parts = runs.length === 0 ? [whole] : runs.map((run) => ({ ...whole, ...run }));
  batch.parcel.answered({ ok: true, runs: parts });
}

test('what is delivered in one turn travels together, in the order of the calls', async () => {
  const all = [10, 11, 12].map((value) => deliver(value));
  expect(sent).toHaveLength(0);
  await nextTurn();
  expect(sent).toHaveLength(1);
  expect(sent[0]).toMatchObject({ first: 1, count: 3, floor: 1, keys: null });
  expect([...(sent[0]?.blob ?? [])]).toEqual([10, 11, 12]);
  answer(sent[0]);
  expect((await Promise.all(all)).map(({ seq }) => seq)).toEqual([1, 2, 3]);
});

test('results, rejections and commands without events go to the right callers', async () => {
  const all = Promise.allSettled([1, 2, 3, 4].map((value) => deliver(value)));
  await nextTurn();
  answer(
    sent[0],
    {
      count: 3,
      baseSeq: 40,
      eventCounts: [3, 0, 0],
      results: ['a', undefined, 'c'],
      rejections: [[1, 'no-funds', 'has 1, needs 2']],
    },
    { first: 4, count: 1, baseSeq: 9, epoch: 1, duplicate: true },
  );
  const [one, two, three, four] = await all;
  expect(one).toMatchObject({ value: { seq: 43, epoch: 3, result: 'a', duplicate: false } });
  expect(two).toMatchObject({ reason: { code: 'rejected', rejectionCode: 'no-funds' } });
  expect((two as PromiseRejectedResult).reason).toBeInstanceOf(Rejected);
  expect(three).toMatchObject({ value: { seq: 43, result: 'c' } });
  expect(four).toMatchObject({ value: { seq: 10, epoch: 1, duplicate: true } });
});

test('answers that do not cover the batch leave nobody waiting', async () => {
  const all = Promise.allSettled([1, 2].map((value) => deliver(value)));
  await nextTurn();
  answer(sent[0], { count: 1 });
  const [one, two] = await all;
  expect(one).toMatchObject({ value: { seq: 1 } });
  expect(two).toMatchObject({ reason: { code: 'internal', details: { outcome: 'unknown' } } });
});

test('eight batches are in flight, the ninth goes when the first is answered', async () => {
  const all = fill(8);
  const late = deliver('late');
  await nextTurn();
  expect(sent.map(({ count }) => count)).toEqual(new Array(8).fill(1024));
  answer(sent[1]);
  await nextTurn();
  expect(sent).toHaveLength(8);
  answer(sent[0]);
  await nextTurn();
  expect(sent[8]).toMatchObject({ first: 8 * 1024 + 1, count: 1, floor: 2 * 1024 + 1 });
  for (const i of [2, 3, 4, 5, 6, 7, 8]) answer(sent[i]);
  await Promise.all([all, late]);
});

test('the floor is the lowest number without an answer', async () => {
  const all: Promise<unknown>[] = [];
  for (const value of [1, 2, 3]) {
    all.push(deliver(value));
    await nextTurn();
  }
  answer(sent[1]);
  all.push(deliver(4));
  await nextTurn();
  answer(sent[0]);
  answer(sent[2]);
  all.push(deliver(5));
  await nextTurn();
  expect(sent.map(({ first, floor }) => [first, floor])).toEqual([
    [1, 1],
    [2, 1],
    [3, 1],
    [4, 1],
    [5, 4],
  ]);
  answer(sent[3]);
  answer(sent[4]);
  await Promise.all(all);
});

test('a batch stays within its pace, a single command may be larger', async () => {
  const half = 'x'.repeat(pace.sizeBytes / 2 - 100);
  const large = 'x'.repeat(limits.eventSizeBytes - 100);
  const all = [half, half, half, large].map((value) => deliver(value));
  await nextTurn();
  expect(sent.map(({ count }) => count)).toEqual([2, 1, 1]);
  for (const batch of sent) answer(batch);
  await Promise.all(all);
});

test('keys travel beside their commands', async () => {
  const all = [deliver(1), deliver(2, { key: 'k2' }), deliver(3)];
  await nextTurn();
  expect(sent[0]?.keys).toEqual([null, 'k2', null]);
  answer(sent[0]);
  await Promise.all(all);
});

test('beyond the limit of what waits it is overloaded at once, and not for ever', async () => {
  const all = Array.from({ length: 20_000 }, () => deliver(1));
  expect(() => deliver(1)).toThrow(Overloaded);
  await nextTurn();
  for (let i = 0; i < sent.length; i++) {
    answer(sent[i]);
    await nextTurn();
  }
  await Promise.all(all);
  await budget.idle();
  const after = deliver(1);
  await nextTurn();
  answer(sent.at(-1));
  expect(await after).toMatchObject({ seq: 20_001 });
});

test('who gives up before its command is sent leaves no gap in the numbers', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  try {
    const first = fill(8);
    await nextTurn();
    const kept = [deliver('kept', { key: 'a' })];
    const left = deliver('left', { timeoutMs: 50, key: 'b' });
    kept.push(deliver('kept too', { key: 'c' }));
    vi.advanceTimersByTime(50);
    await expect(left).rejects.toMatchObject({ code: 'timeout', outcome: 'not-taken' });
    answer(sent[0]);
    await nextTurn();
    const expected = Buffer.concat([encodeValue('kept'), encodeValue('kept too')]);
    expect(sent[8]).toMatchObject({ first: 8 * 1024 + 1, count: 2, keys: ['a', 'c'] });
    expect(Buffer.from(sent[8]?.blob ?? [])).toEqual(expected);
    for (const batch of sent.slice(1)) answer(batch);
    expect((await Promise.all(kept)).map(({ seq }) => seq)).toEqual([8193, 8194]);
    await Promise.all([first, budget.idle()]);
  } finally {
    vi.useRealTimers();
  }
});

test('who gives up after its command was sent does not take the others along', async () => {
  const hasty = deliver('hasty', { timeoutMs: 10 });
  const patient = deliver('patient', { timeoutMs: 10_000 });
  await nextTurn();
  const { parcel } = sent[0] as Sent;
  const late = new Timeout('late', 'unknown');
  expect(parcel.expire(parcel.expiresAtMs, late)).toBe(parcel.abandonedAtMs);
  await expect(hasty).rejects.toBe(late);
  answer(sent[0]);
  expect(await patient).toMatchObject({ seq: 2 });
});
