/** The contract of the `Log` port. Whatever is true here the protocol may rely on. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { position } from '../../replication/ids.js';
import type { AppendOutcome } from '../../replication/ports.js';
import {
  type AwaitedLog,
  awaited,
  bytes,
  none,
  positionOf,
  replayed,
  text,
} from './awaited-log.js';
import type { ClientName, Expectations, Harness } from './harness.js';
import { outages } from './log-outages.js';
import { tails } from './log-tails.js';

export interface World {
  open(client?: ClientName, groupId?: string): AwaitedLog;
  newGroup(): string;
  harness(): Harness;
}

export function logSuite(expectations: Expectations): void {
  let harness: Harness;
  let groups = 0;
  const newGroup = () => `${String(++groups).padStart(8, '0')}abcdef`;
  const open = (client: ClientName = 'a', groupId = newGroup()) =>
    awaited(harness, client, groupId);
  const world: World = { open, newGroup, harness: () => harness };

  describe(`log on ${expectations.name}`, () => {
    beforeAll(async () => {
      harness = await expectations.open();
    });
    afterAll(() => harness?.close());
    appends(world);
    races(world, expectations.replicas);
    strangers(world);
    reads(world);
    replays(world, expectations.manyRecords);
    lags(world);
    purges(world);
    tails(world);
    outages(world);
  });
}

function appends({ open, harness }: World): void {
  it('stores the first record where none is expected, and the next ones on it', async () => {
    const log = open();
    const positions = await log.chain(['one', 'two', 'three']);
    expect(positions).toEqual(positions.toSorted((a, b) => a - b));
    expect(new Set(positions).size).toBe(3);
    expect(await log.last()).toBe(`three@${positions[2]}`);
  });

  it('refuses a record whose expected position is not the last one', async () => {
    const log = open();
    const [first = none, second = none] = await log.chain(['one', 'two']);
    for (const expected of [none, first, position(second + 1)]) {
      expect(await log.append('other', expected)).toEqual({ kind: 'wrong-last' });
    }
    expect(await log.last()).toBe(`two@${second}`);
  });

  it('never completes before the call has returned', async () => {
    const log = open();
    let hasReturned = false;
    const early: string[] = [];
    const note = (name: string, done: () => void) => () => {
      if (!hasReturned) early.push(name);
      done();
    };
    const all = Promise.all([
      new Promise<void>((done) => log.port.append(bytes('x'), none, note('append', done))),
      new Promise<void>((done) => log.port.last(note('last', done))),
      new Promise<void>((done) =>
        log.port.replay(none, none, { records: () => {}, end: note('replay', done) }),
      ),
    ]);
    hasReturned = true;
    await harness().wait(all);
    expect(early).toEqual([]);
  });
}

function strangers({ open, harness }: World): void {
  it('stores what a stranger sends without an expectation, and tells the writer wrong-last', async () => {
    const log = open();
    const [first = none] = await log.chain(['one']);
    await harness().intrude(log.groupId, bytes('of a stranger'));
    expect(await log.append('two', first)).toEqual({ kind: 'wrong-last' });
    const last = await log.last();
    expect(last).toContain('of a stranger@');
    await log.chain(['two'], position(Number(last.split('@')[1])));
  });
}

function races({ open, newGroup }: World, replicas: 1 | 3): void {
  it('stores exactly one of two records that race for the same place', async () => {
    const groupId = newGroup();
    const [a, b] = [open('a', groupId), open('b', groupId)];
    let last = none;
    for (let round = 0; round < 20; round++) {
      const outcomes = await Promise.all([
        a.append(`a${round}`, last),
        b.append(`b${round}`, last),
      ]);
      const stored = outcomes.filter((outcome) => outcome.kind === 'stored');
      expect(stored).toHaveLength(1);
      expect(['wrong-last', 'busy']).toContain(
        outcomes.find((outcome) => outcome.kind !== 'stored')?.kind,
      );
      const winner = outcomes[0]?.kind === 'stored' ? 'a' : 'b';
      last = positionOf(stored[0] as AppendOutcome);
      expect(await a.last()).toBe(`${winner}${round}@${last}`);
    }
  });

  it('stores the first of two appends of one writer, and says so of the second', async () => {
    const log = open();
    const [first, second] = await Promise.all([log.append('one', none), log.append('two', none)]);
    expect(first.kind).toBe('stored');
    expect(['wrong-last', 'busy']).toContain(second.kind);
    expect(await log.last()).toBe(`one@${positionOf(first)}`);
  });

  it('says busy while it replicates an append, and never without replicas', async () => {
    const log = open();
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, i) => log.append(`${i}`, none)),
    );
    const kinds = [...new Set(outcomes.map(({ kind }) => kind))].toSorted();
    const last = positionOf(outcomes.find(({ kind }) => kind === 'stored'));
    expect(outcomes.filter(({ kind }) => kind === 'stored')).toHaveLength(1);
    const several = expect.arrayContaining(['busy', 'stored']) as unknown;
    expect(kinds).toEqual(replicas === 3 ? several : ['stored', 'wrong-last']);
    // Once the first is settled nothing is in flight: the same refused append is refused for good.
    expect(await log.append('late', none)).toEqual({ kind: 'wrong-last' });
    await log.chain(['on'], last);
  });

  it('refuses the same append a second time, stored as it is: nothing is recognised by an id', async () => {
    const log = open();
    const [first = none] = await log.chain(['one']);
    expect(await log.append('one', none)).toEqual({ kind: 'wrong-last' });
    expect(await log.last()).toBe(`one@${first}`);
  });

  it('lets groups write at the same time: gaps in the positions of each, no conflicts', async () => {
    const logs = Array.from({ length: 8 }, () => open());
    const chains = await Promise.all(logs.map((log) => log.chain(['1', '2', '3', '4', '5'])));
    for (const [i, log] of logs.entries()) {
      const positions = chains[i] ?? [];
      const { records } = await log.replay(none, positions[4] ?? none);
      expect(records.map((record) => record.position)).toEqual(positions);
      expect(records.map(text)).toEqual(['1', '2', '3', '4', '5']);
    }
    expect(new Set(chains.flat()).size).toBe(40);
  });
}

function reads({ open }: World): void {
  it('reads nothing from a group without records', async () => {
    const log = open();
    expect(await log.last()).toBe('none');
    expect(await log.next(none)).toBe('none');
    expect(await log.at(position(1))).toBe('none');
  });

  it('reads the last, the next and the one at a position, and never those of another group', async () => {
    const log = open();
    const other = open();
    const [one = none] = await log.chain(['one']);
    const [foreign = none] = await other.chain(['foreign']);
    const [two = none] = await log.chain(['two'], one);
    await other.chain(['foreign too'], foreign);
    expect(await log.last()).toBe(`two@${two}`);
    expect(await log.next(none)).toBe(`one@${one}`);
    expect(await log.next(one)).toBe(`two@${two}`);
    expect(await log.next(two)).toBe('none');
    expect(await log.at(one)).toBe(`one@${one}`);
    expect(await log.at(foreign)).toBe('none');
    expect(await log.at(position(two + 1000))).toBe('none');
  });

  it('says for certain what is at a position: the record, or that it is not there', async () => {
    const log = open();
    const [one = none] = await log.chain(['one']);
    const [foreign = none] = await open().chain(['foreign']);
    const [two = none] = await log.chain(['two'], one);
    expect(await log.prove(one)).toBe(`one@${one}`);
    expect(await log.prove(two)).toBe(`two@${two}`);
    expect(await log.prove(foreign)).toBe('gone');
    expect(await log.prove(position(two + 1000))).toBe('gone');
  });
}

/** A replica may lag: that it has no more says nothing, only the sight of the end does. */
function lags({ open, newGroup }: World): void {
  it('replays up to a record as soon as it is acknowledged, whichever replica answers', async () => {
    const groupId = newGroup();
    const [writer, reader] = [open('a', groupId), open('b', groupId)];
    let last = none;
    for (let i = 0; i < 200; i++) {
      const [stored = none] = await writer.chain([`${i}`], last);
      const { records, failure } = await reader.replay(last, stored);
      expect([records.map(text), failure]).toEqual([[`${i}`], null]);
      last = stored;
    }
  });
}

function replays({ open, harness }: World, manyRecords: number): void {
  it('replays nothing, one, and a stretch that ends exactly where asked', async () => {
    const log = open();
    const positions = await log.chain(['1', '2', '3', '4', '5']);
    const [, second = none, , fourth = none, fifth = none] = positions;
    expect(await log.replay(fifth, fifth)).toEqual({ records: [], failure: null });
    const one = await log.replay(fourth, fifth);
    expect([one.records.map(text), one.failure]).toEqual([['5'], null]);
    const middle = await log.replay(second, fourth);
    expect([middle.records.map(text), middle.failure]).toEqual([['3', '4'], null]);
  });

  it(`replays ${manyRecords} small records in order`, async () => {
    const log = open();
    const sent = Array.from({ length: manyRecords }, (_, i) => String(i).padStart(128, '.'));
    const positions = await log.chain(sent);
    const { records, failure } = await log.replay(none, positions.at(-1) ?? none);
    expect(failure).toBeNull();
    expect(records.map((record) => record.position)).toEqual(positions);
    expect(records.map(text)).toEqual(sent);
  });

  it('replays 200 records of 256 KiB, four at a time, byte for byte', async () => {
    const log = open();
    const sent = Array.from({ length: 200 }, (_, i) => new Uint8Array(256 * 1024).fill(i + 1));
    const positions = await log.chain(sent);
    const all = await Promise.all(
      [0, 1, 2, 3].map(() => log.replay(none, positions.at(-1) ?? none)),
    );
    for (const { records, failure } of all) {
      expect(failure).toBeNull();
      expect(records.map((record) => record.position)).toEqual(positions);
      const isSame = records.every(
        (record, i) => Buffer.compare(record.bytes, sent[i] ?? new Uint8Array(0)) === 0,
      );
      expect(isSame).toBe(true);
    }
  });

  it('stops for good when told to', async () => {
    const log = open();
    const positions = await log.chain(['1', '2', '3']);
    const calls: string[] = [];
    const stop = log.port.replay(none, positions[2] ?? none, {
      records: () => void calls.push('records'),
      end: () => void calls.push('end'),
    });
    stop();
    const whole = await harness().wait(replayed(log.port, none, positions[2] ?? none));
    expect(whole.records).toHaveLength(3);
    expect(calls).toEqual([]);
  });

  it('stops in the middle when its sink says so', async () => {
    const log = open();
    const positions = await log.chain(Array.from({ length: 600 }, (_, i) => String(i)));
    const last = positions.at(-1) ?? none;
    const calls: string[] = [];
    const stop = log.port.replay(none, last, {
      records: () => {
        calls.push('records');
        stop();
      },
      end: () => void calls.push('end'),
    });
    await log.replay(none, last);
    await log.replay(none, last);
    expect(calls).toEqual(['records']);
  });
}

function purges({ open, harness }: World): void {
  it('reads on and keeps its fence when older records are purged', async () => {
    const [log, other] = [open(), open()];
    const [one = none, two = none, three = none] = await log.chain(['one', 'two', 'three']);
    await other.chain(['foreign']);
    const [four = none] = await log.chain(['four'], three);
    await harness().purge(log.groupId, three);
    expect([await log.at(one), await log.at(two)]).toEqual(['none', 'none']);
    expect([await log.next(none), await log.next(one)]).toEqual([
      `three@${three}`,
      `three@${three}`,
    ]);
    const rest = await log.replay(none, four);
    // A replica that lags may still have what is purged.
    expect([rest.records.slice(-2).map(text), rest.failure]).toEqual([['three', 'four'], null]);
    for (const expected of [none, two, three]) {
      expect(await log.append('other', expected)).toEqual({ kind: 'wrong-last' });
    }
    const [five = none] = await log.chain(['five'], four);
    expect([await log.last(), await other.next(none)]).toEqual([
      `five@${five}`,
      expect.stringContaining('foreign@') as unknown,
    ]);
  });

  it('keeps the fence as long as the last record is there, and not a moment longer', async () => {
    const log = open();
    const last = (await log.chain(['one', 'two'])).at(-1) ?? none;
    await harness().purge(log.groupId, last);
    expect(await log.last()).toBe(`two@${last}`);
    expect(await log.append('other', none)).toEqual({ kind: 'wrong-last' });
    // Why the last record of a group that lives is never purged.
    await harness().purge(log.groupId, position(last + 1));
    expect(await log.append('other', last)).toEqual({ kind: 'wrong-last' });
    await log.chain(['as if it were the first'], none);
  });
}
