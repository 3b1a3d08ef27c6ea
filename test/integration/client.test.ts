import { EventEmitter, once } from 'node:events';
import type { NatsConnection } from 'nats';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Batch, encodeValue, joinCommands } from '../../replication/batch.js';
import { type Client, type ClientOptions, createClient } from '../../src/client/client.js';
import { Rejected } from '../../src/client/errors.js';
import type { counter } from '../../src/kinds/counter.js';
import type { ledger } from '../../src/kinds/ledger.js';
import { connectTo } from '../../src/nats/connect.js';
import { namesFor } from '../../src/nats/subjects.js';
import { startTestBroker, type TestBroker } from '../support/broker.js';
import { type Behaviour, FakeActive, FakeGroup, type Script } from '../support/fake-active.js';

let broker: TestBroker;
let group: FakeGroup;
let count = 0;
const cleanups: (() => unknown)[] = [];

beforeAll(async () => {
  broker = await startTestBroker();
});

afterAll(() => broker.remove());

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  expect(group.violations).toEqual([]);
});

function newGroup(): FakeGroup {
  group = new FakeGroup(`g${++count}`);
  return group;
}

async function connection(url = broker.url): Promise<NatsConnection> {
  const made = await connectTo({ servers: [url], name: 'test' });
  cleanups.push(() => made.close());
  return made;
}

async function client(options: ClientOptions = {}): Promise<Client> {
  const made = await createClient({ servers: broker.url, ...options });
  cleanups.push(() => made.close(0));
  return made;
}

/** Without a notice: it may come after the first batch, and make the client send that again. */
async function open(script?: Script): Promise<FakeActive> {
  const quiet = { announce: false };
  return FakeActive.open(await connection(), group, script ? { script, ...quiet } : quiet);
}

async function succeed(): Promise<void> {
  await FakeActive.open(await connection(), group);
}

interface Numbered {
  readonly id: number;
}

const ids = () => (group.log as Numbered[]).map(({ id }) => id);

test('ten thousand calls in one turn: few batches, each call its own seq, in order', async () => {
  const deliveries = (await client()).group(newGroup().name);
  await open();
  const all = Array.from({ length: 10_000 }, (_, id) => deliveries.deliver({ id }));
  const answers = await Promise.all(all);
  expect(answers.map(({ seq }) => seq)).toEqual(Array.from({ length: 10_000 }, (_, i) => i + 1));
  expect(ids()).toEqual(Array.from({ length: 10_000 }, (_, i) => i));
  expect(group.arrivals.map((batch) => batch.count)).toEqual([...new Array(9).fill(1024), 784]);
});

test('results, rejections and several or no events find their callers', async () => {
  const deliveries = (await client()).group(newGroup().name);
  await open();
  const [one, none, refused, three] = await Promise.allSettled([
    deliveries.deliver({ events: 1, result: { balance: 7 } }),
    deliveries.deliver({ events: 0 }),
    deliveries.deliver({ refuse: 'insufficient-funds' }),
    deliveries.deliver({ events: 3, result: [1, 2] }),
  ]);
  expect(one).toMatchObject({ value: { seq: 1, epoch: 1, result: { balance: 7 } } });
  expect(none).toMatchObject({ value: { seq: 1, result: undefined, duplicate: false } });
  expect(refused).toMatchObject({ reason: { rejectionCode: 'insufficient-funds' } });
  expect((refused as PromiseRejectedResult).reason).toBeInstanceOf(Rejected);
  expect(three).toMatchObject({ value: { seq: 4, result: [1, 2] } });
});

test('the same key gets the first answer, in the same batch and later', async () => {
  const deliveries = (await client()).group(newGroup().name);
  await open();
  const once = deliveries.deliver({ result: 'first' }, { key: 'k' });
  const twice = deliveries.deliver({ result: 'second' }, { key: 'k' });
  expect(await once).toMatchObject({ seq: 1, result: 'first', duplicate: false });
  expect(await twice).toMatchObject({ seq: 1, result: 'first', duplicate: true });
  expect(await deliveries.deliver({}, { key: 'k' })).toMatchObject({ seq: 1, duplicate: true });
  expect(group.log).toHaveLength(1);
});

test('what is delivered before there is an active is answered once there is one', async () => {
  const shared = await connection();
  const deliveries = (await client({ connection: shared })).group(newGroup().name);
  const all = Promise.all(Array.from({ length: 100 }, (_, id) => deliveries.deliver({ id })));
  // One turn to send, one round trip to hear that nobody is there.
  await new Promise((resolve) => setImmediate(resolve));
  await shared.flush();
  await succeed();
  expect((await all).map(({ seq }) => seq)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
  expect(group.log).toHaveLength(100);
});

test('an active that stores and dies: its successor answers, as a duplicate', async () => {
  const deliveries = (await client()).group(newGroup().name);
  const news = new EventEmitter();
  const dying = await open((_batch, n) => {
    setImmediate(() => news.emit('batch', n));
    return n < 2 ? 'lose' : 'drop';
  });
  const stored = deliveries.deliver({ id: 1 });
  await once(news, 'batch');
  const lost = deliveries.deliver({ id: 2 });
  await once(news, 'batch');
  dying.close();
  await succeed();
  expect(await stored).toMatchObject({ seq: 1, epoch: 1, duplicate: true });
  expect(await lost).toMatchObject({ seq: 2, epoch: 2, duplicate: false });
  expect(ids()).toEqual([1, 2]);
});

test('an old active that answers "moved" and a new one that answers: each command counts once', async () => {
  const deliveries = (await client()).group(newGroup().name);
  await open(() => 'moved');
  await open();
  const all = Array.from({ length: 500 }, async (_, id) => {
    if (id % 7 === 0) await deliveries.deliver({ id: 1000 + id });
    return deliveries.deliver({ id });
  });
  await Promise.all(all);
  expect(new Set(ids()).size).toBe(group.log.length);
  expect(group.log).toHaveLength(500 + Math.ceil(500 / 7));
});

test('an overloaded active is asked again until it takes the batch', async () => {
  const deliveries = (await client()).group(newGroup().name);
  await open((_batch, n) => (n <= 5 ? 'overloaded' : 'take'));
  expect(await deliveries.deliver({ id: 1 })).toMatchObject({ seq: 1, duplicate: false });
  expect(group.arrivals).toHaveLength(6);
});

test('two answers to one batch are one answer', async () => {
  const deliveries = (await client()).group(newGroup().name);
  await open(() => 'twice');
  expect(await deliveries.deliver({ id: 1 })).toMatchObject({ seq: 1 });
  expect(await deliveries.deliver({ id: 2 })).toMatchObject({ seq: 2 });
});

test('after a deadline the outcome is unknown, and the numbers after it still work', async () => {
  const deliveries = (await client()).group(newGroup().name);
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  await open(async (_batch, n): Promise<Behaviour> => {
    if (n === 1) await held;
    return 'take';
  });
  const late = deliveries.deliver({ id: 1 }, { timeoutMs: 50 });
  await expect(late).rejects.toMatchObject({ code: 'timeout', outcome: 'unknown' });
  expect(await deliveries.deliver({ id: 2 })).toMatchObject({ seq: 1 });
  release();
  expect(await deliveries.deliver({ id: 3 })).toMatchObject({ seq: 2 });
  expect(group.arrivals.map(({ first, floor }) => [first, floor])).toEqual([
    [1, 1],
    [2, 2],
    [3, 3],
  ]);
  expect(ids()).toEqual([2, 3]);
});

test.each(['quarantined', 'group-not-found', 'bad-request', 'too-large', 'internal'] as const)(
  'a refusal for good ends the delivery: %s',
  async (code) => {
    const deliveries = (await client()).group(newGroup().name);
    await open((_batch, n) => (n === 1 ? code : 'take'));
    const refused = deliveries.deliver({ id: 1 });
    await expect(refused).rejects.toMatchObject({ code, details: { outcome: 'not-taken' } });
    expect(await deliveries.deliver({ id: 2 })).toMatchObject({ seq: 1 });
  },
);

test('wrong calls fail at once and disturb nobody', async () => {
  const made = await client({ maxPending: { commands: 2 } });
  const deliveries = made.group(newGroup().name);
  expect(() => made.group('no.such.name')).toThrow(/group name/);
  const fine = [deliveries.deliver({ id: 1 }), deliveries.deliver({ id: 2 })];
  await expect(deliveries.deliver({ id: 3 })).rejects.toMatchObject({ code: 'overloaded' });
  const wrong = deliveries.deliver({ run: () => 1 });
  await expect(wrong).rejects.toMatchObject({ code: 'bad-request' });
  const large = deliveries.deliver('x'.repeat(300_000));
  await expect(large).rejects.toMatchObject({ code: 'too-large' });
  await open();
  await Promise.all(fine);
  expect(ids()).toEqual([1, 2]);
});

function batch(session: string | null, values: readonly unknown[]): Batch {
  const blob = joinCommands(values.map(encodeValue));
  return { session, floor: 1, first: 1, count: values.length, keys: null, blob };
}

test('an explicit batch is retried as it is and its answer handed over as it came', async () => {
  const deliveries = (await client()).group(newGroup().name);
  await open((_batch, n) => (n === 1 ? 'moved' : 'take'));
  const mixed = batch('edge', [{ id: 1 }, { refuse: 'no' }]);
  const { runs } = await deliveries.deliverBatch(mixed, 10_000);
  expect(runs).toMatchObject([{ first: 1, count: 2, rejections: [[1, 'no', 'refused at 1']] }]);
  const sent = { ...mixed, blob: Buffer.from(mixed.blob) };
  const arrived = group.arrivals.map((arrival) => ({
    ...arrival,
    blob: Buffer.from(arrival.blob),
  }));
  expect(arrived).toEqual([sent, sent]);
});

test('a batch that would count twice is not sent twice', async () => {
  const deliveries = (await client()).group(newGroup().name);
  const old = await open(() => 'lose');
  const answer = deliveries.deliverBatch(batch(null, [{ id: 1 }]), 300);
  answer.catch(() => {});
  const later = deliveries.deliver({ id: 2 }, { timeoutMs: 10_000 });
  later.catch(() => {});
  await expect(answer).rejects.toMatchObject({ code: 'timeout', outcome: 'unknown' });
  old.close();
  await succeed();
  expect(await later).toMatchObject({ duplicate: true });
  expect(ids().toSorted()).toEqual([1, 2]);
});

test('a query is repeated until somebody answers, and tells which state it saw', async () => {
  const { name } = newGroup();
  const typed = (await client()).group<typeof counter>(name);
  const replies: unknown[] = [
    { code: 'moved', detail: 'not here' },
    { value: { total: 5, count: 2 }, seq: 2, epoch: 1, member: 0 },
    { code: 'bad-request', detail: 'no query "get"' },
  ];
  const asked: unknown[] = [];
  const node = await connection();
  node.subscribe(namesFor('understudy').query(name), {
    callback: (_error, message) => {
      asked.push(message.json());
      message.respond(JSON.stringify(replies.shift()));
    },
  });
  await node.flush();
  const answer = await typed.query('get', undefined, { consistency: 'local', minSeq: 2 });
  expect(answer).toEqual({ value: { total: 5, count: 2 }, seq: 2, epoch: 1, member: 0 });
  expect(answer.value.total).toBe(5);
  expect(asked).toEqual([1, 2].map(() => ({ name: 'get', consistency: 'local', minSeq: 2 })));
  await expect(typed.query('get')).rejects.toMatchObject({ code: 'bad-request' });
});

test('a group of a known kind takes its commands and queries, and no others', async () => {
  const made = await client();
  const typed = made.group<typeof ledger>(newGroup().name);
  await open();
  await typed.deliver({ type: 'open', account: 'a' });
  // @ts-expect-error: no such command
  await typed.deliver({ type: 'steal', account: 'a' });
  const wrong = [
    // @ts-expect-error: no such query
    typed.query('everything', {}, { timeoutMs: 1 }),
    // @ts-expect-error: an account is missing
    typed.query('balance', {}, { timeoutMs: 1 }),
  ];
  for (const query of wrong) await expect(query).rejects.toMatchObject({ code: 'timeout' });
});

test('closing waits for answers, then fails what is left and takes nothing more', async () => {
  const patient = await client();
  const deliveries = patient.group(newGroup().name);
  const pending = deliveries.deliver({ id: 1 });
  const closed = patient.close();
  await open();
  await closed;
  expect(await pending).toMatchObject({ seq: 1 });
  await expect(deliveries.deliver({ id: 2 })).rejects.toMatchObject({ code: 'bad-request' });

  const hasty = await client();
  const unanswered = hasty.group('nobody').deliver({ id: 3 });
  unanswered.catch(() => {});
  await hasty.close(0);
  await expect(unanswered).rejects.toMatchObject({ code: 'timeout' });
});

test('a shared connection stays open and other clients on it go on', async () => {
  const shared = await connection();
  const [one, two] = [await client({ connection: shared }), await client({ connection: shared })];
  newGroup();
  await open();
  await one.group(group.name).deliver({ id: 1 });
  await one.close();
  expect(await two.group(group.name).deliver({ id: 2 })).toMatchObject({ seq: 2 });
  await shared.close();
  const gone = two.group(group.name).deliver({ id: 3 });
  await expect(gone).rejects.toMatchObject({ code: 'broker-unavailable' });
});

test.each(['SIGKILL', 'SIGTERM'] as const)(
  'the broker restarts under load (%s): every command is answered and counts once',
  async (signal) => {
    const own = await startTestBroker();
    const deliveries = (await client({ servers: own.url })).group(newGroup().name);
    const node = await connection(own.url);
    const news = new EventEmitter();
    const active = await FakeActive.open(node, group, {
      script: (_batch, n) => {
        if (n === 20) news.emit('busy');
        return 'take';
      },
    });
    const busy = once(news, 'busy');
    let next = 0;
    const work = async (): Promise<void> => {
      while (next < 20_000) await deliveries.deliver({ id: next++ });
    };
    const load = Promise.all(Array.from({ length: 50 }, work));
    await busy;
    own.kill(signal);
    await own.exited;
    const again = await startTestBroker({ dataDir: own.dataDir, port: own.port });
    // Goes last: a connection that is closed while its broker stops can throw from its socket.
    cleanups.unshift(() => again.remove());
    await load;
    active.close();
    expect(group.log).toHaveLength(20_000);
    expect(new Set(ids()).size).toBe(20_000);
  },
);
