/** What a client has seen goes along with its reads: read-your-writes and monotonic reads (P11). */
import type { Msg, NatsConnection } from 'nats';
import { beforeEach, describe, expect, test } from 'vitest';
import { decodeBatch, encodeAnswer, isPackedBatch } from '../../replication/batch.js';
import { Client, type ClientOptions } from '../../src/client/client.js';
import type { GroupClient } from '../../src/client/group.js';

type OnMessage = (error: null, message: Msg) => void;

/** A connection inside the process: a subject has one listener, the test's or the client's inbox. */
class FakeConnection {
  readonly info = undefined;
  readonly #listeners = new Map<string, OnMessage>();
  readonly #members = new Map<string, (data: Uint8Array, reply: string) => void>();

  subscribe(subject: string, { callback }: { callback: OnMessage }) {
    this.#listeners.set(subject, callback);
    return { unsubscribe: () => this.#listeners.delete(subject) };
  }

  publish(subject: string, data: Uint8Array, { reply }: { reply: string }): void {
    this.#members.get(subject)?.(data, reply);
  }

  answer(to: string, data: Uint8Array): void {
    const [, callback] = [...this.#listeners].find(([subject]) => isBelow(subject, to)) ?? [];
    callback?.(null, { subject: to, data } as Msg);
  }

  /** What a member would do with whatever is sent to the subject. */
  serve(subject: string, each: (data: Uint8Array, reply: string) => void): void {
    this.#members.set(subject, each);
  }

  async *status() {}
  closed = () => new Promise<void>(() => undefined);
  isClosed = () => false;
}

const isBelow = (pattern: string, subject: string) =>
  pattern.endsWith('>') && subject.startsWith(pattern.slice(0, -1));

const text = (value: unknown) => Buffer.from(JSON.stringify(value));

let connection: FakeConnection;
/** Queries as they arrived, by the first token of their subject. */
let asked: { subject: string; body: Record<string, unknown> }[];
let place: { seq: number; epoch: number };

beforeEach(() => {
  connection = new FakeConnection();
  asked = [];
  place = { seq: 0, epoch: 1 };
  for (const subject of ['understudy.query.g', 'understudy.read.g']) {
    connection.serve(subject, (data, reply) => {
      asked.push({ subject, body: JSON.parse(Buffer.from(data).toString()) });
      connection.answer(reply, text({ value: 'v', ...place, member: 1 }));
    });
  }
  connection.serve('understudy.deliver.g', (data, reply) => {
    expect(isPackedBatch(data)).toBe(true);
    const batch = decodeBatch(data) as { first: number; count: number };
    const { first, count } = batch;
    const run = { first, count, epoch: place.epoch, baseSeq: place.seq, eventCounts: null };
    place = { ...place, seq: place.seq + count };
    const runs = [{ ...run, results: null, rejections: null, duplicate: false }];
    connection.answer(reply, encodeAnswer({ ok: true, runs }));
  });
});

function group(options: ClientOptions = {}): GroupClient {
  return new Client(connection as unknown as NatsConnection, options).group('g');
}

const lastAsked = () => asked.at(-1)?.body;

describe('a client that has seen nothing', () => {
  test('asks for nothing, and its token asks for nothing either', async () => {
    const client = group();
    expect(client.token).toBe('1.0.0');
    await client.query('q', undefined, { consistency: 'local', after: client.token });
    expect(lastAsked()).toEqual({ name: 'q', consistency: 'local' });
  });
});

describe('a client that has delivered', () => {
  test.each(['local', 'standby'] as const)('sees it in its %s reads', async (consistency) => {
    const client = group();
    await client.deliver({ a: 1 });
    await client.deliver({ a: 2 });
    expect(client.token).toBe('1.1.2');
    await client.query('q', undefined, { consistency });
    expect(lastAsked()).toEqual({ name: 'q', consistency, after: '1.1.2' });
  });

  test('knows it also from a batch of its own making', async () => {
    const client = group();
    const blob = Uint8Array.of(0x80);
    const batch = { session: 's', floor: 1, first: 1, count: 1, keys: null, blob };
    await client.deliverBatch(batch, 1000);
    expect(client.token).toBe('1.1.1');
  });

  test('needs no token for linearizable reads', async () => {
    const client = group();
    await client.deliver({ a: 1 });
    await client.query('q');
    expect(lastAsked()).toEqual({ name: 'q', consistency: 'linearizable' });
  });
});

describe('a client that has read', () => {
  test('never asks for less than it was shown', async () => {
    const client = group();
    place = { seq: 7, epoch: 3 };
    await client.query('q');
    place = { seq: 5, epoch: 2 };
    await client.query('q', undefined, { consistency: 'standby' });
    expect(lastAsked()).toMatchObject({ after: '1.3.7' });
    expect(client.token).toBe('1.3.7');
  });

  test('adds what others have seen to what it has seen itself', async () => {
    const client = group();
    place = { seq: 7, epoch: 3 };
    await client.query('q');
    await client.query('q', undefined, { consistency: 'local', after: '1.2.9' });
    expect(lastAsked()).toMatchObject({ after: '1.3.9' });
    await client.query('q', undefined, { after: '1.2.9' });
    expect(lastAsked()).toMatchObject({ consistency: 'linearizable', after: '1.2.9' });
  });
});

test('a client that many callers share asks only for what each of them passes', async () => {
  const client = group({ session: false });
  await client.deliver({ a: 1 });
  await client.query('q', undefined, { consistency: 'standby' });
  expect(lastAsked()).toEqual({ name: 'q', consistency: 'standby' });
  await client.query('q', undefined, { consistency: 'standby', after: '1.1.1', minSeq: 1 });
  expect(lastAsked()).toEqual({ name: 'q', consistency: 'standby', after: '1.1.1', minSeq: 1 });
});

test('standbys are asked for standby reads, and the active for all others', async () => {
  const client = group();
  for (const consistency of ['linearizable', 'local', 'standby'] as const) {
    await client.query('q', undefined, { consistency });
  }
  const subjects = ['understudy.query.g', 'understudy.query.g', 'understudy.read.g'];
  expect(asked.map(({ subject }) => subject)).toEqual(subjects);
});

test('a token that is none is refused before anything is asked', async () => {
  const wrong = group().query('q', undefined, { after: 'yesterday' });
  await expect(wrong).rejects.toMatchObject({ code: 'bad-request' });
  expect(asked).toEqual([]);
});
