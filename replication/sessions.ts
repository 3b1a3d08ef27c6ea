/**
 * Exactly once (P4): which commands have been decided, and what was answered.
 *
 * The table is part of the replicated state: it changes only by applying records, so every member
 * that has applied the same records holds the same table, and every snapshot contains it.
 *
 * S1 A number at or above its session's floor is either in a run of the table or was never decided.
 * S2 A number below the floor is never decided again: its client has had the answer.
 * S3 The table is bounded: `limits.sessions`, `limits.sessionWindow` numbers each, `limits.keys`.
 * S4 And in bytes, `limits.answersSizeBytes` and `limits.keysSizeBytes`, whatever the answers hold. At
 *    the bound nothing more is decided for sessions; known answers are given as ever.
 */
import { sizeOfEmptyRun, sizeOfKey, sizeOfRun, sizeOfSession } from './answer-size.js';
import type { AnswerRun } from './batch.js';
import {
  answersIn,
  forgetThrough,
  type KeyedAnswer,
  type KeyPages,
  newKeyPages,
  noteKey,
  type OpenPage,
  packOpenPage,
  unpackOpenPage,
} from './key-pages.js';
import { limits } from './limits.js';
import { forget, noOldest, type Oldest, oldestOf } from './oldest.js';
import type { RecordedRun } from './record.js';
import { defaultLayout, type Layout, type Node } from './state/tree.js';

interface Session {
  readonly id: string;
  floor: number;
  /** Runs with answers, ascending, none entirely below the floor. */
  runs: AnswerRun[];
  /** Recorded time of its last delivery. */
  lastAtMs: number;
  /** Found from the rest: never packed. */
  sizeBytes: number;
}

export interface Sessions {
  /** In the order of their last delivery: the first is the one idle for longest. */
  readonly bySession: Map<string, Session>;
  /** In the order of recording. */
  readonly byKey: Map<string, KeyedAnswer>;
  /** The same as snapshots store it. */
  readonly keyPages: KeyPages;
  /** Of all sessions, and of all keys (S4): found from their contents, never packed. */
  answersSizeBytes: number;
  keysSizeBytes: number;
  /** Found while running, no part of the state. */
  readonly oldestSession: Oldest<Session>;
  readonly oldestKey: Oldest<KeyedAnswer>;
}

export function emptySessions(layout: Layout = defaultLayout, pages?: Node): Sessions {
  return {
    bySession: new Map(),
    byKey: new Map(),
    keyPages: newKeyPages(layout, pages),
    answersSizeBytes: 0,
    keysSizeBytes: 0,
    oldestSession: noOldest(),
    oldestKey: noOldest(),
  };
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

/** What a delivery says about itself. */
export interface Asked {
  readonly session: string;
  readonly floor: number;
  readonly first: number;
  readonly count: number;
}

/** Why a delivery of a session cannot be taken now, or nothing (S2, S3, S4). */
export function refusal(table: Sessions, asked: Asked, nowMs: number): Refusal | undefined {
  const session = table.bySession.get(asked.session);
  const floor = Math.max(session?.floor ?? 1, asked.floor);
  if (asked.first < floor) {
    return {
      code: 'bad-request',
      detail: `number ${asked.first} is below the session's floor ${floor}: it was answered before`,
    };
  }
  const window = asked.first + asked.count - floor;
  if (window > limits.sessionWindow) {
    return {
      code: 'overloaded',
      detail: `${window} numbers are unanswered, a session may have ${limits.sessionWindow}`,
    };
  }
  if (
    session === undefined &&
    table.bySession.size >= limits.sessions &&
    !canForget(table, asked.session, nowMs)
  ) {
    return {
      code: 'overloaded',
      detail: `${limits.sessions} sessions were active within the last hour; none can be forgotten`,
    };
  }
  const full = isFull(table, asked, session);
  if (full === undefined || floorMakesRoom(table, asked) || isDecided(table, asked)) {
    return undefined;
  }
  if (full === 'table' && canForget(table, asked.session, nowMs)) return undefined;
  return { code: 'overloaded', detail: fullDetail(table, session, full) };
}

/** S4: of what another run takes, only that it has no results is known beforehand. */
function isFull(
  table: Sessions,
  asked: Asked,
  session: Session | undefined,
): 'session' | 'table' | undefined {
  const leastSizeBytes = sizeOfEmptyRun + (session ? 0 : sizeOfSession(asked.session));
  if (table.answersSizeBytes + leastSizeBytes > limits.answersSizeBytes) return 'table';
  const ownSizeBytes = (session?.sizeBytes ?? 0) + leastSizeBytes;
  return ownSizeBytes > limits.sessionAnswersSizeBytes ? 'session' : undefined;
}

function fullDetail(
  table: Sessions,
  session: Session | undefined,
  full: 'session' | 'table',
): string {
  return full === 'session'
    ? `the session's answers above its floor take ${session?.sizeBytes} bytes, ` +
        `at most ${limits.sessionAnswersSizeBytes}. Send again with a higher floor.`
    : `the answers of ${table.bySession.size} sessions take ${table.answersSizeBytes} bytes, at most ` +
        `${limits.answersSizeBytes}; no session was idle for an hour. Send again later.`;
}

/** The one that is idle for longest may make room for another. */
function canForget({ bySession, oldestSession }: Sessions, other: string, nowMs: number): boolean {
  const oldest = oldestOf(bySession, oldestSession);
  if (oldest === null || oldest[0] === other) return false;
  return nowMs - oldest[1].lastAtMs >= limits.sessionEvictMs;
}

/**
 * The table is full, and the floor of this delivery frees a part of it. It does so by being recorded,
 * be the rest of the delivery refused or not: otherwise a full table would never become less full.
 */
export function floorMakesRoom(table: Sessions, asked: Asked): boolean {
  const session = table.bySession.get(asked.session);
  const oldest = session?.runs[0];
  if (oldest === undefined || oldest.first + oldest.count > asked.floor) return false;
  return isFull(table, asked, session) !== undefined;
}

/** Every number has its answer: nothing will be added. */
function isDecided(table: Sessions, { session, first, count }: Asked): boolean {
  let number = first;
  while (number < first + count) {
    const run = findAnswer(table, session, number);
    if (run === undefined) return false;
    number = run.first + run.count;
  }
  return true;
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
  const session = table.bySession.get(id) ?? newSession(id);
  forgetSession(table, id);
  session.floor = Math.max(session.floor, floor);
  session.lastAtMs = atMs;
  dropBelowFloor(session);
  if (answer.count > 0) insertRun(session, answer);
  addSession(table, session);
  forgetIdle(table, atMs);
}

function newSession(id: string): Session {
  return { id: ownText(id), floor: 1, runs: [], lastAtMs: 0, sizeBytes: sizeOfSession(id) };
}

/** Read from a record, a text may be a part of a longer one, and would keep all of it in memory. */
function ownText(text: string): string {
  return ` ${text}`.slice(1);
}

function dropBelowFloor(session: Session): void {
  const { runs, floor } = session;
  let dropped = 0;
  for (const run of runs) {
    if (run.first + run.count > floor) break;
    session.sizeBytes -= sizeOfRun(run);
    dropped += 1;
  }
  if (dropped > 0) runs.splice(0, dropped);
}

function insertRun(session: Session, answer: AnswerRun): void {
  const { runs } = session;
  let at = runs.length;
  while (at > 0 && (runs[at - 1] as AnswerRun).first > answer.first) at -= 1;
  runs.splice(at, 0, { ...answer, duplicate: true });
  session.sizeBytes += sizeOfRun(answer);
}

function addSession(table: Sessions, session: Session): void {
  table.bySession.set(session.id, session);
  table.answersSizeBytes += session.sizeBytes;
}

function forgetSession(table: Sessions, id: string): void {
  table.answersSizeBytes -= table.bySession.get(id)?.sizeBytes ?? 0;
  forget(table.bySession, table.oldestSession, id);
}

function forgetIdle(table: Sessions, atMs: number): void {
  const { bySession, oldestSession } = table;
  while (bySession.size > limits.sessionsKept || isOverSize(table)) {
    const [id, session] = oldestOf(bySession, oldestSession) as readonly [string, Session];
    if (!mayForget(table, atMs - session.lastAtMs)) return;
    forgetSession(table, id);
  }
}

function isOverSize({ answersSizeBytes }: Sessions): boolean {
  return answersSizeBytes > limits.answersSizeBytes;
}

/**
 * To make room the latest are not spared by their number, as a few could fill the table for good. A
 * clock that jumps ahead then finds them idle, but the order is that of the deliveries: for a retry to
 * be forgotten, others must have filled the whole table since.
 */
function mayForget(table: Sessions, idleMs: number): boolean {
  const { size } = table.bySession;
  if (size > limits.sessions) return true;
  if (isOverSize(table) && idleMs >= limits.sessionEvictMs) return true;
  return size > limits.sessionsKept && idleMs >= limits.sessionIdleMs;
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
    forgetKey(table, key);
    recordKey(table, ownText(key), {
      ordinal: table.keyPages.next,
      epoch: answer.epoch,
      seq,
      result: typeof result === 'string' ? ownText(result) : result,
      rejection: rejection ? [ownText(rejection[0]), ownText(rejection[1])] : null,
    });
  }
  const { byKey, oldestKey } = table;
  while (byKey.size > limits.keys || table.keysSizeBytes > limits.keysSizeBytes) {
    const [key, { ordinal }] = oldestOf(byKey, oldestKey) as readonly [string, KeyedAnswer];
    forgetKey(table, key);
    forgetThrough(table.keyPages, ordinal);
  }
}

function recordKey(table: Sessions, key: string, answer: KeyedAnswer): void {
  noteKey(table.keyPages, key, answer, addKey(table, key, answer));
}

/** Returns its size. */
function addKey(table: Sessions, key: string, answer: KeyedAnswer): number {
  const sizeBytes = sizeOfAnswer(key, answer);
  table.byKey.set(key, answer);
  table.keysSizeBytes += sizeBytes;
  return sizeBytes;
}

function forgetKey(table: Sessions, key: string): void {
  const answer = table.byKey.get(key);
  if (answer === undefined) return;
  table.keysSizeBytes -= sizeOfAnswer(key, answer);
  forget(table.byKey, table.oldestKey, key);
}

const sizeOfAnswer = (key: string, { result, rejection }: KeyedAnswer): number =>
  sizeOfKey(key, result, rejection);

/** Plain data for a snapshot, and back; pages of keys are stored as a table is. */
export function packSessions(table: Sessions): unknown {
  return [
    [...table.bySession].map(([id, s]) => [id, s.floor, s.lastAtMs, s.runs]),
    packOpenPage(table.keyPages),
  ];
}

export function unpackSessions(packed: unknown, layout?: Layout, pages?: Node): Sessions {
  const [sessions, openPage] = packed as [[string, number, number, AnswerRun[]][], OpenPage];
  const table = emptySessions(layout, pages);
  for (const [id, floor, lastAtMs, runs] of sessions) {
    const session = newSession(id);
    for (const run of runs) session.sizeBytes += sizeOfRun(run);
    addSession(table, { ...session, floor, runs, lastAtMs });
  }
  unpackOpenPage(table.keyPages, openPage, sizeOfAnswer);
  return table;
}

/** Makes an unpacked table know its keys, an answer at each step: there may be as many as `limits.keys`. */
export function* restoreKeys(table: Sessions): Generator<void> {
  for (const [key, answer] of answersIn(table.keyPages)) {
    forgetKey(table, key);
    addKey(table, ownText(key), answer);
    yield;
  }
}
