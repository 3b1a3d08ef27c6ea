/** The streams and buckets of a namespace: created by whichever node comes first, verified by all. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from '@nats-io/jetstream';
import { type NatsConnection, nanos } from 'nats';
import { UnderstudyError } from '../../replication/errors.js';
import type { Names } from './subjects.js';

export interface StreamsOptions {
  readonly namespace: string;
  readonly names: Names;
  /** Streams the groups' logs are spread over; can never change. */
  readonly shards: number;
  readonly replicas: 1 | 3;
  /** How long the broker may take to become able to hold streams. Default 15 s. */
  readonly patienceMs?: number | undefined;
}

/** Raised when records or chunks are laid out so that an older program cannot read them. */
export const storeFormat = 3;

const defaultPatienceMs = 15_000;
const retryMs = 100;

type Wanted = Partial<StreamConfig> & Pick<StreamConfig, 'name' | 'subjects' | 'num_replicas'>;

/**
 * Creates what is missing and verifies what exists. Any number of nodes may do it at once.
 * Throws `invalid-config` for whatever needs an operator, `broker-unavailable` if the broker is not
 * able to hold the streams in time.
 */
export async function ensureStreams(
  connection: NatsConnection,
  options: StreamsOptions,
): Promise<void> {
  const manager = await jetstreamManager(connection, { checkAPI: false });
  const deadlineMs = performance.now() + (options.patienceMs ?? defaultPatienceMs);
  await Promise.all(wantedStreams(options).map((wanted) => ensure(manager, wanted, deadlineMs)));
}

export function wantedStreams({ namespace, names, shards, replicas }: StreamsOptions): Wanted[] {
  const common = {
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: DiscardPolicy.New,
    max_age: 0,
    num_replicas: replicas,
    metadata: {
      'understudy.namespace': namespace,
      'understudy.format': String(storeFormat),
      'understudy.shards': String(shards),
    },
  };
  const log = (shard: number): Wanted => ({
    ...common,
    name: names.logStream(shard),
    subjects: [names.log(shard, '*', 'warm'), names.log(shard, '*', 'hot')],
    republish: { src: names.log(shard, '*', 'hot'), dest: names.tail(shard, '{{wildcard(1)}}') },
    max_msgs_per_subject: -1,
    allow_direct: true,
    allow_rollup_hdrs: false,
    deny_delete: true,
    deny_purge: false,
    // Appends carry no message ids: the window only costs memory.
    duplicate_window: nanos(1000),
  });
  const snapshots: Wanted = {
    ...common,
    name: names.snapshotStream,
    subjects: [names.allChunks, names.allPins],
    // A chunk or pin that is stored again replaces itself, and moves to the end of the stream's order.
    max_msgs_per_subject: 1,
    allow_direct: true,
    allow_rollup_hdrs: false,
    deny_delete: false,
    deny_purge: false,
    duplicate_window: nanos(1000),
  };
  /** Without direct gets a read goes through the leader and sees the reader's own writes. */
  const bucket = (name: string): Wanted => ({
    ...common,
    name: `KV_${name}`,
    subjects: [`$KV.${name}.>`],
    max_msgs_per_subject: 1,
    allow_direct: false,
    allow_rollup_hdrs: true,
    deny_delete: true,
    deny_purge: false,
  });
  return [
    ...Array.from({ length: shards }, (_, shard) => log(shard)),
    snapshots,
    bucket(names.groupsBucket),
    bucket(names.operationsBucket),
  ];
}

async function ensure(
  manager: JetStreamManager,
  wanted: Wanted,
  deadlineMs: number,
): Promise<void> {
  for (;;) {
    try {
      const found = await find(manager, wanted.name);
      return verify(wanted, found ?? (await manager.streams.add(wanted)).config);
    } catch (error) {
      if (error instanceof UnderstudyError) throw error;
      const advice = finalErrors.get(codeOf(error));
      if (advice !== undefined) throw invalid(wanted, (error as Error).message, advice, error);
      if (performance.now() >= deadlineMs) throw unable(wanted, error);
    }
    await delay(retryMs);
  }
}

async function find(manager: JetStreamManager, name: string): Promise<StreamConfig | undefined> {
  try {
    return (await manager.streams.info(name)).config;
  } catch (error) {
    if (codeOf(error) === JetStreamApiCodes.StreamNotFound) return undefined;
    throw error;
  }
}

/**
 * Errors of the API that waiting does not cure, with what to do. All others may pass: the cluster
 * is still forming, or another node has just created the stream and the next look will find it.
 */
const finalErrors: ReadonlyMap<number, string> = new Map([
  [10039, 'Enable JetStream for the account of this user.'],
  [10052, 'The broker rejects the configuration: check that its version is at least 2.11.'],
  [10065, 'Another stream takes these subjects: delete it, or choose another namespace.'],
  [10074, 'Replicas need a broker cluster: start one, or set replicas to 1.'],
]);

function codeOf(error: unknown): number {
  return error instanceof JetStreamApiError ? error.code : 0;
}

function invalid(
  { name, subjects, num_replicas: replicas }: Wanted,
  reason: string,
  advice: string,
  cause?: unknown,
): UnderstudyError {
  return new UnderstudyError(
    'invalid-config',
    `Stream ${name} (subjects ${subjects.join(', ')}, replicas ${replicas}): ${reason}. ${advice}`,
    { stream: name },
    cause,
  );
}

function unable({ name, num_replicas: replicas }: Wanted, cause: unknown): UnderstudyError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new UnderstudyError(
    'broker-unavailable',
    `The broker cannot hold stream ${name} with ${replicas} replica(s) (${reason}). ` +
      'Check that JetStream is enabled, that enough servers of the cluster are up and have space.',
    { stream: name },
    cause,
  );
}

/** Anything but these would lose, hide or rewrite what is stored. */
const neverSet = [
  'mirror',
  'sources',
  'subject_transform',
  'allow_msg_ttl',
  'persist_mode',
] as const;
/** Creation's business only: a different value does no harm. */
const notVerified: ReadonlySet<string> = new Set(['name', 'duplicate_window', 'metadata']);

interface Mismatch {
  readonly setting: string;
  readonly actual: string;
  readonly needed: string;
}

/** Throws `invalid-config` with every setting that differs. */
export function verify(wanted: Wanted, actual: Partial<StreamConfig>): void {
  const compare = (setting: string, needed: unknown, found: unknown): Mismatch[] => {
    const [a, b] = [shown(found), shown(needed)];
    return a === b ? [] : [{ setting, actual: a, needed: b }];
  };
  const settings = Object.keys(wanted).filter((name) => !notVerified.has(name)) as (keyof Wanted)[];
  const mismatches = [
    ...settings.flatMap((name) => compare(name, wanted[name], actual[name])),
    ...neverSet.flatMap((name) => compare(name, undefined, actual[name])),
    ...Object.entries(wanted.metadata ?? {}).flatMap(([key, value]) =>
      compare(key, value, actual.metadata?.[key]),
    ),
  ];
  if (mismatches.length === 0) return;
  const differences = mismatches.map(
    ({ setting, actual, needed }) => `${setting} is ${actual} but must be ${needed}`,
  );
  const advice = [...new Set(mismatches.map(({ setting }) => adviceFor(setting)))];
  throw invalid(wanted, differences.join('; '), advice.join(' '));
}

/** What a broker leaves out when it is at its default shows as `not set`. */
function shown(value: unknown): string {
  const isDefault = value === undefined || value === null || value === false || value === 'default';
  if (isDefault) return 'not set';
  return Array.isArray(value) && value.length === 0 ? 'not set' : JSON.stringify(value);
}

function adviceFor(setting: string): string {
  if (setting === 'num_replicas') {
    return "Set this node's replicas to what exists, or edit the stream's replicas.";
  }
  if (setting === 'understudy.shards') {
    return 'Start this node with the number of shards that exists: it can never change.';
  }
  if (setting === 'understudy.format') {
    return 'The store was written by another version: run a version that reads this format.';
  }
  return 'Edit the stream, or choose another namespace if it is not meant for Understudy.';
}
