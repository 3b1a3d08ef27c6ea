import type { Msg, NatsConnection } from 'nats';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { position } from '../../replication/ids.js';
import type { AppendOutcome } from '../../replication/ports.js';
import { connectTo, watchConnection } from '../../src/nats/connect.js';
import { natsLog } from '../../src/nats/log.js';
import { bulkLimits, type Reply, Requests } from '../../src/nats/requests.js';
import { ensureStreams } from '../../src/nats/streams.js';
import { namesFor } from '../../src/nats/subjects.js';
import { startTestBroker, type TestBroker } from '../support/broker.js';
import { until as waitFor } from '../support/until.js';

/** Longer than any test may take: what ends sooner did not wait for it. */
const endlessMs = 600_000;
const names = namesFor('requests');

let broker: TestBroker;
let connection: NatsConnection;
let statuses: string[];
let onStatus: () => void;

beforeEach(async () => {
  broker = await startTestBroker();
  connection = await connectTo({ servers: [broker.url], name: 'test' });
  statuses = [];
  onStatus = () => {};
  watchConnection(connection, (status) => {
    statuses.push(status);
    onStatus();
  });
  await ensureStreams(connection, { namespace: 'requests', names, shards: 1, replicas: 1 });
});

afterEach(async () => {
  await connection.close();
  await broker.remove();
});

const until = (status: string) =>
  new Promise<void>((done) => {
    onStatus = () => statuses.at(-1) === status && done();
    onStatus();
  });

async function kill(): Promise<void> {
  broker.kill('SIGKILL');
  await broker.exited;
}

async function restart(): Promise<void> {
  const { dataDir, port } = broker;
  broker = await startTestBroker({ dataDir, port });
}

const openLog = (control: Requests, bulk = control, replayPatienceMs = 20_000) => {
  const [stream, subject] = [names.logStream(0), names.log(0, 'g', 'warm')];
  const tail = { tail: connection, tailSubject: names.tail(0, 'g') };
  return natsLog({ control, bulk, ...tail, stream, subject, replayPatienceMs });
};

type Append = (bytes: Uint8Array, expected: number) => Promise<AppendOutcome>;

function awaitedAppend(log: ReturnType<typeof openLog>): Append {
  return (bytes, expected) => new Promise((done) => log.append(bytes, position(expected), done));
}

async function fill(append: Append, count: number): Promise<number> {
  let last = 0;
  for (let i = 0; i < count; i++) {
    const outcome = await append(new Uint8Array(64), last);
    if (outcome.kind !== 'stored') throw new Error(`append: ${outcome.kind}`);
    last = outcome.position;
  }
  return last;
}

const answerTo = (requests: Requests, subject: string, text: string) =>
  new Promise<Reply>((done) =>
    requests.send(subject, text, (reply) => {
      done(reply);
      return 'done';
    }),
  );

const textOf = (reply: Reply) => (reply.kind === 'message' ? reply.message.string() : reply.kind);

/** A log nobody answers for: somebody takes its records and says nothing. */
function silentLog(requests: Requests): Append {
  connection.subscribe('silence', { callback: () => {} });
  const subjects = { stream: 'none', subject: 'silence', tailSubject: 'silence' };
  const log = natsLog({ control: requests, bulk: requests, tail: connection, ...subjects });
  return awaitedAppend(log);
}

it('ends what is in flight as lost when the connection breaks, without waiting', async () => {
  const requests = new Requests(connection, { timeoutMs: endlessMs, inFlight: 8, waiting: 8 });
  connection.subscribe('silence', { callback: () => {} });
  const inFlight = answerTo(requests, 'silence', 'hello?');
  await connection.flush();
  await connection.reconnect();
  expect(await inFlight).toMatchObject({
    kind: 'lost',
    reason: expect.stringMatching(/connection/),
  });
});

it('notices a broker that hangs, and says not-stored until it is back', async () => {
  const requests = new Requests(connection, { timeoutMs: endlessMs, inFlight: 8, waiting: 8 });
  const append = silentLog(requests);
  broker.kill('SIGSTOP');
  expect(await answerTo(requests, 'silence', 'hello?')).toMatchObject({ kind: 'lost' });
  await until('lost');
  expect(await append(new Uint8Array(8), 0)).toEqual({ kind: 'not-stored' });
  broker.kill('SIGCONT');
  await until('back');
});

it('gives up on silence, and takes no late answer for another', async () => {
  const requests = new Requests(connection, { timeoutMs: 100, inFlight: 8, waiting: 8 });
  const asked: Msg[] = [];
  connection.subscribe('late', {
    callback: (_error, message) => {
      asked.push(message);
      if (asked.length === 2) for (const one of asked) one.respond(one.data);
    },
  });
  const ask = (text: string) => answerTo(requests, 'late', text);
  expect(await ask('first')).toMatchObject({ kind: 'lost' });
  const second = await ask('second');
  expect(second.kind === 'message' && second.message.string()).toBe('second');
});

it('asks again until somebody answers who was not there before, and takes one answer', async () => {
  const requests = new Requests(connection, { timeoutMs: endlessMs, inFlight: 8, waiting: 8 });
  const asked: Msg[] = [];
  connection.subscribe('later', {
    callback: (_error, message) => {
      asked.push(message);
      if (asked.length === 3) for (const one of asked) one.respond(String(asked.indexOf(one)));
      if (asked.length > 3) message.respond('3');
    },
  });
  const replies: Reply[] = [];
  const onReply = (reply: Reply) => {
    replies.push(reply);
    return 'done' as const;
  };
  requests.send('later', 'who?', onReply, null, { againAfterMs: 10 });
  await waitFor('an answer', () => replies.length > 0);
  expect(await answerTo(requests, 'later', 'and now?').then(textOf)).toBe('3');
  expect(replies.map(textOf)).toEqual(['0']);
  expect(asked.map((message) => message.string())).toEqual(['who?', 'who?', 'who?', 'and now?']);
});

it('sends an append that nobody answers no second time, and says soon that it is not known', async () => {
  const requests = new Requests(connection, { timeoutMs: endlessMs, inFlight: 8, waiting: 8 });
  let sent = 0;
  connection.subscribe('silence', { callback: () => void sent++ });
  const append = silentLog(requests);
  for (let i = 1; i <= 2; i++) {
    expect(await append(new Uint8Array(8), 0)).toEqual({ kind: 'unknown' });
    await connection.flush();
    expect(sent).toBe(i);
  }
});

it('keeps to its limits: the rest waits in line, and beyond the line nothing is sent', async () => {
  const requests = new Requests(connection, { timeoutMs: 5000, inFlight: 2, waiting: 3 });
  const served: string[] = [];
  connection.subscribe('echo', {
    callback: (_error, message) => {
      served.push(message.string());
      message.respond(message.data);
    },
  });
  const ask = (text: string) => answerTo(requests, 'echo', text);
  const replies = await Promise.all(['1', '2', '3', '4', '5', '6', '7'].map(ask));
  expect(replies.map(({ kind }) => kind)).toEqual([
    ...Array.from({ length: 5 }, () => 'message'),
    'not-sent',
    'not-sent',
  ]);
  expect(served).toEqual(['1', '2', '3', '4', '5']);
});

it('refuses what is larger than the broker takes', async () => {
  const requests = new Requests(connection, { timeoutMs: 5000, inFlight: 2, waiting: 3 });
  const outcome = await awaitedAppend(openLog(requests))(new Uint8Array(2 * 1024 * 1024), 0);
  expect(outcome).toMatchObject({ kind: 'refused' });
});

it('resumes a replay after the broker was killed in the middle, each record once', async () => {
  const control = new Requests(connection, { timeoutMs: 5000, inFlight: 64, waiting: 64 });
  const bulk = new Requests(connection, bulkLimits);
  const log = openLog(control, bulk);
  const count = 2000;
  const last = await fill(awaitedAppend(log), count);
  const positions: number[] = [];
  let outage: Promise<void> | null = null;
  const failure = await new Promise<string | null>((done) => {
    log.replay(position(0), position(last), {
      records(batch) {
        positions.push(...batch.map((record) => record.position));
        outage ??= kill().then(restart);
      },
      end: done,
    });
  });
  await outage;
  expect(failure).toBeNull();
  expect(positions).toEqual(Array.from({ length: count }, (_, i) => i + 1));
});

it('fails a replay whose end does not exist, and says how far it got', async () => {
  const requests = new Requests(connection, { timeoutMs: 5000, inFlight: 64, waiting: 64 });
  const log = openLog(requests, requests, 300);
  await fill(awaitedAppend(log), 3);
  const positions: number[] = [];
  const failure = await new Promise<string | null>((done) => {
    log.replay(position(0), position(1000), {
      records: (batch) => void positions.push(...batch.map((record) => record.position)),
      end: done,
    });
  });
  expect(positions).toEqual([1, 2, 3]);
  expect(failure).toContain('at position 3 of 1000');
});
