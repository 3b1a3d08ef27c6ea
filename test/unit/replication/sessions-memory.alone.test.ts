/** What the table of sessions and keys takes after more of them than it may remember. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, vi } from 'vitest';
import { type AnswerRun, decodeValue, encodeValue } from '../../../replication/batch.js';
import { limits } from '../../../replication/limits.js';
import { emptySessions, recordRun, refusal, type Sessions } from '../../../replication/sessions.js';
import { sampleSize } from '../../support/sample.js';
import { restoredSessions } from '../../support/sessions.js';

vi.setConfig({ testTimeout: 120_000 });

/** Of sessions and of keys several times, or nearly twice, what is remembered. */
const many = sampleSize(1_000_000, 400_000);
const idOf = (i: number) => i.toString(16).padStart(32, '0');
const keyOf = (i: number) => `8c9e6b1a-0d3f-4c57-9a2e-${i.toString(16).padStart(12, '0')}`;

interface Answered {
  readonly session?: string;
  readonly keys?: string[];
  readonly results?: unknown[];
  readonly atMs?: number;
}

function record(table: Sessions, { session, keys, results, atMs = 0 }: Answered): void {
  const answer: AnswerRun = {
    first: 1,
    count: results?.length ?? keys?.length ?? 1,
    epoch: 1,
    baseSeq: 0,
    eventCounts: null,
    results: results ?? null,
    rejections: null,
    duplicate: false,
  };
  const run = { ...answer, session: session ?? null, floor: 1, keys: keys ?? null };
  recordRun(table, run, answer, atMs);
}

/** As a client does, session by session: how many were taken, and what the others were told. */
function deliver(table: Sessions, sessions: number, everyMs: number, results: () => unknown[]) {
  const refusals = new Set<string>();
  let taken = 0;
  let most = 0;
  for (let i = 0; i < sessions; i++) {
    const atMs = i * everyMs;
    const refused = refusal(table, { session: idOf(i), floor: 1, first: 1, count: 1 }, atMs);
    if (refused === undefined) {
      record(table, { session: idOf(i), results: results(), atMs });
      taken += 1;
    } else refusals.add(refused.code);
    most = Math.max(most, table.answersSizeBytes);
  }
  return { taken, refusals: [...refusals], most };
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function heapSizeBytes(): number {
  collectGarbage();
  // Buffers that were found to be garbage go with the next one.
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** What is reckoned is what a restored member reckons, and no less than what the heap gives for it. */
function expectHonest(table: Sessions, inUseBytes: number): void {
  const { answersSizeBytes, keysSizeBytes } = table;
  expect(inUseBytes).toBeLessThanOrEqual(answersSizeBytes + keysSizeBytes);
  const again = restoredSessions(table);
  expect(again).toMatchObject({ answersSizeBytes, keysSizeBytes });
  expect([...again.byKey.keys()]).toEqual([...table.byKey.keys()]);
}

describe('sessions without end', () => {
  it('are taken while the oldest may be forgotten, and those remembered fit the limits', () => {
    const before = heapSizeBytes();
    const table = emptySessions();
    const everyMs = Math.ceil(limits.sessionEvictMs / limits.sessions);
    const { taken, most } = deliver(table, many, everyMs, () => [{ balance: 17 }]);
    expect(taken).toBe(many);
    expect(table.bySession.size).toBe(limits.sessions);
    expect(table.bySession.has(idOf(many - 1))).toBe(true);
    expect(most).toBeLessThanOrEqual(limits.answersSizeBytes);
    expectHonest(table, heapSizeBytes() - before);
  });

  it('are refused but for the first 65,536 while none may be forgotten', () => {
    const table = emptySessions();
    const { taken, refusals, most } = deliver(table, many, 1, () => [17]);
    expect(taken).toBe(limits.sessions);
    expect(refusals).toEqual(['overloaded']);
    expect(table.bySession.size).toBe(limits.sessions);
    expect([idOf(0), idOf(limits.sessions - 1)].every((id) => table.bySession.has(id))).toBe(true);
    expect(most).toBeLessThanOrEqual(limits.answersSizeBytes);
  });
});

describe('ids and keys', () => {
  it('keep nothing in memory of the records that they came in', () => {
    const before = heapSizeBytes();
    const table = emptySessions();
    for (let i = 0; i < 4096; i++) {
      const others = Array.from({ length: 1024 }, (_, k) => `the ${i}th answer to ${k}`);
      const texts = [idOf(i), keyOf(i), 'a result of some length', ...others];
      const [session, key, result] = decodeValue(encodeValue(texts)) as [string, string, string];
      record(table, { session });
      record(table, { keys: [key], results: [result] });
    }
    expectHonest(table, heapSizeBytes() - before);
  });
});

describe('sessions with large answers', () => {
  const encoded = encodeValue(
    Array.from({ length: 1024 }, (_, i) => `the answer to ${i}`.padEnd(100, '-')),
  );
  const texts = () => decodeValue(encoded) as unknown[];
  const eachBytes = 1024 * 250;

  it('are taken while the oldest may be forgotten, and those remembered fit the limits', () => {
    const before = heapSizeBytes();
    const table = emptySessions();
    const everyMs = limits.sessionEvictMs / 200;
    const { taken, most } = deliver(table, 1000, everyMs, texts);
    expect(taken).toBe(1000);
    expect(most).toBeLessThanOrEqual(limits.answersSizeBytes);
    expect(table.bySession.size).toBeGreaterThan(limits.answersSizeBytes / eachBytes - 2);
    expectHonest(table, heapSizeBytes() - before);
  });

  it('are refused while none may be forgotten, and the table is over its limit by one at most', () => {
    const table = emptySessions();
    const { taken, refusals, most } = deliver(table, 1000, 1, texts);
    expect(refusals).toEqual(['overloaded']);
    expect(table.bySession.size).toBe(taken);
    expect(most).toBeLessThanOrEqual(limits.answersSizeBytes + eachBytes);
  });
});

describe('keys without end', () => {
  it('are all taken, and those remembered fit the limits', () => {
    const before = heapSizeBytes();
    const table = emptySessions();
    for (let i = 0; i < many; i += 1000) {
      const keys = Array.from({ length: 1000 }, (_, k) => keyOf(i + k));
      record(table, { keys, results: keys.map((_, k) => i + k) });
    }
    expect(table.byKey.size).toBe(limits.keys);
    expect(table.keysSizeBytes).toBeLessThanOrEqual(limits.keysSizeBytes);
    expectHonest(table, heapSizeBytes() - before);
  });

  it('of the longest sort are forgotten by their size', () => {
    const before = heapSizeBytes();
    const table = emptySessions();
    for (let i = 0; i < limits.keys; i++) {
      const key = keyOf(i).padStart(limits.keySizeBytes, '-');
      record(table, { keys: [key], results: [{ balance: i }] });
    }
    expect(table.byKey.size).toBeLessThan(limits.keys);
    expect(table.keysSizeBytes).toBeLessThanOrEqual(limits.keysSizeBytes);
    expect(table.byKey.has(keyOf(limits.keys - 1).padStart(limits.keySizeBytes, '-'))).toBe(true);
    expectHonest(table, heapSizeBytes() - before);
  });
});
