/** The contract of the `Log` port. Whatever is true here the protocol may rely on. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Position, position } from '../../replication/ids.js';
import type { AppendOutcome, Log, ReadOutcome, StoredRecord } from '../../replication/ports.js';
import type { Expectations, Harness } from './harness.js';

const none = position(0);
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (record: StoredRecord) => new TextDecoder().decode(record.bytes);

/** A log whose calls can be awaited. */
interface AwaitedLog {
  append(record: Uint8Array | string, expected: Position): Promise<AppendOutcome>;
  /** Appends one after the other, each on the one before; fails unless every one is stored. */
  chain(records: Iterable<Uint8Array | string>, expected?: Position): Promise<Position[]>;
  last(): Promise<string>;
  next(after: Position): Promise<string>;
  at(at: Position): Promise<string>;
  replay(after: Position, through: Position): Promise<Replayed>;
  readonly port: Log;
}

interface Replayed {
  readonly records: readonly StoredRecord[];
  readonly failure: string | null;
}

/** `text@position`, or the kind of outcome if there is no record. */
const shown = (outcome: ReadOutcome) =>
  outcome.kind === 'record'
    ? `${text(outcome.record)}@${outcome.record.position}`
    : `${outcome.kind}`;

function awaited(harness: Harness, client: string, groupId: string): AwaitedLog {
  const port = harness.log(client, groupId);
  const append: AwaitedLog['append'] = (record, expected) => {
    const payload = typeof record === 'string' ? bytes(record) : record;
    return harness.wait(new Promise((done) => port.append(payload, expected, done)));
  };
  const read = (start: (done: (outcome: ReadOutcome) => void) => void) =>
    harness.wait(new Promise(start)).then(shown);
  return {
    port,
    append,
    async chain(records, expected = none) {
      const positions: Position[] = [];
      for (const record of records) {
        const outcome = await append(record, positions.at(-1) ?? expected);
        positions.push(positionOf(outcome));
      }
      return positions;
    },
    last: () => read((done) => port.last(done)),
    next: (after) => read((done) => port.next(after, done)),
    at: (at) => read((done) => port.at(at, done)),
    replay: (after, through) => harness.wait(replayed(port, after, through)),
  };
}

function positionOf(outcome: AppendOutcome): Position {
  if (outcome.kind !== 'stored') throw new Error(`append: ${JSON.stringify(outcome)}`);
  return outcome.position;
}

function replayed(port: Log, after: Position, through: Position): Promise<Replayed> {
  return new Promise((done) => {
    const records: StoredRecord[] = [];
    port.replay(after, through, {
      records: (batch) => void records.push(...batch),
      end: (failure) => done({ records, failure }),
    });
  });
}

const kinds = (outcomes: readonly AppendOutcome[]) => outcomes.map(({ kind }) => kind).toSorted();

export function logSuite(expectations: Expectations): void {
  let harness: Harness;
  let groups = 0;
  const newGroup = () => `${String(++groups).padStart(8, '0')}abcdef`;
  const open = (client = 'a', groupId = newGroup()) => awaited(harness, client, groupId);
  const world: World = { open, newGroup, harness: () => harness };

  describe(`log on ${expectations.name}`, () => {
    beforeAll(async () => {
      harness = await expectations.open();
    });
    afterAll(() => harness?.close());
    appends(world);
    races(world);
    reads(world);
    replays(world, expectations.manyRecords);
    if (expectations.restarts) restarts(world);
  });
}

interface World {
  open(client?: string, groupId?: string): AwaitedLog;
  newGroup(): string;
  harness(): Harness;
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

function races({ open, newGroup }: World): void {
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

function restarts({ open, harness }: World): void {
  it('keeps what it acknowledged over a kill, and goes on', async () => {
    const log = open();
    const before = await log.chain(Array.from({ length: 50 }, (_, i) => String(i)));
    const last = before.at(-1) ?? none;
    await harness().kill();
    const outcomes: AppendOutcome[] = [];
    for (let i = 0; i < 3; i++) outcomes.push(await log.append('lost', last));
    expect(['not-stored', 'unknown']).toEqual(expect.arrayContaining(kinds(outcomes)));
    await harness().restart();
    const { records, failure } = await log.replay(none, last);
    expect(failure).toBeNull();
    expect(records.map((record) => record.position)).toEqual(before);
    const resumed = await appendWhenBack(log, 'back', last);
    expect(await log.last()).toBe(`back@${resumed}`);
  });

  it('ends an append in flight as unknown when the broker dies', async () => {
    const log = open();
    const [first = none] = await log.chain(['one']);
    const inFlight = log.append('two', first);
    await harness().kill();
    const { kind } = await inFlight;
    expect(['stored', 'unknown', 'not-stored']).toContain(kind);
    await harness().restart();
    const last = await lastWhenBack(log);
    if (kind === 'stored') expect(last).toMatch(/^two@/);
    if (kind === 'not-stored') expect(last).toBe(`one@${first}`);
    expect(last).toMatch(/^(one|two)@/);
  });
}

const tries = 5000;

/** The broker may take connections before it serves the stream. */
async function appendWhenBack(log: AwaitedLog, record: string, last: Position): Promise<Position> {
  let mayBeStored = false;
  for (let left = tries; left > 0; left--) {
    const outcome = await log.append(record, last);
    if (outcome.kind === 'stored') return outcome.position;
    if (outcome.kind === 'wrong-last' && mayBeStored) {
      const found = await lastWhenBack(log);
      expect(found).toContain(`${record}@`);
      return position(Number(found.slice(record.length + 1)));
    }
    mayBeStored ||= outcome.kind === 'unknown';
    if (outcome.kind !== 'not-stored' && outcome.kind !== 'unknown') positionOf(outcome);
  }
  throw new Error(`the stream did not come back in ${tries} tries`);
}

async function lastWhenBack(log: AwaitedLog): Promise<string> {
  for (let left = tries; left > 0; left--) {
    const last = await log.last();
    if (last !== 'failed') return last;
  }
  throw new Error(`the stream did not come back in ${tries} tries`);
}
