/** The broker as anybody reaches it who has its address: past every node. */
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from 'nats';
import { namesFor, shardOf } from '../../nats/subjects.js';
import { shards } from '../cluster/cluster.js';
import type { Stage } from '../stage.js';
import { until } from '../until.js';

export const names = namesFor('understudy');

export async function withBroker<Result>(
  stage: Stage,
  work: (connection: NatsConnection) => Promise<Result>,
): Promise<Result> {
  const connection = await connect({ servers: stage.cluster.clientUrls, timeout: 2000 });
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}

export interface LogOf {
  readonly groupId: string;
  readonly stream: string;
  readonly subject: string;
}

export async function logOf(stage: Stage, group: string): Promise<LogOf> {
  const { groupId, standby } = await stage.group(group);
  const shard = shardOf(groupId, shards);
  return {
    groupId,
    stream: names.logStream(shard),
    subject: names.log(shard, groupId, standby),
  };
}

export interface Stored {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** The last of the subject, or the first of it behind a position, when the brokers can tell. */
export async function stored(
  connection: NatsConnection,
  { stream, subject }: Pick<LogOf, 'stream' | 'subject'>,
  after?: number,
): Promise<Stored> {
  const manager = await jetstreamManager(connection, { checkAPI: false });
  const query =
    after === undefined ? { last_by_subj: subject } : { seq: after + 1, next_by_subj: subject };
  const { seq, data } = await until(`something is stored on ${subject}`, () =>
    manager.streams.getMessage(stream, query),
  );
  return { position: seq, bytes: data };
}

/** Where it was stored. Throws what the broker refuses it with. */
export async function publish(
  connection: NatsConnection,
  subject: string,
  bytes: Uint8Array,
  expected?: number,
): Promise<number> {
  const options = expected === undefined ? {} : { expect: { lastSubjectSequence: expected } };
  const { seq } = await jetstream(connection).publish(subject, bytes, options);
  return seq;
}
