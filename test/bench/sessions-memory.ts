/**
 * npm run bench:sessions
 *
 * What the table of sessions and keys takes of the heap, against what a member reckons that it takes.
 * Each table is filled by applying records that were encoded and decoded, as on every member.
 */
import { encodeValue, joinCommands } from '../../replication/batch.js';
import { epoch, position, seq } from '../../replication/ids.js';
import type { Kind } from '../../replication/kind.js';
import { limits } from '../../replication/limits.js';
import {
  decodeRecord,
  encodeRecord,
  isRecord,
  type RecordedRun,
} from '../../replication/record.js';
import { applyRecord, blankReplica, emptyTip, type Replica } from '../../replication/replica.js';

const kind: Kind = { name: 'nothing', version: 1, init: () => 0, apply: () => undefined };
const print = (line: string) => process.stdout.write(`${line}\n`);
const hex = (i: number) => i.toString(16).padStart(32, '0');
const uuid = (i: number) => `8c9e6b1a-0d3f-4c57-9a2e-${i.toString(16).padStart(12, '0')}`;

function run(fields: Partial<RecordedRun>): RecordedRun {
  return {
    session: null,
    floor: 1,
    first: 1,
    count: 1,
    keys: null,
    eventCounts: null,
    results: null,
    rejections: null,
    ...fields,
  };
}

/** One record as a member gets it from the log. */
function apply(replica: Replica, runs: readonly RecordedRun[], recordedAtMs: number): void {
  const count = runs.reduce((sum, each) => sum + each.count, 0);
  const event = encodeValue(1);
  const blob = joinCommands(Array.from({ length: count }, () => event));
  const { tip } = replica;
  const bytes = encodeRecord({
    epoch: epoch(1),
    number: tip.number + 1,
    writer: { index: 0, node: 'n0', incarnation: '1' },
    previous: tip.hash,
    recordedAtMs,
    baseSeq: tip.seq,
    seq: seq(tip.seq + count),
    snapshotPosition: emptyTip.snapshotPosition,
    snapshotSeq: emptyTip.snapshotSeq,
    body: { type: 'events', kindVersion: 1, runs, blob },
    signature: null,
  });
  const record = decodeRecord(bytes);
  if (!isRecord(record)) throw new Error(record.problem);
  applyRecord(replica, record, bytes, position(tip.position + 1));
}

interface Fill {
  readonly name: string;
  /** Records at most; fewer if the table is full before. */
  readonly steps: number;
  readonly runs: (step: number) => RecordedRun[];
}

const many = 1024;
const session = (i: number, fields: Partial<RecordedRun>) => [
  run({ session: hex(i), count: many, ...fields }),
];

const fills: readonly Fill[] = [
  {
    name: 'session, one answer',
    steps: 3 * limits.sessions,
    runs: (i) => [run({ session: hex(i) })],
  },
  {
    name: 'session, one answer, in a record with others',
    steps: (3 * limits.sessions) / 16,
    runs: (i) =>
      Array.from({ length: 16 }, (_, k) => run({ session: hex(16 * i + k), results: [i] })),
  },
  {
    name: 'session, one answer with a small object',
    steps: 3 * limits.sessions,
    runs: (i) => [run({ session: hex(i), results: [{ balance: i }] })],
  },
  {
    name: 'session, 1024 answers without results',
    steps: 3 * limits.sessions,
    runs: (i) => session(i, {}),
  },
  {
    name: 'session, 1024 small numbers',
    steps: limits.sessions,
    runs: (i) => session(i, { results: filled((k) => i + k) }),
  },
  {
    name: 'session, 1024 large numbers',
    steps: limits.sessions,
    runs: (i) => session(i, { results: filled((k) => 0.5 + i + k) }),
  },
  {
    name: 'session, 1024 small objects',
    steps: limits.sessions,
    runs: (i) => session(i, { results: filled((k) => ({ balance: i + k })) }),
  },
  {
    name: 'session, 1024 texts of 20 characters',
    steps: limits.sessions,
    runs: (i) => session(i, { results: filled((k) => `${i} and ${k}`.padEnd(20, '-')) }),
  },
  {
    name: 'session, 1024 rejections',
    steps: limits.sessions,
    runs: (i) =>
      session(i, {
        rejections: filled((k) => [k, 'insufficient-funds', `${i} holds ${k}, 7 is needed`]),
        eventCounts: filled(() => 0),
      }),
  },
  {
    name: 'key of 36 characters',
    steps: 3 * limits.keys,
    runs: (i) => [run({ keys: [uuid(i)] })],
  },
  {
    name: 'key of 36 characters, 1024 in a record, a small number',
    steps: (3 * limits.keys) / many,
    runs: (i) => [
      run({ count: many, keys: filled((k) => uuid(many * i + k)), results: filled((k) => k) }),
    ],
  },
  {
    name: 'key of 256 characters, a small object',
    steps: 3 * limits.keys,
    runs: (i) => [run({ keys: [uuid(i).padStart(256, '-')], results: [{ balance: i }] })],
  },
];

function filled<Value>(value: (i: number) => Value): Value[] {
  return Array.from({ length: many }, (_, i) => value(i));
}

function heapSizeBytes(): number {
  if (globalThis.gc === undefined) throw new Error('run it with node --expose-gc');
  for (let i = 0; i < 3; i++) globalThis.gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const mib = (sizeBytes: number) => `${(sizeBytes / 1024 / 1024).toFixed(1)} MiB`;

function measure({ name, steps, runs }: Fill): void {
  const replica = blankReplica(kind, () => new Uint8Array(32));
  const beforeBytes = heapSizeBytes();
  for (let i = 0; i < steps && !isFull(replica); i++) apply(replica, runs(i), i);
  const inUseBytes = heapSizeBytes() - beforeBytes;
  const { sessions } = replica;
  const count = sessions.bySession.size + sessions.byKey.size;
  const reckonedBytes = sessions.answersSizeBytes + sessions.keysSizeBytes;
  print(
    `| ${name} | ${Math.round(reckonedBytes / count)} | ${Math.round(inUseBytes / count)} | ` +
      `${count}: ${mib(reckonedBytes)} | ${mib(inUseBytes)} |`,
  );
}

function isFull({ sessions: { answersSizeBytes } }: Replica): boolean {
  return answersSizeBytes >= limits.answersSizeBytes;
}

print('| what | bytes each, reckoned | in use | together, reckoned | in use |');
print('|---|---|---|---|---|');
for (const fill of fills) measure(fill);
