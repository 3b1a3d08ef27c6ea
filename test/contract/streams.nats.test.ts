import {
  DiscardPolicy,
  type JetStreamManager,
  jetstreamManager,
  type StreamConfig,
} from '@nats-io/jetstream';
import { type NatsConnection, nanos } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { UnderstudyError } from '../../replication/errors.js';
import { connectTo } from '../../src/nats/connect.js';
import { ensureStreams, type StreamsOptions, wantedStreams } from '../../src/nats/streams.js';
import { namesFor } from '../../src/nats/subjects.js';
import { startTestBroker, type TestBroker } from '../support/broker.js';

let broker: TestBroker;
let connections: NatsConnection[];
let manager: JetStreamManager;

beforeAll(async () => {
  broker = await startTestBroker();
  const connect = (i: number) => connectTo({ servers: [broker.url], name: `n${i}` });
  connections = await Promise.all([0, 1, 2].map(connect));
  manager = await jetstreamManager(connections[0] as NatsConnection);
});

afterAll(async () => {
  await Promise.all(connections?.map((connection) => connection.close()) ?? []);
  await broker?.remove();
});

const options = (namespace: string, more: Partial<StreamsOptions> = {}): StreamsOptions => ({
  namespace,
  names: namesFor(namespace),
  shards: 2,
  replicas: 1,
  ...more,
});

const ensure = (wanted: StreamsOptions, node = 0) =>
  ensureStreams(connections[node] as NatsConnection, wanted);

async function refusal(work: Promise<unknown>): Promise<UnderstudyError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(UnderstudyError);
  return error as UnderstudyError;
}

it('is created by three nodes that start at once, and found by the next one', async () => {
  await Promise.all([0, 1, 2].map((node) => ensure(options('fresh'), node)));
  await ensure(options('fresh'));
  const log = (await manager.streams.info('fresh_log_1')).config;
  expect(log).toMatchObject({
    subjects: ['fresh.log.1.*', 'fresh.log.1.hot.*'],
    republish: { src: 'fresh.log.1.hot.*', dest: 'fresh.tail.1.{{wildcard(1)}}' },
    retention: 'limits',
    storage: 'file',
    discard: 'new',
    max_age: 0,
    deny_delete: true,
    deny_purge: false,
    allow_direct: true,
    num_replicas: 1,
  });
  const groups = (await manager.streams.info('KV_fresh_groups')).config;
  expect(groups.max_msgs_per_subject).toBe(1);
  expect(groups.allow_direct ?? false).toBe(false);
});

const differences: [string, number, Partial<StreamConfig>][] = [
  ['max_age', 0, { max_age: nanos(3_600_000) }],
  ['discard', 0, { discard: DiscardPolicy.Old }],
  ['max_msgs_per_subject', 1, { max_msgs_per_subject: 10 }],
  ['deny_delete', 0, { deny_delete: false }],
  ['republish', 1, { republish: { src: '>', dest: 'elsewhere.>' } }],
  ['republish', 1, { republish: undefined } as unknown as Partial<StreamConfig>],
  ['allow_direct', 2, { allow_direct: false }],
  ['subjects', 2, { subjects: ['else.where'] }],
  ['allow_msg_ttl', 0, { allow_msg_ttl: true }],
  ['max_msgs_per_subject', 3, { max_msgs_per_subject: 5 }],
  ['allow_direct', 3, { allow_direct: true }],
];

let different = 0;

it.each(differences)('refuses another %s in stream %i', async (setting, index, change) => {
  const namespace = `diff_${++different}`;
  const wanted = wantedStreams(options(namespace))[index];
  await manager.streams.add({ ...wanted, ...change } as StreamConfig);
  const error = await refusal(ensure(options(namespace)));
  expect(error.code).toBe('invalid-config');
  expect(error.message).toContain(wanted?.name);
  expect(error.message).toMatch(new RegExp(`${setting} is .* but must be `));
});

it('refuses another number of shards and says which exists', async () => {
  await ensure(options('shards'));
  const error = await refusal(ensure(options('shards', { shards: 4 })));
  expect(error.code).toBe('invalid-config');
  expect(error.message).toContain('understudy.shards is "2" but must be "4"');
});

it('refuses subjects that another stream takes', async () => {
  await manager.streams.add({ name: 'greedy', subjects: ['taken.>'] });
  const error = await refusal(ensure(options('taken')));
  expect(error.code).toBe('invalid-config');
  expect(error.message).toContain('Another stream takes these subjects');
});

it('refuses three replicas on a single server', async () => {
  const error = await refusal(ensure(options('alone', { replicas: 3, patienceMs: 500 })));
  expect(error.code).toBe('invalid-config');
  expect(error.message).toContain('Replicas need a broker cluster');
});
