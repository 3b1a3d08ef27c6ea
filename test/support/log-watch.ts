/** Looks into the logs of a cluster from outside: what is sent to them, and what they hold. */
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from 'nats';
import { decodeRecord, isRecord, type LogRecord } from '../../replication/record.js';
import { namesFor, shardOf } from '../../src/nats/subjects.js';

const namespace = 'understudy';

export interface ClaimWatch {
  /** The first claim since the watch began. */
  readonly first: Promise<LogRecord>;
  close(): Promise<void>;
}

/**
 * Calls `strike` the moment a candidate sends a claim, before it is stored: in the middle of a
 * promotion. Once only. Watches when this resolves.
 */
export async function watchClaims(
  servers: string,
  strike: (claim: LogRecord) => void,
): Promise<ClaimWatch> {
  const connection = await connect({ servers, reconnect: true, maxReconnectAttempts: -1 });
  const first = new Promise<LogRecord>((resolve) => {
    const subscription = connection.subscribe(`${namespace}.log.>`, {
      callback: (error, message) => {
        const record = error === null ? decodeRecord(message.data) : { problem: 'no message' };
        if (!isRecord(record) || record.body.type !== 'claim') return;
        subscription.unsubscribe();
        strike(record);
        resolve(record);
      },
    });
  });
  await connection.flush();
  return { first, close: () => connection.close() };
}

/** The newest snapshot record in a hot group's log; null: there is none. */
export async function newestSnapshot(
  servers: string,
  groupId: string,
  shards: number,
): Promise<LogRecord | null> {
  const names = namesFor(namespace);
  const shard = shardOf(groupId, shards);
  const [stream, subject] = [names.logStream(shard), names.log(shard, groupId, 'hot')];
  const connection = await connect({ servers });
  try {
    const manager = await jetstreamManager(connection, { checkAPI: false });
    const read = async (query: { seq: number } | { last_by_subj: string }) => {
      const message = await manager.streams.getMessage(stream, query);
      const record = decodeRecord(message?.data ?? new Uint8Array(0));
      if (!isRecord(record)) throw new Error(record.problem);
      return record;
    };
    const last = await read({ last_by_subj: subject });
    if (last.body.type === 'snapshot') return last;
    return last.snapshotPosition === 0 ? null : await read({ seq: last.snapshotPosition });
  } finally {
    await connection.close();
  }
}
