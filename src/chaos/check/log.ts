/** A group's log as it is stored: every record from the first on, read by nobody's help. */
import type { NatsConnection } from 'nats';
import { eachValue } from '../../../replication/batch.js';
import { position } from '../../../replication/ids.js';
import type { Log, StoredRecord } from '../../../replication/ports.js';
import { decodeRecord, isRecord, type LogRecord } from '../../../replication/record.js';
import { emptyTip, misfit, tipOf } from '../../../replication/replica.js';
import type { Judge } from '../../../replication/signature.js';
import { natsLog } from '../../nats/log.js';
import { bulkLimits, controlLimits, Requests } from '../../nats/requests.js';
import { namesFor, shardOf } from '../../nats/subjects.js';
import { sha256 } from '../../sha256.js';
import { shards } from '../cluster/cluster.js';
import type { CommandId } from '../history.js';

/** What was decided about one command. */
export interface Decided {
  /** Null: no client asked for it. */
  readonly id: CommandId | null;
  /** After its events. */
  readonly seq: number;
  readonly epoch: number;
  readonly recordedAtMs: number;
  readonly events: readonly unknown[];
  readonly result: unknown;
  /** Null: it was accepted. */
  readonly rejection: string | null;
}

export interface ReadLog {
  readonly decided: readonly Decided[];
  /** Of the records that belong, in their order. */
  readonly epochs: readonly { readonly epoch: number; readonly fromSeq: number }[];
  readonly records: number;
  /** Records that do not continue the log, which every member passes over. */
  readonly strangers: readonly string[];
  readonly seq: number;
}

export interface LogOptions {
  readonly connection: NatsConnection;
  readonly groupId: string;
  readonly standby: 'warm' | 'hot';
}

/** Throws if it cannot be read to its end. */
export async function readRecords(options: LogOptions): Promise<StoredRecord[]> {
  const { connection, groupId, standby } = options;
  const names = namesFor('understudy');
  const shard = shardOf(groupId, shards);
  const [control, bulk] = [controlLimits, bulkLimits].map(
    (limit) => new Requests(connection, limit),
  );
  const log = natsLog({
    control: control as Requests,
    bulk: bulk as Requests,
    tail: connection,
    stream: names.logStream(shard),
    subject: names.log(shard, groupId, standby),
    tailSubject: names.tail(shard, groupId),
  });
  try {
    return await allOf(log);
  } finally {
    control?.close();
    bulk?.close();
  }
}

async function allOf(log: Log): Promise<StoredRecord[]> {
  const last = await new Promise<StoredRecord>((resolve, reject) => {
    log.last((outcome) => {
      if (outcome.kind === 'record') resolve(outcome.record);
      else reject(new Error(outcome.kind === 'none' ? 'the log is empty' : outcome.reason));
    });
  });
  const all: StoredRecord[] = [];
  await new Promise<void>((resolve, reject) => {
    log.replay(position(0), last.position, {
      records: (records) => all.push(...records),
      end: (failure) => (failure === null ? resolve() : reject(new Error(failure))),
    });
  });
  return all;
}

/** The chain of records (I1, I3), and what they say was decided. */
export function interpret(stored: readonly StoredRecord[], judge: Judge): ReadLog {
  const decided: Decided[] = [];
  const epochs: { epoch: number; fromSeq: number }[] = [];
  const strangers: string[] = [];
  const keys = new Set<string>();
  let tip = emptyTip;
  for (const { bytes, position: at } of stored) {
    const record = decodeRecord(bytes);
    const problem = isRecord(record) ? misfit(tip, record, judge) : 'is no record';
    if (!isRecord(record) || problem !== undefined) {
      strangers.push(`position ${at}: ${problem}`);
      continue;
    }
    tip = tipOf(record, bytes, at, sha256);
    if (record.body.type === 'claim') epochs.push({ epoch: record.epoch, fromSeq: record.seq });
    if (record.body.type === 'events') decided.push(...decidedIn(record, record.body, keys));
  }
  return { decided, epochs, records: stored.length, strangers, seq: tip.seq };
}

type EventsBody = Extract<LogRecord['body'], { type: 'events' }>;

/** `keys`: those of the records before. A command whose key is known already was only answered again. */
function decidedIn(record: LogRecord, body: EventsBody, keys: Set<string>): Decided[] {
  const { epoch, recordedAtMs, baseSeq } = record;
  const events: unknown[] = [];
  eachValue(body.blob, (event) => events.push(event));
  const decided: Decided[] = [];
  let at = 0;
  for (const run of body.runs) {
    const refused = new Map(run.rejections?.map(([offset, code]) => [offset, code]));
    for (let i = 0; i < run.count; i++) {
      const rejection = refused.get(i) ?? null;
      const count = rejection === null ? (run.eventCounts?.[i] ?? 1) : 0;
      const own = events.slice(at, at + count);
      at += count;
      const key = run.keys?.[i] ?? null;
      if (key !== null && count === 0 && keys.has(key)) continue;
      if (key !== null) keys.add(key);
      const numbered = run.session === null ? null : `${run.session}/${run.first + i}`;
      const result = run.results?.[i];
      const seq = baseSeq + at;
      decided.push({
        id: key ?? numbered,
        seq,
        epoch,
        recordedAtMs,
        events: own,
        result,
        rejection,
      });
    }
  }
  return decided;
}
