/** What the `Log` port promises to those who follow it live. */
import { expect, it } from 'vitest';
import type { StoredRecord } from '../../replication/ports.js';
import { type AwaitedLog, type Followed, none, positionOf, untilHeard } from './awaited-log.js';
import type { World } from './log-suite.js';

const positions = (records: readonly StoredRecord[]) => records.map(({ position }) => position);

/** Nothing twice, nothing out of order, nothing that is not in the log. */
async function expectFaithful(log: AwaitedLog, { records }: Followed): Promise<void> {
  const last = records.at(-1)?.position ?? none;
  const { records: stored } = await log.replay(none, last);
  const bytesAt = new Map(stored.map(({ position, bytes }) => [position, bytes]));
  const heard = positions(records);
  expect(heard).toEqual([...new Set(heard)].toSorted((a, b) => a - b));
  for (const { position, bytes } of records) {
    expect(Buffer.compare(bytes, bytesAt.get(position) ?? new Uint8Array(0))).toBe(0);
  }
}

export function tails(world: World): void {
  contents(world);
  beginnings(world);
  breaks(world);
}

function contents({ open, newGroup }: World): void {
  it('tells who follows of every record from some moment on, in order and byte for byte', async () => {
    const groupId = newGroup();
    const [log, follower] = [open('a', groupId), open('b', groupId)];
    const [before = none] = await log.chain(['before']);
    const followed = follower.follow();
    const begun = await untilHeard(log, followed, before);
    const large = new Uint8Array(512 * 1024).fill(7);
    const after = await log.chain([...Array.from({ length: 50 }, (_, i) => `${i}`), large], begun);
    const last = after.at(-1) ?? none;
    await followed.until(() => followed.records.at(-1)?.position === last);
    expect(positions(followed.records).slice(-51)).toEqual(after);
    expect(positions(followed.records)).not.toContain(before);
    await expectFaithful(log, followed);
    followed.stop();
  });

  it('tells nobody of a refused record, nor of those of another group', async () => {
    const [log, other] = [open(), open()];
    const followed = log.follow();
    const begun = await untilHeard(log, followed);
    await other.chain(['foreign']);
    await log.append('refused', none);
    const [last = none] = await log.chain(['stored'], begun);
    await followed.until(() => followed.records.at(-1)?.position === last);
    await expectFaithful(log, followed);
    followed.stop();
  });
}

function beginnings({ open, newGroup }: World): void {
  it('tells each follower, and one that stopped never again', async () => {
    const groupId = newGroup();
    const [log, stopped, other] = [open('a', groupId), open('b', groupId), open('b', groupId)];
    const [first, second] = [stopped.follow(), other.follow()];
    let last = await untilHeard(log, first);
    if (second.records.length === 0) last = await untilHeard(log, second, last);
    first.stop();
    const heard = first.records.length;
    const third = stopped.follow();
    last = await untilHeard(log, third, last);
    await second.until(() => second.records.at(-1)?.position === last);
    expect(first.records).toHaveLength(heard);
    second.stop();
    third.stop();
  });

  it('never calls before it has returned, nor after it was stopped at once', async () => {
    const log = open();
    let hasReturned = false;
    const early: StoredRecord[] = [];
    const inFlight = log.append('one', none);
    const stop = log.port.tail((record) => {
      if (!hasReturned) early.push(record);
    });
    log.port.tail((record) => void early.push(record))();
    hasReturned = true;
    const followed = log.follow();
    await untilHeard(log, followed, positionOf(await inFlight));
    expect(early).toEqual([]);
    stop();
    followed.stop();
  });
}

function breaks({ open, newGroup, harness }: World): void {
  it('goes on after the connection was broken; what it missed is found by reading', async () => {
    const groupId = newGroup();
    const [log, follower] = [open('a', groupId), open('b', groupId)];
    const followed = follower.follow();
    let last = await untilHeard(log, followed);
    const broken = harness().disconnect('b');
    const missed = await log.chain(['1', '2', '3', '4', '5'], last);
    await broken;
    last = await untilHeard(log, followed, missed.at(-1));
    const { records, failure } = await follower.replay(none, last);
    expect(failure).toBeNull();
    expect(positions(records)).toEqual(expect.arrayContaining(missed));
    await expectFaithful(log, followed);
    followed.stop();
  });
}
