import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { UnderstudyError } from '../../replication/errors.js';
import { serve } from '../support/admin-server.js';
import { type CliOptions, cli } from '../support/cli.js';
import { FakeBackend, nodeDocument } from '../support/fake-backend.js';

async function file(text: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'understudy-cli-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const path = join(directory, 'events.ndjson');
  await writeFile(path, text);
  return path;
}

async function served() {
  const server = await serve();
  const deliver = (args: string[], options: CliOptions = {}) =>
    cli(['--url', server.url, 'deliver', 'c', ...args], options);
  return { ...server, deliver };
}

const ones = (count: number) => '{"by":1}\n'.repeat(count);

describe('a file', () => {
  test('is delivered and summed up', async () => {
    const { deliver, backend } = await served();
    const { code, stdout, stderr } = await deliver([await file(ones(5000))]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toBe('accepted 5000, rejected 0, duplicate 0, seq 5000\n');
    expect(backend.total('c')).toBe(5000);
    expect(backend.mostOutstanding).toBe(1);
  });

  test('may come from standard input', async () => {
    const { deliver } = await served();
    for (const args of [[], ['-']]) {
      const { stdout } = await deliver(args, { stdin: ['{"by":', '1}\n\n{"by":2}'] });
      expect(stdout).toMatch(/^accepted 2, rejected 0, duplicate 0/);
    }
  });

  test('names the lines that were rejected, as they are in the file', async () => {
    const { deliver } = await served();
    const long = `{"by":1,"a":"${'x'.repeat(300_000)}"}`;
    const lines = ['{"by":1}', '', '{"by":-5}', '{"by":', long, '{"by":"x"}', '{"by":1}'];
    const { code, stdout, stderr } = await deliver([await file(lines.join('\n'))]);
    expect(code).toBe(0);
    expect(stdout).toBe('accepted 2, rejected 4, duplicate 0, seq 2\n');
    expect(stderr.trimEnd().split('\n')).toEqual([
      'line 3: insufficient-funds: 1 are there',
      expect.stringMatching(/^line 4: bad-request: not JSON: /),
      'line 5: too-large: 300015 bytes, and 262144 are the limit of one event',
      'line 6: bad-request: by is x, not an integer',
    ]);
  });

  test('keeps what cannot be an event, so that batches stay whole', async () => {
    const { deliver, backend } = await served();
    const lines = `${ones(99)}{"by":\n`.repeat(10);
    const { stdout } = await deliver([await file(lines)]);
    expect(stdout).toBe('accepted 990, rejected 10, duplicate 0, seq 990\n');
    expect(backend.batches.map(({ count }) => count)).toEqual([990]);
  });

  test('that is empty is delivered, too', async () => {
    const { deliver, backend } = await served();
    const { code, json } = await deliver(['--json', await file('\n\n')]);
    expect(code).toBe(0);
    expect(json()).toEqual({ accepted: 0, rejected: 0, duplicate: 0, seq: null, token: null });
    expect(backend.batches).toEqual([]);
  });

  test('that cannot be read is refused', async () => {
    const { deliver } = await served();
    const missing = await deliver(['/nowhere/x']);
    expect(missing.code).toBe(1);
    expect(missing.stderr).toMatch(/cannot read \/nowhere\/x: ENOENT/);
    expect((await deliver([tmpdir()])).stderr).toMatch(/it is a directory/);
  });

  test('of long lines is cut into chunks that fit', async () => {
    const { deliver } = await served();
    const line = `{"by":1,"a":"${'x'.repeat(200_000)}"}\n`;
    const { stdout } = await deliver([await file(line.repeat(5))]);
    expect(stdout).toMatch(/^accepted 5,/);
  });
});

describe('keys', () => {
  const keyed = Array.from({ length: 3000 }, (_, i) => `{"by":1,"id":"e${i}"}\n`).join('');

  test('make a second run harmless, and the summary says so', async () => {
    const { deliver, backend } = await served();
    const path = await file(keyed);
    const first = await deliver([path, '--key-field', 'id', '--json']);
    const all = { accepted: 3000, rejected: 0, duplicate: 0, seq: 3000, token: '1.1.2bc' };
    expect(first.json()).toEqual(all);
    const path2 = await file(`${keyed}{"by":1,"id":"more"}\n`);
    const second = await deliver([path2, '--key-field', 'id', '--json']);
    const more = { accepted: 1, rejected: 0, duplicate: 3000, seq: 3001, token: '1.1.2bd' };
    expect(second.json()).toEqual(more);
    expect(backend.total('c')).toBe(3001);
  });

  test('that come twice in a file count once', async () => {
    const { deliver } = await served();
    const lines = '{"by":1,"id":7}\n{"by":1,"id":8}\n{"by":1,"id":7}\n';
    const { stdout } = await deliver([await file(lines), '--key-field', 'id']);
    expect(stdout).toBe('accepted 2, rejected 0, duplicate 1, seq 2\n');
  });

  test('that are missing or no keys reject their lines', async () => {
    const { deliver } = await served();
    const lines = '{"by":1}\n{"by":1,"id":null}\n{"by":1,"id":""}\n[]\n{"by":1,"id":"a"}\n{';
    const { stdout, stderr } = await deliver([await file(lines), '--key-field', 'id']);
    expect(stdout).toMatch(/^accepted 1, rejected 5,/);
    expect(stderr).toMatch(/^line 1: bad-request: the key field "id" is missing/m);
    expect(stderr).toMatch(/^line 2: bad-request: the key field "id" is null/m);
    expect(stderr).toMatch(/^line 4: bad-request: the key field "id" is missing/m);
    expect(stderr).toMatch(/^line 6: bad-request: not JSON/m);
  });

  test('leave the event as it is', async () => {
    const { deliver, backend } = await served();
    await deliver([await file('{"id": "a\\"b",  "by": 1.0}'), '--key-field', 'id']);
    const page = await backend.events('c', { from: 1, to: null, limit: 1 });
    expect(page.events[0]?.event).toEqual({ id: 'a"b', by: 1 });
    expect(backend.batches[0]?.keys).toEqual(['a"b']);
  });
});

describe('trouble on the way', () => {
  test('answers that get lost are asked for again, and nothing is applied twice', async () => {
    const { deliver, backend } = await served();
    backend.loseAnswers = 2;
    const { code, stdout } = await deliver([await file(ones(4500))]);
    expect(code).toBe(0);
    expect(stdout).toBe('accepted 4500, rejected 0, duplicate 0, seq 4500\n');
    expect(backend.total('c')).toBe(4500);
    const [first] = backend.batches;
    expect(backend.batches[1]).toMatchObject({ session: first?.session, first: 1, floor: 1 });
  });

  test('a node that dies is replaced by another', async () => {
    const backend = new FakeBackend('c');
    const one = await serve(backend);
    const two = await serve(backend);
    backend.nodeDocuments = [nodeDocument('n1', one.url), nodeDocument('n2', two.url)];
    backend.onDeliver = () => backend.batches.length === 2 && one.kill();
    const { code, stdout } = await cli(['--url', one.url, 'deliver', 'c', await file(ones(9000))]);
    expect(code).toBe(0);
    expect(stdout).toBe('accepted 9000, rejected 0, duplicate 0, seq 9000\n');
    expect(backend.total('c')).toBe(9000);
  });

  test('what stays away too long ends it, with what was done', async () => {
    const { deliver, backend } = await served();
    const gone = () => new UnderstudyError('timeout', 'no active');
    backend.deliverErrors = [undefined, ...Array.from({ length: 100 }, gone)];
    const args = [await file(ones(4000)), '--timeout', '250'];
    const { code, stdout, stderr } = await deliver(args);
    expect(code).toBe(1);
    expect(stdout).toBe('accepted 2000, rejected 0, duplicate 0, seq 2000\n');
    expect(stderr).toBe('understudy: timeout: no active\n');
    const json = await deliver([...args, '--json']);
    expect(json.json()).toMatchObject({ accepted: 0, error: { code: 'timeout' } });
  });

  test('a cluster that dies is unreachable', async () => {
    const { deliver, backend, kill } = await served();
    backend.onDeliver = () => kill();
    const { code, stderr } = await deliver([await file(ones(10)), '--timeout', '200']);
    expect(code).toBe(3);
    expect(stderr).toMatch(/understudy: unreachable:/);
  });

  test('a refusal is not repeated', async () => {
    const { url } = await served();
    const { code, stderr } = await cli(['--url', url, 'deliver', 'x', await file(ones(1))]);
    expect(code).toBe(1);
    expect(stderr).toBe('understudy: group-not-found: no group x\n');
  });
});

describe('on a terminal', () => {
  test('progress goes to stderr and leaves the summary alone', async () => {
    const { deliver } = await served();
    const path = await file(`${ones(3000)}{"by":-9999}\n`);
    const { stdout, stderr } = await deliver([path], { terminal: true });
    expect(stdout).toBe('accepted 3000, rejected 1, duplicate 0, seq 3000\n');
    expect(stderr).toMatch(/100% \| 3001 lines \| \d+ lines\/s/);
    expect(stderr).toContain('line 3001: insufficient-funds: 3000 are there\n');
  });
});
