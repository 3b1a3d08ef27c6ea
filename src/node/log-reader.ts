/** Reads of the log for people: pages of events, states of the past, history. Never on the hot path. */
import { eachValue } from '../../replication/batch.js';
import { UnderstudyError } from '../../replication/errors.js';
import type { Ports } from '../../replication/execute.js';
import { type Position, position } from '../../replication/ids.js';
import type { Kind } from '../../replication/kind.js';
import type { Log, ReadOutcome, StoredRecord } from '../../replication/ports.js';
import { decodeRecord, isRecord, type LogRecord } from '../../replication/record.js';
import {
  applyEvent,
  applyRecord,
  blankReplica,
  misfit,
  type Replica,
} from '../../replication/replica.js';
import type { Judge } from '../../replication/signature.js';
import type { EventEntry, EventPage, ReadRequest } from '../admin/backend.js';
import { laterOf, nothingSeen, parseToken, type Seen } from '../client/token.js';
import { sha256 } from '../sha256.js';
import { restoreSnapshot } from './snapshot-reader.js';

type Read = (done: (outcome: ReadOutcome) => void) => void;

/** Throws `broker-unavailable`. */
function reading(read: Read): Promise<StoredRecord | null> {
  return new Promise((resolve, reject) => {
    read((outcome) => {
      if (outcome.kind === 'record') resolve(outcome.record);
      else if (outcome.kind === 'none') resolve(null);
      else
        reject(
          new UnderstudyError('broker-unavailable', `the log cannot be read: ${outcome.reason}`),
        );
    });
  });
}

/** Hands over records until `each` returns false. */
function replaying(
  log: Log,
  after: Position,
  through: Position,
  each: (record: LogRecord, stored: StoredRecord) => boolean,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let ended = false;
    const stop = log.replay(after, through, {
      records: (batch) => {
        for (const stored of batch) {
          if (ended) return;
          const record = decodeRecord(stored.bytes);
          if (isRecord(record) && !each(record, stored)) {
            ended = true;
            stop();
            resolve();
          }
        }
      },
      end: (failure) => {
        if (failure === null) resolve();
        else if (!ended) reject(new UnderstudyError('broker-unavailable', failure));
      },
    });
  });
}

async function lastRecord(log: Log): Promise<{ record: LogRecord; at: Position } | null> {
  const stored = await reading((done) => log.last(done));
  if (stored === null) return null;
  const record = decodeRecord(stored.bytes);
  return isRecord(record) ? { record, at: stored.position } : null;
}

/** A position after which the record with event `from` is the first or soon follows. */
async function positionBefore(log: Log, from: number, end: Position): Promise<Position> {
  let low = 0;
  let high: number = end;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    const stored = await reading((done) => log.next(position(middle), done));
    const record = stored === null ? null : decodeRecord(stored.bytes);
    const before = stored !== null && record !== null && isRecord(record) && record.seq < from;
    if (before) low = stored.position;
    else high = middle;
  }
  return position(low);
}

/** Up to `limit` events with from <= seq <= to. */
export async function readEvents(
  log: Log,
  { from, to, limit }: { from: number; to: number | null; limit: number },
): Promise<EventPage> {
  const last = await lastRecord(log);
  const end = Math.min(to ?? Number.POSITIVE_INFINITY, last?.record.seq ?? 0);
  const events: EventEntry[] = [];
  if (last === null || from > end) return { events, next: null };
  const after = await positionBefore(log, from, last.at);
  await replaying(log, after, last.at, (record) => {
    collect(record, from, end, limit, events);
    return events.length < limit && record.seq < end;
  });
  const reached = events.at(-1)?.seq ?? end;
  return { events, next: reached < end ? reached + 1 : null };
}

function collect(
  record: LogRecord,
  from: number,
  to: number,
  limit: number,
  events: EventEntry[],
): void {
  if (record.body.type !== 'events' || record.seq < from) return;
  const at = new Date(record.recordedAtMs).toISOString();
  let seq: number = record.baseSeq;
  eachValue(record.body.blob, (event) => {
    seq += 1;
    if (seq < from || seq > to || events.length >= limit) return;
    events.push({ seq, epoch: record.epoch, at, event });
  });
}

/** A group's log, and what it takes to understand it. */
export interface GroupLog {
  readonly ports: Ports;
  readonly kind: Kind;
  readonly judge: Judge;
}

/**
 * A replica as of seq `until`, or of the log's end if null, built from snapshot and log. Throws
 * `not-ready` if the log holds less than what somebody has seen of it, `bad-request` if less than
 * `until`.
 */
export async function foldUntil(
  { ports, kind, judge }: GroupLog,
  until: number | null,
  seen: Seen = nothingSeen,
): Promise<Replica> {
  const last = await lastRecord(ports.log);
  requireSeen(last?.record ?? nothingSeen, seen);
  if (last === null) return blankReplica(kind, sha256);
  const end = until ?? last.record.seq;
  if (end > last.record.seq) {
    throw new UnderstudyError(
      'bad-request',
      `seq ${end} is not there yet; the log ends at ${last.record.seq}`,
    );
  }
  const replica = await nearestReplica(ports, kind, last.record, end);
  await replaying(ports.log, replica.tip.position, last.at, (record, stored) => {
    if (misfit(replica.tip, record, judge) !== undefined) return true;
    if (record.seq > end) {
      applyPart(replica, record, end);
      return false;
    }
    applyRecord(replica, record, stored.bytes, stored.position);
    return true;
  });
  return replica;
}

function requireSeen(end: Seen, seen: Seen): void {
  if (end.seq >= seen.seq && end.epoch >= seen.epoch) return;
  throw new UnderstudyError(
    'not-ready',
    `the log ends at seq ${end.seq} of epoch ${end.epoch}, before seq ${seen.seq} of epoch ` +
      `${seen.epoch}, which somebody has seen; is it another log?`,
  );
}

async function nearestReplica(
  ports: Ports,
  kind: Kind,
  last: LogRecord,
  end: number,
): Promise<Replica> {
  const blank = blankReplica(kind, sha256);
  if (last.snapshotPosition === 0 || last.snapshotSeq > end) return blank;
  const stored = await reading((done) => ports.log.at(last.snapshotPosition, done));
  const record = stored === null ? null : decodeRecord(stored.bytes);
  if (record === null || !isRecord(record) || record.body.type !== 'snapshot') return blank;
  return (await restoreSnapshot(ports, kind, record.body)) ?? blank;
}

/** The record that `end` falls into: only its first events count. */
function applyPart(replica: Replica, record: LogRecord, end: number): void {
  if (record.body.type !== 'events') return;
  let seq: number = record.baseSeq;
  eachValue(record.body.blob, (event) => {
    seq += 1;
    if (seq <= end) applyEvent(replica, event, seq, record.recordedAtMs);
  });
}

/** How far the log must be for a state of the past to be shown. */
export function leastOf({ minSeq = 0, after }: ReadRequest): Seen {
  const seen = after === undefined ? nothingSeen : parseToken(after);
  return laterOf(seen, { epoch: 0, seq: minSeq });
}
