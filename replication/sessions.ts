/**
 * Exactly once (P4): which commands have been decided, and what was answered.
 *
 * The table is part of the replicated state: it changes only by applying records, so every member
 * that has applied the same records holds the same table, and every snapshot contains it.
 *
 * S1 A number at or above its session's floor is either in a run of the table or was never decided.
 * S2 A number below the floor is never decided again: its client has had the answer.
 * S3 The table is bounded: `limits.sessions`, `limits.sessionWindow` numbers each, `limits.keys`.
 */
import type { AnswerRun } from './batch.js';
import { limits } from './limits.js';
import { forget, noOldest, type Oldest, oldestOf } from './oldest.js';
import type { RecordedRun } from './record.js';

interface Session {
  floor: number;
  /** Runs with answers, ascending, none entirely below the floor. */
  runs: AnswerRun[];
  /** Recorded time of its last delivery. */
  lastAtMs: number;
}

interface KeyedAnswer {
  readonly epoch: number;
  readonly seq: number;
  readonly result: unknown;
  readonly rejection: readonly [code: string, detail: string] | null;
}

export interface Sessions {
  /** In the order of their last delivery: the first is the one idle for longest. */
  readonly bySession: Map<string, Session>;
  /** In the order of recording. */
  readonly byKey: Map<string, KeyedAnswer>;
  /** Found while running, no part of the state. */
  readonly oldestSession: Oldest<Session>;
  readonly oldestKey: Oldest<KeyedAnswer>;
}

export function emptySessions(): Sessions {
  return tableOf(new Map(), new Map());
}

function tableOf(bySession: Map<string, Session>, byKey: Map<string, KeyedAnswer>): Sessions {
  return { bySession, byKey, oldestSession: noOldest(), oldestKey: noOldest() };
}

/** The run that holds this number's answer. */
export function findAnswer(
  table: Sessions,
  session: string,
  number: number,
): AnswerRun | undefined {
  const runs = table.bySession.get(session)?.runs;
  if (runs === undefined) return undefined;
  for (let i = runs.length - 1; i >= 0; i--) {
    const run = runs[i] as AnswerRun;
    if (number >= run.first + run.count) return undefined;
    if (number >= run.first) return run;
  }
  return undefined;
}

/** True if no number from `first` on has been decided in this session: the usual case. */
export function allNew(table: Sessions, session: string, first: number): boolean {
  const runs = table.bySession.get(session)?.runs;
  const last = runs?.[runs.length - 1];
  return last === undefined || last.first + last.count <= first;
}

/** The answer recorded under an idempotency key, as a run of one for command `number`. */
export function findKeyed(table: Sessions, key: string, number: number): AnswerRun | undefined {
  const found = table.byKey.get(key);
  if (found === undefined) return undefined;
  return {
    first: number,
    count: 1,
    epoch: found.epoch,
    baseSeq: found.seq,
    eventCounts: [0],
    results: found.result === undefined || found.result === null ? null : [found.result],
    rejections: found.rejection ? [[0, found.rejection[0], found.rejection[1]]] : null,
    duplicate: true,
  };
}

export interface Refusal {
  readonly code: 'bad-request' | 'overloaded';
  readonly detail: string;
}

/** Why a delivery of a session cannot be taken now, or nothing (S2, S3). */
export function refusal(
  table: Sessions,
  batch: { session: string; floor: number; first: number; count: number },
  nowMs: number,
): Refusal | undefined {
  const session = table.bySession.get(batch.session);
  const floor = Math.max(session?.floor ?? 1, batch.floor);
  if (batch.first < floor) {
    return {
      code: 'bad-request',
      detail: `number ${batch.first} is below the session's floor ${floor}: it was answered before`,
    };
  }
  const window = batch.first + batch.count - floor;
  if (window > limits.sessionWindow) {
    return {
      code: 'overloaded',
      detail: `${window} numbers are unanswered, a session may have ${limits.sessionWindow}`,
    };
  }
  if (session === undefined && table.bySession.size >= limits.sessions) {
    const [, oldest] = oldestOf(table.bySession, table.oldestSession) ?? [];
    if (oldest !== undefined && nowMs - oldest.lastAtMs < limits.sessionEvictMs) {
      return {
        code: 'overloaded',
        detail: `${limits.sessions} sessions were active within the last hour; none can be forgotten`,
      };
    }
  }
  return undefined;
}

/** Puts a decided run into the table. Called when a record is applied, nowhere else. */
export function recordRun(
  table: Sessions,
  run: RecordedRun,
  answer: AnswerRun,
  atMs: number,
): void {
  if (run.session !== null) recordInSession(table, run.session, run.floor, answer, atMs);
  if (run.keys !== null) recordKeys(table, run.keys, answer);
}

function recordInSession(
  table: Sessions,
  id: string,
  floor: number,
  answer: AnswerRun,
  atMs: number,
): void {
  const session = table.bySession.get(id) ?? { floor: 1, runs: [], lastAtMs: atMs };
  session.floor = Math.max(session.floor, floor);
  session.runs = session.runs.filter((run) => run.first + run.count > session.floor);
  insertRun(session.runs, answer);
  session.lastAtMs = atMs;
  forget(table.bySession, table.oldestSession, id);
  table.bySession.set(id, session);
  forgetIdle(table, atMs);
}

function insertRun(runs: AnswerRun[], answer: AnswerRun): void {
  let at = runs.length;
  while (at > 0 && (runs[at - 1] as AnswerRun).first > answer.first) at -= 1;
  runs.splice(at, 0, { ...answer, duplicate: true });
}

function forgetIdle(table: Sessions, atMs: number): void {
  const { bySession, oldestSession } = table;
  while (bySession.size > limits.sessionsKept) {
    const [id, session] = oldestOf(bySession, oldestSession) as readonly [string, Session];
    const isIdle = atMs - session.lastAtMs >= limits.sessionIdleMs;
    if (!isIdle && bySession.size <= limits.sessions) return;
    forget(bySession, oldestSession, id);
  }
}

function recordKeys(table: Sessions, keys: readonly (string | null)[], answer: AnswerRun): void {
  const rejected = new Map(answer.rejections?.map(([at, code, detail]) => [at, [code, detail]]));
  let seq = answer.baseSeq;
  for (let i = 0; i < answer.count; i++) {
    const rejection = rejected.get(i) as [string, string] | undefined;
    if (rejection === undefined) seq += answer.eventCounts ? (answer.eventCounts[i] ?? 0) : 1;
    const key = keys[i];
    if (typeof key !== 'string') continue;
    const result = answer.results?.[i];
    table.byKey.set(key, { epoch: answer.epoch, seq, result, rejection: rejection ?? null });
  }
  while (table.byKey.size > limits.keys) {
    const [key] = oldestOf(table.byKey, table.oldestKey) as readonly [string, KeyedAnswer];
    forget(table.byKey, table.oldestKey, key);
  }
}

/** Plain data for a snapshot, and back. */
export function packSessions(table: Sessions): unknown {
  return [
    [...table.bySession].map(([id, s]) => [id, s.floor, s.lastAtMs, s.runs]),
    [...table.byKey].map(([key, a]) => [key, a.epoch, a.seq, a.result, a.rejection]),
  ];
}

export function unpackSessions(packed: unknown): Sessions {
  const [sessions, keys] = packed as [
    [string, number, number, AnswerRun[]][],
    [string, number, number, unknown, [string, string] | null][],
  ];
  return tableOf(
    new Map(sessions.map(([id, floor, lastAtMs, runs]) => [id, { floor, lastAtMs, runs }])),
    new Map(
      keys.map(([key, epoch, seq, result, rejection]) => [key, { epoch, seq, result, rejection }]),
    ),
  );
}
