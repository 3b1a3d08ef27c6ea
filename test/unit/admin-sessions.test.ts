import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { limits } from '../../replication/limits.js';
import { serve } from '../support/admin-server.js';

const path = '/v1/groups/c/events';

describe('a named session', () => {
  test('makes a request repeatable', async () => {
    const { ndjson, backend } = await serve();
    const lines = '{"by":1}\n{"by":\n{"by":2}\n{"by":-9}\n';
    const headers = { 'understudy-session': 'mine;11;3' };
    const first = (await ndjson(path, lines, headers)).body;
    const again = (await ndjson(path, lines, headers)).body;
    expect(first.duplicate).toBe(false);
    expect(again.duplicate).toBe(true);
    expect(again.results).toMatchObject([
      { seq: 1, duplicate: true },
      { code: 'bad-request' },
      { seq: 2, duplicate: true },
      { code: 'insufficient-funds', duplicate: true },
    ]);
    expect(backend.total('c')).toBe(3);
    const numbers = backend.batches.map(({ session, floor, first: n, count }) => [
      session,
      floor,
      n,
      count,
    ]);
    const once = [
      ['mine', 3, 11, 1],
      ['mine', 3, 13, 2],
    ];
    expect(numbers).toEqual([...once, ...once]);
  });

  test('numbers single and listed events, too', async () => {
    const { call, backend } = await serve();
    const headers = { 'content-type': 'application/json', 'understudy-session': 's;5;5' };
    await call('POST', path, { by: 1 }, headers);
    const { body } = await call('POST', path, { events: [{ by: 1 }, { by: 2 }] }, headers);
    expect(body.results).toMatchObject([{ seq: 1, duplicate: true }, { seq: 2 }]);
    expect(backend.total('c')).toBe(3);
  });

  test('cuts batches by the lines alone', async () => {
    const { ndjson, backend } = await serve();
    const text = '{"by":1}\n'.repeat(10_000);
    async function* slowly() {
      for (let at = 0; at < text.length; at += 7001) {
        yield Buffer.from(text.slice(at, at + 7001));
        await turn();
      }
    }
    const headers = { 'understudy-session': 's;1;1' };
    await ndjson(path, slowly(), headers);
    await ndjson(path, text, headers);
    const cuts = backend.batches.map(({ first, count }) => [first, count]);
    const once = [
      [1, 4096],
      [4097, 4096],
      [8193, 1808],
    ];
    expect(cuts).toEqual([...once, ...once]);
  });

  test('refuses lines beyond its window', async () => {
    const { ndjson } = await serve();
    const { body } = await ndjson(path, '{"by":1}\n{"by":1}\n', {
      'understudy-session': `s;${limits.sessionWindow};1`,
    });
    expect(body.results).toMatchObject([{ seq: 1 }, { code: 'too-large' }]);
  });

  test.each(['s', 's;1', 's;0;0', 's;1;1;1', 'a b;1;1', ';1;1', `${'s'.repeat(65)};1;1`, 's;1;x'])(
    'refuses the header %s',
    async (session) => {
      const { ndjson } = await serve();
      const answer = await ndjson(path, '{"by":1}', { 'understudy-session': session });
      expect(answer.body).toMatchObject({
        status: 400,
        detail: expect.stringMatching(/headers.understudy-session: expected <id>/),
      });
    },
  );

  test('refuses a floor above the first number', async () => {
    const { ndjson } = await serve();
    const answer = await ndjson(path, '{"by":1}', { 'understudy-session': 's;1;2' });
    expect(answer.body).toMatchObject({
      status: 400,
      detail: expect.stringMatching(/floor 2 is above the first number 1/),
    });
  });
});

describe('requests without a session', () => {
  test('share as few as they can', async () => {
    const { call, backend } = await serve();
    await call('POST', path, { by: 1 });
    await call('POST', path, { events: [{ by: 1 }, { by: 1 }] });
    await call('POST', path, { by: 1 });
    const numbers = backend.batches.map(({ floor, first }) => [floor, first]);
    expect(numbers).toEqual([
      [1, 1],
      [2, 2],
      [4, 4],
    ]);
    expect(new Set(backend.batches.map(({ session }) => session)).size).toBe(1);
    expect(backend.total('c')).toBe(4);
  });

  test('at the same time have one each', async () => {
    const { call, backend } = await serve();
    let open = () => {};
    backend.gate = new Promise((resolve) => {
      open = resolve;
    });
    backend.onDeliver = () => backend.outstanding === 3 && open();
    await Promise.all([1, 2, 3].map((by) => call('POST', path, { by })));
    expect(new Set(backend.batches.map(({ session }) => session)).size).toBe(3);
    expect(backend.total('c')).toBe(6);
  });
});
