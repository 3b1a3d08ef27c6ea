import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { UnderstudyError } from '../../replication/errors.js';
import { limits } from '../../replication/limits.js';
import { deliverMany } from '../../src/admin/delivery.js';
import type { Incoming } from '../../src/admin/incoming.js';
import { SessionPool } from '../../src/admin/numbering.js';
import { type Answer, serve } from '../support/admin-server.js';
import { FakeBackend } from '../support/fake-backend.js';

const path = '/v1/groups/c/events';

function nested(levels: number): string {
  return `{"by":1,"in":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`;
}

function expectRefusal(answer: Answer, status: number, code: string, detail: RegExp): void {
  expect(answer.body).toMatchObject({ status, code, detail: expect.stringMatching(detail) });
  expect(answer.status).toBe(status);
}

describe('one event', () => {
  test('is answered with its seq', async () => {
    const { call } = await serve();
    const { status, body } = await call('POST', path, { by: 2 });
    expect(status).toBe(200);
    const results = [{ seq: 1, result: { total: 2 } }];
    expect(body).toEqual({ results, seq: 1, epoch: 1, duplicate: false, token: '1.1.1' });
  });

  test('that the kind refuses is 422 with the reason of the kind', async () => {
    const { call } = await serve();
    const answer = await call('POST', path, { by: -1 });
    expectRefusal(answer, 422, 'rejected', /^insufficient-funds: 0 are there$/);
    expect(answer.body.rejection).toEqual({ code: 'insufficient-funds', detail: '0 are there' });
  });

  test('with a key is applied once', async () => {
    const { call, backend } = await serve();
    const headers = { 'content-type': 'application/json', 'idempotency-key': 'k1' };
    const first = await call('POST', path, { by: 2 }, headers);
    const again = await call('POST', path, { by: 2 }, headers);
    expect(first.body.duplicate).toBe(false);
    expect(again.body).toMatchObject({ seq: 1, duplicate: true, results: [{ duplicate: true }] });
    const keyed = await call('POST', path, { key: 'k1', event: { by: 2 } });
    expect(keyed.body.duplicate).toBe(true);
    expect(backend.total('c')).toBe(2);
    const both = await call('POST', path, { key: 'k2', event: { by: 2 } }, headers);
    expectRefusal(both, 400, 'bad-request', /Idempotency-Key is k1 and the event's own key k2/);
  });

  test('may use the names of prototypes, except the dangerous one', async () => {
    const { call, backend } = await serve();
    const event = { by: 1, constructor: { prototype: 1 } };
    expect((await call('POST', path, event)).status).toBe(200);
    expect((await backend.events('c', { from: 1, to: null, limit: 1 })).events[0]?.event).toEqual(
      event,
    );
    const bad = await call('POST', path, '{"by":1,"a":[{"__proto__":{"polluted":1}}]}');
    expectRefusal(bad, 400, 'bad-request', /__proto__/);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  test('passes the time the caller has', async () => {
    const { call } = await serve();
    expect((await call('POST', `${path}?timeoutMs=5`, { by: 1 })).status).toBe(200);
    expectRefusal(
      await call('POST', `${path}?timeoutMs=0`, { by: 1 }),
      400,
      'bad-request',
      /timeoutMs/,
    );
  });

  test('meets the errors of the backend', async () => {
    const { call, backend } = await serve();
    expectRefusal(await call('POST', '/v1/groups/x/events', {}), 404, 'group-not-found', /x/);
    backend.deliverErrors = [new UnderstudyError('timeout', 'outcome unknown')];
    expectRefusal(await call('POST', path, { by: 1 }), 504, 'timeout', /outcome unknown/);
    backend.deliverErrors = [new UnderstudyError('overloaded', 'full')];
    expectRefusal(await call('POST', path, { by: 1 }), 429, 'overloaded', /full/);
  });
});

describe('a body that is no event', () => {
  test.each([
    ['half an object', '{"by":', 400, 'bad-request', /not JSON/],
    ['nothing', '', 400, 'bad-request', /not JSON/],
    ['a number', '5', 400, 'bad-request', /an event is a JSON object, this is a number/],
    ['null', 'null', 400, 'bad-request', /this is null/],
    ['an array', '[{"by":1}]', 400, 'bad-request', /this is an array/],
    ['a keyed number', '{"key":"k","event":5}', 400, 'bad-request', /this is a number/],
    ['an empty key', '{"key":"","event":{}}', 400, 'bad-request', /a key has 1 to 256 characters/],
    ['no events', '{"events":[]}', 400, 'bad-request', /holds no event/],
    ['infinity', '{"by":1e999}', 400, 'bad-request', /range of a 64-bit float/],
    ['65 levels', nested(limits.valueDepth + 1), 400, 'bad-request', /nested deeper than 64/],
    [
      'a large event',
      `{"a":"${'x'.repeat(limits.eventSizeBytes)}"}`,
      413,
      'too-large',
      /262144 are the limit/,
    ],
    ['10 MiB', `{"a":"${'x'.repeat(10_485_760)}"}`, 413, 'too-large', /too large/],
  ])('%s', async (_name, body, status, code, detail) => {
    const { call, backend } = await serve();
    expectRefusal(await call('POST', path, body), status, code, detail);
    expect(backend.batches).toEqual([]);
  });

  test('as deep as allowed is fine', async () => {
    const { call } = await serve();
    expect((await call('POST', path, nested(limits.valueDepth))).status).toBe(200);
  });

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'text/event-stream'])(
    'content type %s',
    async (type) => {
      const { call } = await serve();
      const answer = await call('POST', path, '{"by":1}', { 'content-type': type });
      expectRefusal(answer, 415, 'unsupported', /application\/x-ndjson; the request has/);
    },
  );

  test('content encoding', async () => {
    const { ndjson } = await serve();
    const answer = await ndjson(path, 'x', { 'content-encoding': 'gzip' });
    expectRefusal(answer, 415, 'unsupported', /content encoding gzip/);
  });
});

describe('several events', () => {
  test('are answered in order, each on its own', async () => {
    const { call, backend } = await serve();
    const events = [{ by: 1 }, { by: -5 }, 7, { key: 'k', event: { by: 2 } }, { by: 3 }];
    const { status, body } = await call('POST', path, { events });
    expect(status).toBe(200);
    expect(body.results).toEqual([
      { seq: 1, result: { total: 1 } },
      { code: 'insufficient-funds', detail: '1 are there' },
      { code: 'bad-request', detail: 'events[2]: an event is a JSON object, this is a number' },
      { seq: 2, result: { total: 3 } },
      { seq: 3, result: { total: 6 } },
    ]);
    expect(body).toMatchObject({ seq: 3, epoch: 1, duplicate: false });
    expect(backend.batches.map(({ keys }) => keys)).toEqual([[null, null, 'k', null]]);
  });

  test('all refused at the edge never reach the group', async () => {
    const { call, backend } = await serve();
    const { body } = await call('POST', path, { events: [1, 2] });
    expect(body).toMatchObject({ seq: null, epoch: null, duplicate: false });
    expect(body.results).toHaveLength(2);
    expect(backend.batches).toEqual([]);
  });

  test('take no Idempotency-Key', async () => {
    const { call, ndjson, backend } = await serve();
    const key = { 'idempotency-key': 'k' };
    const type = { 'content-type': 'application/json' };
    const listed = await call('POST', path, { events: [{ by: 1 }] }, { ...type, ...key });
    expectRefusal(listed, 400, 'bad-request', /Idempotency-Key is for one event/);
    const lines = await ndjson(path, '{"by":1}\n', key);
    expectRefusal(lines, 400, 'bad-request', /Idempotency-Key is for one event/);
    expect(backend.batches).toEqual([]);
  });

  test('an object with more than `events` is one event', async () => {
    const { call } = await serve();
    const { body } = await call('POST', path, { events: [], by: 4 });
    expect(body.results).toEqual([{ seq: 1, result: { total: 4 } }]);
  });
});

describe('NDJSON', () => {
  test('counts lines, skips blank ones, takes any line end', async () => {
    const { ndjson } = await serve();
    const text = '{"by":1}\r\n\n  \n{"by":\n{"by":2}\n\ufeff{"by":3}';
    const { body } = await ndjson(path, text);
    expect(body.results).toMatchObject([
      { seq: 1 },
      { code: 'bad-request', detail: expect.stringMatching(/^line 4: not JSON/) },
      { seq: 2 },
      { seq: 3, result: { total: 6 } },
    ]);
  });

  test('bytes of a line may come in any pieces', async () => {
    const { ndjson, backend } = await serve();
    async function* pieces() {
      for (const byte of Buffer.from('{"by":1,"é":"日本"}\n{"by":2}\n')) {
        yield Buffer.of(byte);
        await turn();
      }
    }
    const { body } = await ndjson(path, pieces());
    expect(body.results).toHaveLength(2);
    const { events } = await backend.events('c', { from: 1, to: 1, limit: 1 });
    expect(events[0]?.event).toEqual({ by: 1, é: '日本' });
  });

  test('a line that is too long, too deep, poisoned or not UTF-8 stops nobody', async () => {
    const { ndjson } = await serve();
    const long = `{"by":1,"a":"${'x'.repeat(1_000_000)}"}`;
    const floats = `{"by":1,"a":[${'0.1,'.repeat(60_000)}1]}`;
    const lines = [
      '{"by":1}',
      long,
      floats,
      nested(65),
      '{"__proto__":1}',
      '{"a":"\xff"}',
      '{"by":2}',
    ];
    const { body } = await ndjson(path, Buffer.from(lines.join('\n'), 'latin1'));
    expect(body.results).toMatchObject([
      { seq: 1 },
      { code: 'too-large', detail: expect.stringMatching(/^line 2: 1000015 bytes/) },
      { code: 'too-large', detail: expect.stringMatching(/^line 3: /) },
      { code: 'bad-request', detail: expect.stringMatching(/^line 4: nested/) },
      { code: 'bad-request', detail: expect.stringMatching(/^line 5: .*__proto__/) },
      { code: 'bad-request', detail: expect.stringMatching(/^line 6: .*UTF-8/) },
      { seq: 2 },
    ]);
  });
});

describe('an NDJSON stream', () => {
  test('without a line is refused', async () => {
    const { ndjson } = await serve();
    expectRefusal(await ndjson(path, '\n\n'), 400, 'bad-request', /holds no event/);
  });

  test('a failure before the first answer has its status', async () => {
    const { ndjson } = await serve();
    const answer = await ndjson('/v1/groups/x/events', '{"by":1}\n'.repeat(100_000));
    expectRefusal(answer, 404, 'group-not-found', /x/);
  });

  test('a failure after it is told behind the results that stand', async () => {
    const { ndjson, backend } = await serve();
    backend.deliverErrors = [undefined, new Error('secret')];
    const lines = '{"by":1}\n'.repeat(limits.batchEvents + 1);
    const headers = { 'understudy-session': 's;1;1' };
    const { status, body } = await ndjson(path, lines, headers);
    expect(status).toBe(200);
    expect(body.results).toHaveLength(limits.batchEvents);
    expect(body.seq).toBe(limits.batchEvents);
    expect(body.problem).toMatchObject({ code: 'internal', status: 500 });
    expect(JSON.stringify(body.problem)).not.toContain('secret');
  });

  test('50,000 lines, every hundredth broken, one batch at a time', async () => {
    const { ndjson, backend } = await serve();
    const count = 50_000;
    function* lines() {
      for (let i = 1; i <= count; i++) yield i % 100 === 0 ? '{"by":1\n' : '{"by":1}\n';
    }
    async function* pieces() {
      let piece = '';
      for (const line of lines()) {
        piece += line;
        if (piece.length < 60_000) continue;
        yield Buffer.from(piece);
        piece = '';
        await turn();
      }
      yield Buffer.from(piece);
    }
    const { body } = await ndjson(path, pieces());
    expect(body.results).toHaveLength(count);
    expect(body.results[99].detail).toMatch(/^line 100: /);
    expect(body.results[count - 2]).toEqual({ seq: 49_500, result: { total: 49_500 } });
    expect(backend.total('c')).toBe(49_500);
    expect(backend.mostOutstanding).toBe(1);
    for (const { count: events, blob } of backend.batches) {
      expect(events).toBeLessThanOrEqual(limits.batchEvents);
      expect(blob.length).toBeLessThanOrEqual(limits.batchSizeBytes);
    }
  });

  test('a group that does not answer makes the input wait', async () => {
    const backend = new FakeBackend('c');
    let open = () => {};
    backend.gate = new Promise((resolve) => {
      open = resolve;
    });
    let pulled = 0;
    function* endless(): Generator<Incoming[]> {
      for (;;) {
        pulled += 1;
        yield [{ ok: true, bytes: Uint8Array.of(0x80), key: null }];
      }
    }
    const pool = new SessionPool();
    const caller = { timeoutMs: 1, numbers: null, after: undefined };
    const delivery = { backend, pool, group: 'c', ...caller };
    const source = { source: endless(), total: null };
    const first = deliverMany(delivery, source, (error) => error as UnderstudyError);
    for (let before = -1; before !== pulled; await turn()) before = pulled;
    expect(pulled).toBeLessThanOrEqual(2 * limits.batchEvents);
    expect(backend.outstanding).toBe(1);
    open();
    const document = (await first).document[Symbol.asyncIterator]();
    await document.next();
    await document.return?.();
  });
});
