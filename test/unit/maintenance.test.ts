/** Cordons and pauses from outside: routes, client and command against a backend without a cluster. */
import { describe, expect, test } from 'vitest';
import { createAdminClient } from '../../src/client/admin.js';
import { serve } from '../support/admin-server.js';
import { cli } from '../support/cli.js';

const day = 86_400_000;

describe('routes', () => {
  test('cordon a node, and show it', async () => {
    const { call, backend } = await serve();
    const cordoned = await call('POST', '/v1/nodes/n1/cordon');
    expect([cordoned.status, cordoned.body]).toEqual([200, backend.nodeDocuments[0]]);
    expect((await call('GET', '/v1/nodes/n1')).body.cordoned).toBe(true);
    expect((await call('POST', '/v1/nodes/n1/uncordon', {})).body.cordoned).toBe(false);
    expect((await call('POST', '/v1/nodes/n9/cordon')).body.code).toBe('node-not-found');
    expect(backend.actors).toEqual(['local', 'local', 'local']);
  });

  test.each([
    ['/v1/groups/c', 'c', 'group'],
    ['/v1', null, 'all'],
  ] as const)('pause and resume %s', async (path, group, scope) => {
    const { call, backend } = await serve();
    const paused = await call('POST', `${path}/pause`, { ttlMs: day, reason: 'new disks' });
    const pause = { scope, reason: 'new disks', by: 'local', until: '1970-01-02T00:00:00.000Z' };
    expect([paused.status, paused.body]).toEqual([200, { pause }]);
    expect(backend.pauses.get(group)).toEqual(pause);
    const shown = await call('GET', group === null ? '/v1/cluster' : '/v1/groups/c');
    expect(shown.body.pause).toEqual(pause);
    expect((await call('POST', `${path}/resume`)).body).toEqual({ pause: null });
    expect(backend.pauses.has(group)).toBe(false);
    expect((await call('POST', `${path}/pause`)).status).toBe(200);
  });

  test.each([
    [{ ttlMs: 0 }, /body.ttlMs/],
    [{ ttlMs: 7 * day + 1 }, /body.ttlMs/],
    [{ ttlMs: '1h' }, /body.ttlMs/],
    [{ reason: 'x'.repeat(257) }, /body.reason/],
    [{ ttl: 1 }, /ttl/],
  ])('refuse a pause of %j', async (body, detail) => {
    const { call, backend } = await serve();
    for (const path of ['/v1/pause', '/v1/groups/c/pause']) {
      const refused = await call('POST', path, body);
      expect(refused.body).toMatchObject({ code: 'bad-request' });
      expect(refused.body.detail).toMatch(detail);
    }
    expect(backend.pauses.size).toBe(0);
  });

  test.each([
    [{ priorities: { n1: 1001 } }, /priorities/],
    [{ priorities: { n1: 0.5 } }, /priorities/],
    [{ priorities: { 'a b': 1 } }, /priorities/],
    [
      { priorities: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`n${i}`, 1])) },
      /at most 64 nodes/,
    ],
    [{ nodes: [] }, /nodes/],
    [{ spread: 'rack' }, /spread/],
  ])('refuse a placement of %j', async (placement, detail) => {
    const { call } = await serve();
    const refused = await call('POST', '/v1/groups', { name: 'd', kind: 'counter', placement });
    expect(refused.body).toMatchObject({ code: 'bad-request' });
    expect(refused.body.detail).toMatch(detail);
  });
});

test('doctor shows what was found, and fails if something did', async () => {
  const { call, backend, url } = await serve();
  const fine = { level: 'ok', code: 'clock', about: 'n1', seen: '0 ms' } as const;
  const nothing = { expected: null, advice: null };
  backend.findings = [{ ...fine, ...nothing }];
  expect((await call('GET', '/v1/doctor')).body).toMatchObject({ ok: true, node: 'n1' });
  const well = await cli(['--url', url, 'doctor']);
  expect([well.code, well.stdout]).toEqual([0, expect.stringMatching(/^ok +clock +n1 +0 ms/m)]);
  const advice = 'Set it.';
  backend.findings = [
    { level: 'fail', code: 'replicas', about: null, seen: '1', expected: '3', advice },
    { ...fine, ...nothing },
  ];
  const sick = await cli(['--url', url, 'doctor']);
  expect(sick.code).toBe(1);
  expect(sick.stdout).toMatch(/^fail {2}replicas: expected 3. Set it.$/m);
  expect(sick.stdout).toMatch(/1 failed, 0 to look at, 1 ok/);
  const json = await cli(['--url', url, '--json', 'doctor']);
  expect([json.code, json.json()]).toEqual([1, expect.objectContaining({ ok: false })]);
});

describe('a loss', () => {
  const loss = {
    fromSeq: 6,
    toSeq: 9,
    epoch: 2,
    endsAt: { seq: 5, epoch: 1 },
    found: 'the stream ends',
    heldBy: [{ index: 1, nodeId: 'n2', syncedThrough: 8 }],
  };

  test('is shown, and accepted with where the log ends', async () => {
    const { call, backend, url } = await serve();
    backend.lost = loss;
    expect((await call('GET', '/v1/groups/c')).body.lost).toEqual(loss);
    const path = '/v1/groups/c/accept-loss';
    expect((await call('POST', path, { through: 4 })).body.code).toBe('conflict');
    expect((await call('POST', path, {})).body).toMatchObject({ code: 'bad-request' });
    expect((await call('POST', path, { through: '5' })).body.code).toBe('bad-request');
    expect(backend.lost).toEqual(loss);
    const accepted = await createAdminClient({ url }).acceptLoss('c', 5);
    expect(accepted).toMatchObject({ lost: null, losses: [{ through: 5, lostSeq: 9 }] });
  });

  test('is shown and accepted by the command', async () => {
    const { backend, url } = await serve();
    const understudy = (...args: string[]) => cli(['--url', url, ...args]);
    backend.lost = loss;
    const words = 'LOG LOST seqs 6 to 9, it ends at 5; member 1 on n2 holds the state at seq 8';
    expect((await understudy('groups')).stdout).toContain(words);
    expect((await understudy('accept-loss', 'c')).code).toBe(2);
    expect((await understudy('accept-loss', 'c', '--through', '4')).code).toBe(1);
    const accepted = await understudy('accept-loss', 'c', '--through', '5');
    expect(accepted.code).toBe(0);
    expect(accepted.stdout).toMatch(/^lost {4}seqs 6 to 9, accepted by local at /m);
  });
});

test('the client asks for all of it', async () => {
  const { url, backend } = await serve();
  const client = createAdminClient({ url });
  expect((await client.cordon('n1')).cordoned).toBe(true);
  expect((await client.uncordon('n1')).cordoned).toBe(false);
  expect((await client.pause('c', { ttlMs: 1000 })).pause?.scope).toBe('group');
  expect((await client.pause(null)).pause?.scope).toBe('all');
  expect(await client.resume('c')).toEqual({ pause: null });
  expect([...backend.pauses.keys()]).toEqual([null]);
  await client.resume(null);
  expect(backend.pauses.size).toBe(0);
});

describe('the command', () => {
  async function served() {
    const server = await serve();
    const understudy = (...args: string[]) => cli(['--url', server.url, ...args]);
    return { ...server, understudy };
  }

  test('cordons', async () => {
    const { understudy } = await served();
    expect((await understudy('cordon', 'n1')).stdout).toMatch(/^n1 +up, cordoned/m);
    expect((await understudy('nodes')).stdout).toMatch(/^n1 +up, cordoned/m);
    expect((await understudy('uncordon', 'n1')).stdout).toMatch(/^n1 +up +\d/m);
    expect((await understudy('cordon', 'n9')).stderr).toMatch(/node-not-found/);
  });

  test('pauses one group and says so wherever it is shown', async () => {
    const { understudy } = await served();
    const paused = await understudy('pause', 'c', '--ttl', '2d', '--reason', 'new disks');
    const words = 'paused by local until 1970-01-03T00:00:00.000Z: new disks';
    expect(paused.stdout).toBe(`c: ${words}\n`);
    expect((await understudy('groups')).stdout).toContain(words);
    expect((await understudy('resume', 'c')).stdout).toBe('c: not paused\n');
    expect((await understudy('groups')).stdout).not.toContain('paused');
    const json = await understudy('pause', 'c', '--json');
    expect(json.json()).toMatchObject({ pause: { scope: 'group', reason: null } });
  });

  test('pauses all groups', async () => {
    const { understudy, backend } = await served();
    await understudy('pause', '--all', '--ttl', '500ms');
    expect(backend.pauses.get(null)?.until).toBe('1970-01-01T00:00:00.500Z');
    expect((await understudy('status')).stdout).toMatch(/^PAUSED {2}all paused by local until/m);
    expect((await understudy('resume', '--all')).stdout).toBe('all groups: not paused\n');
    expect((await understudy('status')).stdout).not.toContain('PAUSED');
  });

  test('creates a group with its placement, and shows that', async () => {
    const { understudy } = await served();
    const placed = ['--nodes', 'a,b', '--spread', 'zone', '--priorities', 'a=10,b=-1'];
    const created = await understudy('create', 'd', '--kind', 'counter', ...placed);
    expect(created.stdout).toMatch(
      /^placed {2}only on a, b; zones before loads; priorities a=10, b=-1$/m,
    );
    expect((await understudy('group', 'c')).stdout).not.toMatch(/^placed/m);
  });

  test.each([
    [['pause'], /name one group, or --all/],
    [['pause', 'c', '--all'], /name one group, or --all/],
    [['resume'], /name one group, or --all/],
    [['pause', 'c', '--ttl', '1'], /whole number and ms, s, m, h or d/],
    [['pause', 'c', '--ttl', '0s'], /whole number and ms, s, m, h or d/],
    [['create', 'd', '--kind', 'k', '--priorities', 'a:1'], /such as a=10,b=-1/],
    [['create', 'd', '--kind', 'k', '--spread', 'rack'], /Allowed choices are node, zone/],
  ])('%j is wrong', async (args, message) => {
    const { code, stderr, stdout } = await cli(args);
    expect(stderr).toMatch(message);
    expect([code, stdout]).toEqual([2, '']);
  });
});
