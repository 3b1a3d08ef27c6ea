/** One record of every type, with every field in use; what the fixtures hold as bytes. */
import { encodeValue, joinCommands } from '../../../replication/batch.js';
import { epoch, position, seq } from '../../../replication/ids.js';
import type { Body, LogRecord } from '../../../replication/record.js';
import { applyEvent, blankReplica, type Replica } from '../../../replication/replica.js';
import { recordRun } from '../../../replication/sessions.js';
import { add, hash, lister } from './support.js';

export const bodies: { readonly [Type in Body['type']]: Extract<Body, { type: Type }> } = {
  events: {
    type: 'events',
    kindVersion: 3,
    runs: [
      {
        session: 'a-session',
        floor: 2,
        first: 4,
        count: 3,
        keys: [null, 'a key', null],
        eventCounts: [2, 0, 1],
        results: [{ balance: 5 }, null, 'ok'],
        rejections: [[1, 'insufficient-funds', 'a holds 1, 2 is needed']],
      },
      {
        session: null,
        floor: 1,
        first: 1,
        count: 1,
        keys: null,
        eventCounts: null,
        results: null,
        rejections: null,
      },
    ],
    blob: joinCommands([add(1), add(2), add(3), add(4)].map((each) => encodeValue(each))),
  },
  claim: {
    type: 'claim',
    cause: 'disconnect',
    startedAtMs: 1_700_000_000_000,
    detectMs: 4,
    decideMs: 0.5,
    operation: 'failover-1',
  },
  snapshot: {
    type: 'snapshot',
    id: '2-7-40',
    at: seq(40),
    position: position(90),
    manifest: Uint8Array.of(1, 2, 3),
    manifestSizeBytes: 300,
    coreSizeBytes: 70_000,
    sizeBytes: 600_000,
    digest: Uint8Array.of(7, 8, 9),
    mark: 6,
    cutter: 2,
  },
  barrier: {
    type: 'barrier',
    opened: { claimMs: 1, replayMs: 2, openMs: 0, replayed: 3, unavailableMs: 9.25 },
    mark: { cutter: 2 },
  },
  handoff: { type: 'handoff', target: 2 },
};

export const types = Object.keys(bodies) as Body['type'][];

export function sample(body: Body): LogRecord {
  const { type } = body;
  return {
    epoch: epoch(2),
    number: 8,
    writer: { index: 1, node: 'n1', incarnation: '000000000042' },
    previous: Uint8Array.from({ length: 32 }, (_, i) => i),
    recordedAtMs: 1_700_000_000_123,
    baseSeq: seq(41),
    seq: seq(type === 'events' ? 45 : 41),
    snapshotPosition: position(91),
    snapshotSeq: seq(40),
    body,
    signature: type === 'claim' || type === 'snapshot' ? Uint8Array.of(5, 5, 5) : null,
  };
}

/** A replica with something in each of its parts. */
export function sampleReplica(): Replica {
  const replica = blankReplica(lister, hash);
  applyEvent(replica, { item: { deep: [1, 'two', null] } }, 1, 0);
  applyEvent(replica, { item: 'second' }, 2, 0);
  const run = bodies.events.runs[0] as (typeof bodies.events.runs)[number];
  recordRun(replica.sessions, run, { ...run, epoch: 2, baseSeq: 0, duplicate: false }, 1000);
  replica.history.push({
    epoch: 2,
    node: 'n1',
    index: 1,
    cause: 'disconnect',
    startedAtMs: 5,
    fromSeq: 0,
    detectMs: 1,
    decideMs: 2,
    operation: null,
    opened: bodies.barrier.opened,
  });
  replica.tip = {
    epoch: epoch(2),
    number: 7,
    writer: { index: 1, node: 'n1', incarnation: '000000000042' },
    seq: seq(2),
    hash: Uint8Array.of(9, 9, 9, 9, 9, 9, 9, 9),
    position: position(90),
    recordedAtMs: 1000,
    snapshotPosition: position(0),
    snapshotSeq: seq(0),
    handedOff: false,
  };
  return replica;
}
