/** A desk that decides deliveries as an active does, and what other members make of its records. */
import { expect } from 'vitest';
import { type Batch, unpackRun } from '../../../replication/batch.js';
import { type Delivery, newDelivery } from '../../../replication/delivery.js';
import {
  type DecideOutcome,
  type Draft,
  decideInto,
  draftBody,
  newDraft,
} from '../../../replication/draft.js';
import { epoch, seq } from '../../../replication/ids.js';
import type { Kind } from '../../../replication/kind.js';
import { encodeRecord, type LogRecord, type RecordedRun } from '../../../replication/record.js';
import { applyRecord, blankReplica, emptyTip, type Replica } from '../../../replication/replica.js';
import { packSessions, recordRun } from '../../../replication/sessions.js';
import { hash, type ListState, lister } from './support.js';

export const plain = {
  name: 'plain',
  version: 1,
  init: () => ({ items: [] }),
  apply: (state: ListState, event: unknown) => void state.items.push(event),
} satisfies Kind<ListState> as Kind;

/** Decides deliveries into one draft after the other, as the active does. */
export class Desk {
  replica: Replica;
  draft: Draft = newDraft(seq(0), 0);
  readonly bodies: ReturnType<typeof draftBody>[] = [];
  readonly deliveries: Delivery[] = [];

  constructor(readonly kind: Kind = lister as Kind) {
    this.replica = blankReplica(kind, hash);
  }

  decide(batch: Batch, delivery = newDelivery(1, batch)): DecideOutcome {
    this.deliveries.push(delivery);
    let outcome = decideInto(this.draft, this.replica, 1, delivery);
    while (outcome === 'full') {
      this.close();
      outcome = decideInto(this.draft, this.replica, 1, delivery);
    }
    return outcome;
  }

  close(): void {
    if (this.draft.runs.length > 0) this.bodies.push(draftBody(this.draft, this.kind.version));
    this.draft = newDraft(this.draft.seq, 0);
  }

  /** What another member holds that has replayed the same records. */
  replayed(): Replica {
    const replica = blankReplica(this.kind, hash);
    replica.tip = { ...emptyTip, epoch: epoch(1) };
    for (const record of this.records()) {
      const bytes = encodeRecord(record);
      applyRecord(replica, record, bytes, replica.tip.position);
    }
    return replica;
  }

  *records(): Generator<LogRecord> {
    let at = seq(0);
    for (const body of this.bodies) {
      const count = body.runs.reduce(
        (sum, { count, eventCounts, rejections }) =>
          sum + (eventCounts?.reduce((a, b) => a + b, 0) ?? count - (rejections?.length ?? 0)),
        0,
      );
      const base = at;
      at = seq(base + count);
      yield {
        epoch: epoch(1),
        number: 1,
        writer: { index: 0, node: 'n0', incarnation: '1' },
        previous: new Uint8Array(32),
        recordedAtMs: 0,
        baseSeq: base,
        seq: at,
        snapshotPosition: emptyTip.position,
        snapshotSeq: seq(0),
        body,
        signature: null,
      };
    }
  }

  answers(at = -1) {
    return (this.deliveries.at(at)?.runs ?? []).flatMap(unpackRun);
  }
}

export const emptyRun: RecordedRun = {
  session: null,
  floor: 1,
  first: 1,
  count: 0,
  keys: null,
  eventCounts: null,
  results: null,
  rejections: null,
};

/** As if records before had held this answer. */
export function remember(
  desk: Desk,
  session: string,
  first: number,
  results: unknown[] | null = null,
) {
  const run = { first, count: 1, eventCounts: [0], results, rejections: null };
  const recorded = { ...run, session, floor: 1, keys: null };
  const answer = { ...run, epoch: 1, baseSeq: 0, duplicate: false };
  recordRun(desk.replica.sessions, recorded, answer, 0);
}

/** The active's state and table must be those of whoever replays (I5). */
export function expectSame(desk: Desk): void {
  desk.close();
  const replayed = desk.replayed();
  expect(replayed.state).toEqual(desk.replica.state);
  expect(packSessions(replayed.sessions)).toEqual(packSessions(desk.replica.sessions));
}
