/** A log whose calls can be awaited, and what becomes visible of it in a test. */
import { expect } from 'vitest';
import { type Position, position } from '../../replication/ids.js';
import type {
  AppendOutcome,
  Log,
  Proof,
  ReadOutcome,
  StoredRecord,
  TailedRecord,
} from '../../replication/ports.js';
import type { ClientName, Harness } from './harness.js';

export const none = position(0);
export const bytes = (text: string) => new TextEncoder().encode(text);
export const text = (record: StoredRecord) => new TextDecoder().decode(record.bytes);

export interface AwaitedLog {
  append(record: Uint8Array | string, expected: Position): Promise<AppendOutcome>;
  /** Appends one after the other, each on the one before; fails unless every one is stored. */
  chain(records: Iterable<Uint8Array | string>, expected?: Position): Promise<Position[]>;
  /** `text@position`, or the kind of outcome if there is no record. */
  last(): Promise<string>;
  next(after: Position): Promise<string>;
  at(at: Position): Promise<string>;
  prove(at: Position): Promise<string>;
  replay(after: Position, through: Position): Promise<Replayed>;
  follow(): Followed;
  readonly port: Log;
  readonly groupId: string;
}

export interface Replayed {
  readonly records: readonly StoredRecord[];
  readonly failure: string | null;
}

/** What has arrived live so far. */
export interface Followed {
  readonly records: readonly TailedRecord[];
  /** Returns when this holds, of which only arrivals can be the cause. */
  until(holds: () => boolean): Promise<void>;
  stop(): void;
}

const shown = (outcome: ReadOutcome) =>
  outcome.kind === 'record'
    ? `${text(outcome.record)}@${outcome.record.position}`
    : `${outcome.kind}`;

export function awaited(harness: Harness, client: ClientName, groupId: string): AwaitedLog {
  const port = harness.log(client, groupId);
  const append: AwaitedLog['append'] = (record, expected) => {
    const payload = typeof record === 'string' ? bytes(record) : record;
    return harness.wait(new Promise((done) => port.append(payload, expected, done)));
  };
  const read = (start: (done: (outcome: ReadOutcome) => void) => void) =>
    harness.wait(new Promise(start)).then(shown);
  return {
    port,
    groupId,
    append,
    async chain(records, expected = none) {
      const positions: Position[] = [];
      for (const record of records) {
        const outcome = await append(record, positions.at(-1) ?? expected);
        positions.push(positionOf(outcome));
      }
      return positions;
    },
    last: () => read((done) => port.last(done)),
    next: (after) => read((done) => port.next(after, done)),
    at: (at) => read((done) => port.at(at, done)),
    prove: (at) =>
      harness
        .wait(new Promise<Proof>((done) => port.prove(at, done)))
        .then((proof) => (proof.kind === 'record' ? shown(proof) : proof.kind)),
    replay: (after, through) => harness.wait(replayed(port, after, through)),
    follow: () => followed(harness, port),
  };
}

export function positionOf(outcome: AppendOutcome | undefined): Position {
  if (outcome?.kind !== 'stored') throw new Error(`append: ${JSON.stringify(outcome)}`);
  return outcome.position;
}

export function replayed(port: Log, after: Position, through: Position): Promise<Replayed> {
  return new Promise((done) => {
    const records: StoredRecord[] = [];
    port.replay(after, through, {
      records: (batch) => void records.push(...batch),
      end: (failure) => done({ records, failure }),
    });
  });
}

function followed(harness: Harness, port: Log): Followed {
  const records: TailedRecord[] = [];
  let onRecord = () => {};
  const stop = port.tail((record) => {
    records.push(record);
    onRecord();
  });
  const until = (holds: () => boolean) =>
    harness.wait(
      new Promise<void>((done) => {
        onRecord = () => holds() && done();
        onRecord();
      }),
    );
  return { records, stop, until };
}

const tries = 5000;

/** Appends until the follower has heard one more; returns where the log ends then. */
export async function untilHeard(
  log: AwaitedLog,
  { records }: Followed,
  expected = none,
): Promise<Position> {
  const before = records.length;
  let last = expected;
  for (let left = tries; left > 0; left--) {
    last = await appendWhenBack(log, `${left} left`, last);
    if (records.length > before) return last;
  }
  throw new Error(`nothing arrived while ${tries} records were stored`);
}

/**
 * The broker may take connections before it serves the stream. `wasSent`: the same record was
 * sent before with the same expectation, and what became of it is not known.
 */
export async function appendWhenBack(
  log: AwaitedLog,
  record: string,
  last: Position,
  wasSent = false,
): Promise<Position> {
  let mayBeStored = wasSent;
  for (let left = tries; left > 0; left--) {
    const outcome = await log.append(record, last);
    if (outcome.kind === 'stored') return outcome.position;
    if (outcome.kind === 'wrong-last' && mayBeStored) {
      const found = await lastWhenBack(log);
      expect(found).toContain(`${record}@`);
      return position(Number(found.slice(record.length + 1)));
    }
    mayBeStored ||= outcome.kind === 'unknown';
    const isLater = ['not-stored', 'unknown', 'busy'].includes(outcome.kind);
    if (!isLater) positionOf(outcome);
  }
  throw new Error(`the stream did not come back in ${tries} tries`);
}

export async function lastWhenBack(log: AwaitedLog): Promise<string> {
  for (let left = tries; left > 0; left--) {
    const last = await log.last();
    if (last !== 'failed') return last;
  }
  throw new Error(`the stream did not come back in ${tries} tries`);
}
