import { describe, expect, it } from 'vitest';
import { encodeValue } from '../../../replication/batch.js';
import { position, seq } from '../../../replication/ids.js';
import {
  decodeRecord,
  encodeRecord,
  isRecord,
  type LogRecord,
} from '../../../replication/record.js';
import type { Replica } from '../../../replication/replica.js';
import { HotGroup } from './hot-group.js';
import { causeOf, itemsOf, type Rig, type Store } from './support.js';

/** Hands the follower an event that nobody stored, as the next of the log. */
function forge(rig: Rig, store: Store): void {
  const { tip } = rig.member.replica as Replica;
  const last = store.decoded().at(-1) as LogRecord;
  const record: LogRecord = {
    ...last,
    number: tip.number + 1,
    previous: tip.hash,
    baseSeq: tip.seq,
    seq: seq(tip.seq + 1),
    body: { type: 'events', kindVersion: 1, runs: [], blob: encodeValue({ item: 'forged' }) },
    signature: null,
  };
  const bytes = encodeRecord(record);
  expect(isRecord(decodeRecord(bytes))).toBe(true);
  const call = rig.member.follow?.call as number;
  const place = { position: position(store.end + 1), previous: store.end };
  rig.feed({ kind: 'tailed', call, record: { ...place, bytes } });
}

function deceived(): { group: HotGroup; rig: Rig; store: Store } {
  const group = new HotGroup(2).add('a');
  const rig = group.follower(1);
  forge(rig, group.store);
  expect(itemsOf(rig)).toEqual(['a', 'forged']);
  return { group, rig, store: group.store };
}

describe('a forged record on the tail', () => {
  it('is found out when the log goes on without it, and everything is read again', () => {
    const { group, rig } = deceived();
    for (const item of ['b', 'c', 'd', 'e', 'f']) group.add(item);
    expect(itemsOf(rig)).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    expect(rig.alarms().join()).toMatch(/begins anew/);
  });

  it('is nothing that a candidate would serve', () => {
    const { group, rig } = deceived();
    group.add('b');
    rig.pending = [];
    rig.feed({ kind: 'promote', ...causeOf(1) }).settle();
    expect(rig.state).toBe('active');
    expect(itemsOf(rig)).toEqual(['a', 'b']);
  });

  it('is nothing that a candidate would serve when nothing was stored since', () => {
    const { rig } = deceived();
    rig.feed({ kind: 'promote', ...causeOf(1) }).settle();
    expect(rig.state).toBe('active');
    expect(itemsOf(rig)).toEqual(['a']);
  });
});
