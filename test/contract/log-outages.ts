/** What the `Log` port promises when the server that does the work dies. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Position } from '../../replication/ids.js';
import type { AppendOutcome } from '../../replication/ports.js';
import {
  type AwaitedLog,
  appendWhenBack,
  lastWhenBack,
  none,
  text,
  untilHeard,
} from './awaited-log.js';
import type { World } from './log-suite.js';

interface Broken {
  /** What became of the first append that was not acknowledged, and its record. */
  readonly outcome: AppendOutcome;
  readonly record: string;
  readonly acknowledged: readonly Position[];
}

/** Appends one record after the other until one is not acknowledged. */
async function writeUntilBroken(log: AwaitedLog, onStored: (count: number) => void) {
  const acknowledged: Position[] = [];
  for (;;) {
    const record = `record ${acknowledged.length}`;
    const outcome = await log.append(record, acknowledged.at(-1) ?? none);
    if (outcome.kind !== 'stored') return { outcome, record, acknowledged } satisfies Broken;
    acknowledged.push(outcome.position);
    onStored(acknowledged.length);
  }
}

/** More than all waits of a test together: whichever comes to its end first says what it waited for. */
const timeoutMs = 90_000;

export function outages(world: World): void {
  describe('when a server dies', { timeout: timeoutMs }, () => {
    afterEach(() => world.harness().complete());
    leaders(world);
    servers(world);
  });
}

function leaders({ open, newGroup, harness }: World): void {
  it('keeps what it acknowledged and its fence when the leader is killed', async () => {
    const groupId = newGroup();
    const [old, successor] = [open('a', groupId), open('b', groupId)];
    const sent = Array.from({ length: 50 }, (_, i) => String(i));
    const last = (await old.chain(sent)).at(-1) ?? none;
    await harness().kill('log');
    await harness().recover();
    expect(await lastWhenBack(successor)).toBe(`49@${last}`);
    const { records, failure } = await successor.replay(none, last);
    expect([records.map(text), failure]).toEqual([sent, null]);
    const claim = await appendWhenBack(successor, 'claim', last);
    for (const expected of [last, none]) {
      expect(await old.append('of the deposed', expected)).toEqual({ kind: 'wrong-last' });
    }
    await harness().complete();
    expect(await old.last()).toBe(`claim@${claim}`);
    const whole = await old.replay(none, claim);
    expect([whole.records.map(text), whole.failure]).toEqual([[...sent, 'claim'], null]);
    await successor.chain(['on'], claim);
  });

  it('lets an append in flight at the kill be settled by reading and by sending it again', async () => {
    const log = open();
    let onWriting = () => {};
    const writing = new Promise<void>((done) => {
      onWriting = done;
    });
    const broken = writeUntilBroken(log, (count) => count === 20 && onWriting());
    await writing;
    await harness().kill('log');
    const { outcome, record, acknowledged } = await broken;
    const last = acknowledged.at(-1) ?? none;
    expect(['unknown', 'not-stored']).toContain(outcome.kind);
    await harness().recover();
    const found = await lastWhenBack(log);
    if (outcome.kind === 'not-stored')
      expect(found).toBe(`record ${acknowledged.length - 1}@${last}`);
    expect(found).toMatch(new RegExp(`^(${record}|record ${acknowledged.length - 1})@`));
    const settled = await appendWhenBack(log, record, last, outcome.kind === 'unknown');
    const { records, failure } = await log.replay(none, settled);
    expect(failure).toBeNull();
    expect(records.map(({ position }) => position)).toEqual([...acknowledged, settled]);
    expect(records.map(text)).toEqual(acknowledged.map((_, i) => `record ${i}`).concat(record));
  });
}

function servers({ open, newGroup, harness }: World): void {
  it('goes on telling who follows when the server is killed that they hang on', async () => {
    const groupId = newGroup();
    const [log, follower] = [open('a', groupId), open('b', groupId)];
    const followed = follower.follow();
    const begun = await untilHeard(log, followed);
    await harness().kill('b');
    await harness().recover();
    const last = await untilHeard(log, followed, begun);
    const heard = followed.records.map(({ position }) => position);
    expect(heard).toEqual([...new Set(heard)].toSorted((a, b) => a - b));
    expect(heard.at(-1)).toBeLessThanOrEqual(last);
    const { records } = await follower.replay(none, last);
    const placed = records.map((record, i) => ({
      ...record,
      previous: records[i - 1]?.position ?? none,
    }));
    expect(placed).toEqual(expect.arrayContaining([...followed.records]));
    followed.stop();
  });
}
