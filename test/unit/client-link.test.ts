import { setImmediate as nextTurn } from 'node:timers/promises';
import { type NatsConnection, PermissionViolationError, type Status } from 'nats';
import { expect, test } from 'vitest';
import { type Client, createClient } from '../../src/client/client.js';

/** A connection whose fate the test decides. */
class FakeConnection {
  readonly published: { subject: string; reply: string }[] = [];
  readonly subscribed: string[] = [];
  readonly info = { max_payload: 64 * 1024 };
  tell: (status: Status) => void = () => {};
  end: () => void = () => {};
  readonly #closed = new Promise<void>((resolve) => {
    this.end = resolve;
  });

  subscribe(subject: string) {
    this.subscribed.push(subject);
    return { unsubscribe: () => {} };
  }

  publish(subject: string, payload: Uint8Array, { reply }: { reply: string }): void {
    if (payload.length > this.info.max_payload) throw new Error('max_payload size exceeded');
    this.published.push({ subject, reply });
  }

  closed(): Promise<void> {
    return this.#closed;
  }

  isClosed(): boolean {
    return false;
  }

  async *status(): AsyncGenerator<Status> {
    for (;;) {
      yield await new Promise<Status>((resolve) => {
        this.tell = resolve;
      });
    }
  }
}

async function setUp(): Promise<{ fake: FakeConnection; client: Client }> {
  const fake = new FakeConnection();
  const client = await createClient({ connection: fake as unknown as NatsConnection });
  return { fake, client };
}

function violation(operation: 'publish' | 'subscription', subject: string): Status {
  const error = new PermissionViolationError('Permissions Violation', operation, subject);
  return { type: 'error', error };
}

async function sent(fake: FakeConnection, messages: number): Promise<void> {
  while (fake.published.length < messages) await nextTurn();
}

test('a forbidden subject fails those who deliver there, and nobody else', async () => {
  const { fake, client } = await setUp();
  const forbidden = client.group('secret').deliver({});
  const waiting = client.group('open').deliver({});
  waiting.catch(() => {});
  await sent(fake, 2);
  fake.tell(violation('publish', 'understudy.deliver.secret'));
  await expect(forbidden).rejects.toMatchObject({ code: 'forbidden', advice: 'give-up' });
  await client.close(0);
  await expect(waiting).rejects.toMatchObject({ code: 'timeout' });
});

test('who may not hear answers is told at every call', async () => {
  const { fake, client } = await setUp();
  const group = client.group('g');
  const first = group.deliver({});
  await sent(fake, 1);
  fake.tell(violation('subscription', fake.subscribed[0] ?? ''));
  await expect(first).rejects.toMatchObject({ code: 'forbidden', details: { outcome: 'unknown' } });
  const second = group.deliver({});
  await expect(second).rejects.toMatchObject({
    code: 'forbidden',
    details: { outcome: 'not-taken' },
  });
  await client.close(0);
});

test('a connection that ends for good ends what waits', async () => {
  const { fake, client } = await setUp();
  const waiting = client.group('g').query('get');
  await sent(fake, 1);
  fake.end();
  await expect(waiting).rejects.toMatchObject({ code: 'broker-unavailable' });
  await client.close(0);
});

test('what the broker would not carry is too large', async () => {
  const { client } = await setUp();
  const large = client.group('g').deliver('x'.repeat(100_000));
  await expect(large).rejects.toMatchObject({
    code: 'too-large',
    message: expect.stringContaining('max_payload is 65536'),
  });
  await client.close(0);
});

test('each attempt has a reply subject of its own', async () => {
  const { fake, client } = await setUp();
  const group = client.group('g');
  const all = [group.deliver(1), group.query('get')];
  for (const one of all) one.catch(() => {});
  await sent(fake, 2);
  fake.tell({ type: 'disconnect', server: 'one' });
  await nextTurn();
  fake.tell({ type: 'reconnect', server: 'two' });
  await sent(fake, 4);
  expect(new Set(fake.published.map(({ reply }) => reply)).size).toBe(4);
  await client.close(0);
});
