/** Reads as they reach a member over NATS, and when it listens for them. */
import type { Msg, NatsConnection, Subscription } from 'nats';
import { beforeEach, describe, expect, test } from 'vitest';
import type { GroupConfig } from '../../../cluster/types.js';
import type { MemberReport, ReadRequest, ReadResult } from '../../../replication/effects.js';
import { epoch, seq } from '../../../replication/ids.js';
import { namesFor } from '../../../src/nats/subjects.js';
import { Hosted } from '../../../src/node/hosted.js';
import type { MemberDriver } from '../../../src/node/member-driver.js';

interface Listening {
  readonly queue: string | undefined;
  readonly callback: (error: null, message: Msg) => void;
}

/** What listens where; the test sends by hand. */
class FakeConnection {
  readonly listening = new Map<string, Listening>();
  /** Subjects that were left by letting what is on its way arrive. */
  readonly drained: string[] = [];

  subscribe(subject: string, { queue, callback }: Listening): Partial<Subscription> {
    this.listening.set(subject, { queue, callback });
    const leave = () => void this.listening.delete(subject);
    const drain = () => {
      this.drained.push(subject);
      leave();
      return Promise.resolve();
    };
    return { unsubscribe: leave, drain };
  }

  async ask(subject: string, body: unknown): Promise<unknown> {
    return await new Promise((resolve, reject) => {
      const data = Buffer.from(JSON.stringify(body));
      const respond = (answer: unknown) => {
        resolve(JSON.parse(String(answer)));
        return true;
      };
      const listener = this.listening.get(subject);
      if (listener === undefined) reject(new Error(`nobody listens on ${subject}`));
      listener?.callback(null, { data, respond } as unknown as Msg);
    });
  }
}

const query = 'understudy.query.g';
const read = 'understudy.read.g';

let connection: FakeConnection;
let hosted: Hosted;
let asked: Omit<ReadRequest, 'request'>[];
let result: ReadResult;

beforeEach(() => {
  connection = new FakeConnection();
  asked = [];
  result = { ok: true, value: 7, seq: seq(5), epoch: epoch(2) };
  const driver = {
    read: (request: Omit<ReadRequest, 'request'>, answer: (result: ReadResult) => void) => {
      asked.push(request);
      answer(result);
    },
    stop: () => undefined,
  };
  hosted = new Hosted(
    { name: 'g', members: [] } as unknown as GroupConfig,
    1,
    driver as unknown as MemberDriver,
    connection as unknown as NatsConnection,
    namesFor('understudy'),
  );
});

const report = (state: string, lastSyncMs: number | null) =>
  ({ state, lastSyncMs }) as MemberReport;

describe('a standby with a state', () => {
  beforeEach(() => hosted.follow(report('standby', 1)));

  test('shares the reads of its group with the others', async () => {
    expect(connection.listening.get(read)?.queue).toBe('standbys');
    const answer = await connection.ask(read, { name: 'q', args: [1], minSeq: 3 });
    expect(answer).toEqual({ value: 7, seq: 5, epoch: 2, member: 1 });
    expect(asked).toEqual([{ consistency: 'standby', query: 'q', args: [1], minSeq: 3 }]);
  });

  test('answers no read that only the active can', async () => {
    for (const consistency of ['local', 'linearizable']) {
      const answer = await connection.ask(read, { name: 'q', consistency });
      expect(answer).toMatchObject({
        code: 'bad-request',
        detail: expect.stringContaining(consistency),
      });
    }
    expect(asked).toEqual([]);
  });

  test('goes on while it fetches a newer state, and stops when it has none', () => {
    hosted.follow(report('restoring', 1));
    expect(connection.listening.has(read)).toBe(true);
    hosted.follow(report('starting', null));
    expect(connection.listening.has(read)).toBe(false);
    hosted.follow(report('standby', null));
    expect(connection.listening.has(read)).toBe(false);
    hosted.follow(report('standby', 2));
    expect(connection.listening.has(read)).toBe(true);
  });

  test.each(['promoting', 'active', 'handing-off', 'quarantined'])(
    'stops when it is %s, but turns away what is on its way',
    (state) => {
      hosted.follow(report(state, 1));
      expect(connection.listening.has(read)).toBe(false);
      expect(connection.drained).toEqual([read]);
    },
  );

  test('listens for nothing after its end', () => {
    hosted.openIntake();
    hosted.stop();
    expect([...connection.listening]).toEqual([]);
  });
});

describe('a read', () => {
  beforeEach(() => hosted.openIntake());

  test('after a token asks the member for its seq', async () => {
    await connection.ask(query, { name: 'q', consistency: 'local', minSeq: 2, after: '1.2.4' });
    await connection.ask(query, { name: 'q', consistency: 'standby', minSeq: 9, after: '1.2.4' });
    await connection.ask(query, { name: 'q' });
    expect(asked.map(({ consistency, minSeq }) => [consistency, minSeq])).toEqual([
      ['local', 4],
      ['standby', 9],
      ['linearizable', 0],
    ]);
  });

  test('after a token of a later epoch is not answered, whatever the seq', async () => {
    const answer = await connection.ask(query, { name: 'q', after: '1.3.1' });
    expect(answer).toMatchObject({ code: 'not-ready', detail: expect.stringMatching(/epoch 2/) });
    const same = await connection.ask(query, { name: 'q', after: '1.2.1' });
    expect(same).toMatchObject({ value: 7 });
  });

  test('that the member cannot answer says what the member says', async () => {
    result = { ok: false, code: 'not-ready', detail: 'at seq 5, asked for 6' };
    const answer = await connection.ask(query, { name: 'q', minSeq: 6 });
    expect(answer).toEqual({ code: 'not-ready', detail: 'at seq 5, asked for 6' });
  });

  test('without a name tells where the member stands, and no state', async () => {
    expect(await connection.ask(query, {})).toEqual({ value: null, seq: 5, epoch: 2, member: 1 });
  });

  test.each([
    { name: 7 },
    { consistency: 'eventual' },
    { minSeq: -1 },
    { minSeq: 1.5 },
    { minSeq: '1' },
    { after: 'x' },
    { after: 7 },
    { after: '1.1' },
  ])('is refused with %o', async (part) => {
    const answer = await connection.ask(query, { name: 'q', ...part });
    expect(answer).toMatchObject({ code: 'bad-request' });
    expect(asked).toEqual([]);
  });

  test('whose answer does not fit a message says so', async () => {
    const value: { self?: unknown } = {};
    value.self = value;
    result = { ok: true, value, seq: seq(5), epoch: epoch(2) };
    expect(await connection.ask(query, { name: 'q' })).toMatchObject({ code: 'too-large' });
  });
});

test('the last 32 alarms of a member are kept, newest first', () => {
  for (let n = 1; n <= 40; n++) {
    hosted.alarms.add({ kind: 'alarm', code: 'conflict', detail: `alarm ${n}` }, n);
  }
  const { latest } = hosted.alarms;
  expect(latest).toHaveLength(32);
  expect(latest[0]).toMatchObject({ index: 1, code: 'conflict', detail: 'alarm 40' });
  expect(latest[0]?.at).toBe('1970-01-01T00:00:00.040Z');
  expect(latest.at(-1)?.detail).toBe('alarm 9');
});
