/** Input that is wrong, huge or hostile, against a node that must stay up and small. */
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cluster, startSharedCluster } from '../support/cluster.js';
import { readEvents } from '../support/load.js';
import type { NodeProcess } from '../support/node-process.js';

let cluster: Cluster;
let node: NodeProcess;

beforeAll(async () => {
  cluster = await startSharedCluster();
  node = cluster.nodes[0] as NodeProcess;
  await cluster.createGroup({ name: 'c', kind: 'counter' });
});

afterAll(() => cluster.remove());

const json = 'application/json';

async function send(path: string, body: NonNullable<RequestInit['body']>, type = json) {
  const init = { method: 'POST', body, headers: { 'content-type': type }, duplex: 'half' };
  const response = await fetch(node.adminUrl + path, init as RequestInit);
  return { status: response.status, body: JSON.parse(await response.text()) };
}

const deliver = (body: string, type?: string) => send('/v1/groups/c/events', body, type);

const tenMiB = 'x'.repeat(10 * 1024 * 1024);

test.each([
  ['half an object', '{"by":', json, 400, 'bad-request'],
  ['no JSON at all', '\u0000\u0001', json, 400, 'bad-request'],
  ['a wrong content type', '{"by":1}', 'text/csv', 415, 'unsupported'],
  ['an event of 10 MiB', `{"by":"${tenMiB}"}`, json, 413, 'too-large'],
  [
    'an event of 10 MiB in NDJSON',
    `{"by":"${tenMiB}"}\n`,
    'application/x-ndjson',
    200,
    'too-large',
  ],
  ['a field the kind does not know', '{"by":1,"to":2}', json, 422, 'rejected'],
  ['NaN', '{"by":NaN}', json, 400, 'bad-request'],
  ['a number beyond all floats', '{"by":1e999}', json, 400, 'bad-request'],
  ['100,000 levels', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`, json, 400, 'bad-request'],
  ['a prototype', '{"__proto__":{"by":1}}', json, 400, 'bad-request'],
  ['a prototype deep inside', '{"by":{"constructor":{"prototype":{}}}}', json, 422, 'rejected'],
  ['no event', '{"events":[]}', json, 400, 'bad-request'],
])('%s is refused with a reason, and the group takes the next event', async (...given) => {
  const [, text, type, status, code] = given;
  const before = (await cluster.admin.group('c')).seq;
  const answer = await deliver(text, type);
  expect(answer.status).toBe(status);
  const problem = status === 200 ? answer.body.results[0] : answer.body;
  expect(problem).toMatchObject({ code, detail: expect.stringMatching(/\w{3}/) });
  expect(JSON.stringify(answer.body).length).toBeLessThan(2000);
  expect(await deliver('{"by":1}')).toMatchObject({ status: 200, body: { seq: before + 1 } });
});

test.each([
  ['/v1/groups', '{"name":"x","kind":"counter","colour":"red"}'],
  ['/v1/groups', '{"name":"x","kind":"counter","__proto__":{"memberCount":2}}'],
  ['/v1/groups', '{"name":"a.b","kind":"counter"}'],
  ['/v1/groups/c/switchover', '{"leader":"node-1","now":true}'],
  ['/v1/groups/c/failover', '[]'],
  ['/v1/groups/c/query', '{"name":7}'],
  ['/v1/groups/c/sync', '{"all":true}'],
])('POST %s does not take %s', async (path, body) => {
  const answer = await send(path, body);
  expect(answer).toMatchObject({ status: 400, body: { code: 'bad-request' } });
  expect((await cluster.admin.groups()).map(({ name }) => name)).toEqual(['c']);
});

const lineCount = 300_000;
const badEvery = 100;
/** Twice what it takes: 141 were measured, garbage collection included. */
const mostResidentMiB = 300;

function* manyLines(): Generator<Buffer> {
  let text = '';
  for (let line = 1; line <= lineCount; line++) {
    text += line % badEvery === 0 ? `{"by":${line}\n` : `{"by":${line}}\n`;
    if (line % 1000 !== 0) continue;
    yield Buffer.from(text);
    text = '';
  }
}

function residentMiB(field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${node.pid}/status`, 'utf8');
  const kib = new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1];
  return Number(kib) / 1024;
}

test.runIf(process.platform === 'linux')(
  '300,000 lines with every hundredth broken: an answer for each, in bounded memory',
  async () => {
    await cluster.createGroup({ name: 'many', kind: 'counter' });
    const body = Readable.toWeb(Readable.from(manyLines())) as ReadableStream;
    const answer = await send('/v1/groups/many/events', body, 'application/x-ndjson');
    expect(answer.status).toBe(200);
    expect(answer.body.problem).toBeUndefined();
    const { results } = answer.body as {
      results: { seq?: number; code?: string; detail?: string }[];
    };
    expect(results).toHaveLength(lineCount);
    const wrong = results.filter(({ code, seq, detail }, i) => {
      const line = i + 1;
      if (line % badEvery !== 0) return seq !== line - Math.floor(line / badEvery);
      return code !== 'bad-request' || !detail?.startsWith(`line ${line}: `);
    });
    expect(wrong).toEqual([]);
    expect(residentMiB('VmHWM')).toBeLessThan(mostResidentMiB);
    const events = await readEvents(cluster.admin, 'many');
    expect(events).toHaveLength(lineCount - lineCount / badEvery);
    const misplaced = events.filter(({ seq, event }) => {
      const { by } = event as { by: number };
      return seq !== by - Math.floor(by / badEvery);
    });
    expect(misplaced).toEqual([]);
    expect(node.isRunning).toBe(true);
  },
  60_000,
);
