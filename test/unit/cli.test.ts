import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import type { ChaosOptions, DevOptions, NodeOptions } from '../../src/cli/io.js';
import { table } from '../../src/cli/table.js';
import { version } from '../../src/version.js';
import { serve } from '../support/admin-server.js';
import { cli, noLongCommands } from '../support/cli.js';

/** The command against a server of its own. */
async function served() {
  const server = await serve();
  const understudy = (...args: string[]) => cli(['--url', server.url, ...args]);
  return { ...server, understudy };
}

describe('usage', () => {
  test.each([
    [['nonsense'], /unknown command 'nonsense'/],
    [[], /Usage: understudy/],
    [['status', '--nonsense'], /unknown option '--nonsense'/],
    [['group'], /missing required argument 'name'/],
    [['group', 'a', 'b'], /too many arguments/],
    [['create', 'a'], /required option '--kind/],
    [['create', 'a', '--kind', 'k', '--members', '1'], /whole number from 2 to 9/],
    [['create', 'a', '--kind', 'k', '--standby', 'cold'], /Allowed choices are warm, hot/],
    [['events', 'a', '--from', '0'], /whole number from 1/],
    [['events', 'a', '--follow'], /unknown option '--follow'/],
    [['query', 'a', 'get', '{'], /expected JSON/],
    [
      ['query', 'a', '--consistency', 'eventual'],
      /Allowed choices are linearizable, local, standby/,
    ],
    [['query', 'a', '--after', '1.1'], /"1\.1" is no token/],
    [['reinit', 'a', 'b'], /whole number from 0/],
    [['switchover', 'a', '--timeout', '1s'], /whole number from 1 to 60000/],
    [['create', 'a', '--kind', 'k', '--priority', '1001'], /whole number from -1000 to 1000/],
    [['change', 'a', '--priority', '-1001'], /whole number from -1000 to 1000/],
    [['change', 'a', '--nodes', 'b', '--any-node'], /cannot be used with option/],
    [['change', 'a'], /name at least one option/],
    [['dev', '--nodes', 'x'], /whole number from 1 to 9/],
    [['chaos', '--brokers', '2'], /Allowed choices are 1, 3/],
    [['chaos', '--duration', '60'], /whole number and ms, s, m, h or d/],
  ])('%j is wrong', async (args, message) => {
    const { code, stderr, stdout } = await cli(args);
    expect(stderr).toMatch(message);
    expect([code, stdout]).toEqual([2, '']);
  });

  test('a URL that is none is wrong', async () => {
    const { code, stderr } = await cli(['status', '--url', 'localhost:7401']);
    expect(stderr).toMatch(/"localhost:7401" is not the URL of a node/);
    expect(code).toBe(2);
  });

  test('help lists the commands and exits with 0', async () => {
    const { code, stdout } = await cli(['--help']);
    expect(code).toBe(0);
    const commands =
      'dev node status nodes kinds groups group create delete deliver query events sync';
    for (const name of `${commands} change switchover failover reinit pause resume cordon uncordon history operations operation cancel replace drain restart rebalance`.split(
      ' ',
    )) {
      expect(stdout).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
    }
  });

  test('the version is the one of the package', async () => {
    const found = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
    expect(version).toBe(found.version);
    expect((await cli(['--version'])).stdout).toBe(`${version}\n`);
  });
});

describe('settings', () => {
  test('the URL comes from the environment or the option, which goes first', async () => {
    const { url } = await serve();
    const env = { UNDERSTUDY_URL: url };
    expect((await cli(['kinds'], { env })).code).toBe(0);
    const wrong = { UNDERSTUDY_URL: 'http://127.0.0.1:1' };
    expect((await cli(['kinds'], { env: wrong })).code).toBe(3);
    expect((await cli(['kinds', '--url', url], { env: wrong })).code).toBe(0);
    expect((await cli(['--url', `http://127.0.0.1:1, ${url}`, 'kinds'])).code).toBe(0);
  });

  test('the token goes along and never into the help', async () => {
    const identify = (authorization: string | undefined) => {
      const role = authorization === 'Bearer s3cret' ? 'admin' : 'viewer';
      return { name: 'x', role } as const;
    };
    const { url } = await serve(undefined, { required: true, identify });
    const refused = await cli(['delete', 'c', '--url', url]);
    expect(refused.stderr).toMatch(/forbidden: this needs the role admin/);
    const env = { UNDERSTUDY_TOKEN: 's3cret' };
    expect((await cli(['--help'], { env })).stdout).not.toContain('s3cret');
    expect((await cli(['delete', 'c', '--url', url], { env })).code).toBe(0);
  });

  test('dev and node get all their options', async () => {
    const seen: (DevOptions | NodeOptions)[] = [];
    const longCommands = {
      ...noLongCommands,
      dev: async (options: DevOptions) => (await Promise.resolve(seen.push(options))) - 1,
      node: async (options: NodeOptions) => (await Promise.resolve(seen.push(options))) + 2,
    };
    expect((await cli(['dev'], { longCommands })).code).toBe(0);
    expect((await cli(['node', '--config', 'x.json'], { longCommands })).code).toBe(4);
    const given = '--nodes 1 --data d --port 8000 --nats-port 4 --no-groups --kinds k.js'.split(
      ' ',
    );
    await cli(['dev', ...given], { longCommands });
    const none = {
      natsPort: undefined,
      kinds: undefined,
      respawn: false,
      syncInterval: '100ms',
    };
    expect(seen).toEqual([
      { nodes: 3, data: './.understudy', port: 7401, groups: true, ...none },
      { config: 'x.json' },
      {
        nodes: 1,
        data: 'd',
        port: 8000,
        natsPort: 4,
        groups: false,
        kinds: 'k.js',
        respawn: false,
        syncInterval: '100ms',
      },
    ]);
  });

  test('chaos gets all its options', async () => {
    const seen: ChaosOptions[] = [];
    const chaos = async (options: ChaosOptions) => (await Promise.resolve(seen.push(options))) + 2;
    const longCommands = { ...noLongCommands, chaos };
    const given =
      '--scenario s --seed 7 --duration 90s --brokers 1 --rate 50 --least-rate 5 --bound 2m ' +
      '--report r --data d --kinds k.js --kind k --events e.ndjson';
    expect((await cli(['chaos', ...given.split(' ')], { longCommands })).code).toBe(3);
    await cli(['chaos', '--random'], { longCommands });
    expect(seen).toEqual([
      {
        ...{
          scenario: 's',
          random: false,
          smoke: false,
          list: false,
          seed: 7,
          durationMs: 90_000,
          brokers: 1,
        },
        ...{ rate: 50, leastRate: 5, boundMs: 120_000, report: 'r', data: 'd' },
        ...{ kinds: 'k.js', kind: 'k', events: 'e.ndjson' },
      },
      {
        ...{
          scenario: null,
          random: true,
          smoke: false,
          list: false,
          seed: null,
          durationMs: 60_000,
        },
        ...{ brokers: 3, rate: 1000, leastRate: 200, boundMs: 60_000, report: null, data: null },
        ...{ kinds: null, kind: null, events: null },
      },
    ]);
  });
});

describe('failures', () => {
  test('a refusal is exit code 1 and says the code', async () => {
    const { understudy } = await served();
    const plain = await understudy('group', 'x');
    expect(plain).toMatchObject({ code: 1, stdout: '' });
    expect(plain.stderr).toBe('understudy: group-not-found: no group x\n');
    const json = await understudy('group', 'x', '--json');
    expect(json.json().error).toMatchObject({ code: 'group-not-found', detail: 'no group x' });
  });

  test('no answer is exit code 3', async () => {
    const { code, stderr } = await cli(['status', '--url', 'http://127.0.0.1:1']);
    expect(code).toBe(3);
    expect(stderr).toMatch(/^understudy: unreachable: .*127.0.0.1:1.*does the cluster run/);
    const json = await cli(['status', '--url', 'http://127.0.0.1:1', '--json']);
    expect(json.json().error.code).toBe('unreachable');
  });
});

describe('looking', () => {
  test('status tells cluster, nodes and groups', async () => {
    const { understudy } = await served();
    const { code, stdout } = await understudy('status');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^cluster test, version 0.0.0$/m);
    expect(stdout).toMatch(/^broker {2}connected: nats:\/\/127.0.0.1:1 \(s1 2.14.0\)$/m);
    expect(stdout).toMatch(/^groups {2}1: 1 healthy, 0 degraded, 0 dead$/m);
    expect(stdout).toMatch(/^n1 +up +1 +0 +- +7 +-$/m);
    expect(stdout).toMatch(/^c +counter +healthy +1\/1 +1 +n1 +0 +0 +-$/m);
  });

  test.each([
    ['status'],
    ['nodes'],
    ['kinds'],
    ['groups'],
    ['group', 'c'],
    ['history', 'c'],
    ['operations'],
  ])('%s has words and one JSON document', async (...args) => {
    const { understudy } = await served();
    const plain = await understudy(...args);
    expect(plain).toMatchObject({ code: 0, stderr: '' });
    expect(plain.stdout).toMatch(/^[A-Z]{4}/m);
    expect((await understudy(...args, '--json')).json()).toBeTypeOf('object');
  });

  test('a group shows its alarms, if there are any', async () => {
    const { understudy, backend } = await served();
    expect((await understudy('group', 'c')).stdout).not.toMatch(/ALARM/);
    const at = '2026-01-02T03:04:05.678Z';
    const detail = 'snapshot refused: chunk 3';
    backend.alarms = [{ at, index: 1, nodeId: 'n2', code: 'internal', detail }];
    const { stdout } = await understudy('group', 'c');
    expect(stdout).toMatch(/^ALARM AT +INDEX +NODE +CODE +DETAIL$/m);
    expect(stdout).toContain(`${at}      1  n2    internal  ${detail}\n`);
    expect((await understudy('group', 'c', '--json')).json().alarms).toEqual(backend.alarms);
  });

  test('columns are aligned, numbers to the right', () => {
    const rows = [
      ['a', 5, null],
      ['long name', 1234, 'x'],
    ];
    expect(table(['NAME', 'SEQ', 'NOTE'], rows)).toBe(
      'NAME        SEQ  NOTE\n' + 'a             5  -\n' + 'long name  1234  x\n',
    );
  });
});

describe('acting', () => {
  test('create and delete', async () => {
    const { understudy, backend } = await served();
    const seed = 'ab'.repeat(32);
    const made = ['create', 'd', '--kind', 'counter', '--members', '3', '--standby', 'hot'];
    const created = await understudy(...made, '--seed', seed, '--json');
    expect(created.json()).toMatchObject({ name: 'd', standby: 'hot' });
    expect((await understudy(...made)).stderr).toMatch(/group-exists/);
    expect((await understudy('delete', 'd')).stdout).toBe('deleted d\n');
    expect(await backend.groups()).toHaveLength(1);
    expect((await understudy('create', 'e', '--kind', 'x')).stderr).toMatch(/factory-not-found/);
  });

  test('sync, switchover and failover', async () => {
    const { understudy } = await served();
    expect((await understudy('sync', 'c')).stdout).toBe('standbys of c sync through seq 0\n');
    const started = await understudy('switchover', 'c', '--leader', 'n1', '--json');
    expect(started.json()).toMatchObject({ kind: 'switchover', state: 'running' });
    const waited = await understudy('failover', 'c', '--wait');
    expect(waited.stdout).toMatch(/^op2 +failover +c +done/m);
    expect(waited.stderr).toBe('failover c: begin\n');
    expect((await understudy('operation', 'op1', '--wait')).stdout).toMatch(/^op1 .* done/m);
  });

  test('a dry run tells what speaks against it', async () => {
    const { understudy, backend } = await served();
    expect((await understudy('switchover', 'c', '--dry-run')).stdout).toMatch(
      /^lag +yes +0 events$/m,
    );
    const preconditions = [{ name: 'lag', ok: false, detail: '7 events' }];
    backend.switchoverAnswer = { kind: 'dry-run', preconditions };
    const against = await understudy('switchover', 'c', '--dry-run');
    expect(against.code).toBe(1);
    expect(against.stdout).toMatch(/^lag +NO +7 events$/m);
  });

  test('a member begins anew, and the active does not', async () => {
    const { understudy } = await served();
    const started = await understudy('reinit', 'c', '1', '--json');
    expect(started.json()).toMatchObject({ kind: 'reinit', target: 'c/1', state: 'running' });
    expect((await understudy('reinit', 'c', '2', '--wait')).stdout).toMatch(/reinit +c\/2 +done/);
    const active = await understudy('reinit', 'c', '0');
    expect(active).toMatchObject({ code: 1, stderr: expect.stringMatching(/switch over first/) });
    expect((await understudy('reinit', 'c', '9')).stderr).toMatch(/member-not-found: no member 9/);
  });

  test('members are put elsewhere: one, those of a node, or as a plan says', async () => {
    const { understudy, backend } = await served();
    const replaced = await understudy('replace', 'c', '1', '--node', 'n3', '--wait');
    expect(replaced.stdout).toMatch(/replace +c\/1 to n3 +done/);
    expect((await understudy('drain', 'n1', '--wait')).stdout).toMatch(/drain +n1 +done/);
    expect(await understudy('drain', 'n9')).toMatchObject({ code: 1 });
    const move = { kind: 'move', group: 'c', index: 1, from: 'n1', to: 'n2', why: 'zone' } as const;
    backend.plan = { moves: [move], stays: [{ group: 'd', index: 0, node: 'n1', why: 'alone' }] };
    const dry = await understudy('rebalance', '--dry-run');
    expect(dry.stdout).toMatch(/^move +c +1 +n1 +n2 +zone$/m);
    expect(dry.stdout).toMatch(/^d +0 +n1 +alone$/m);
    expect((await understudy('rebalance', '--dry-run', '--json')).json()).toEqual(backend.plan);
    expect((await understudy('rebalance', '--wait')).stdout).toMatch(/rebalance +cluster +done/);
  });

  test('nodes are restarted: exactly one, or all of them', async () => {
    const { understudy } = await served();
    expect((await understudy('restart', 'n1', '--wait')).stdout).toMatch(/restart +n1 +done/);
    expect((await understudy('restart', '--all')).stdout).toMatch(/restart +cluster +running/);
    expect(await understudy('restart', 'n2')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/supervised: nothing starts n2 again/),
    });
    for (const args of [[], ['n1', '--all']]) {
      const wrong = await understudy('restart', ...args);
      expect(wrong).toMatchObject({ code: 2, stderr: expect.stringMatching(/one node, or --all/) });
    }
  });

  test('a switchover is scheduled, and cancelled; whoever waited for it gets exit code 1', async () => {
    const { understudy, backend } = await served();
    const started = await understudy('switchover', 'c', '--at', '2026-12-24T18:00:00Z', '--json');
    expect(backend.switchoverRequest).toMatchObject({ scheduledAt: '2026-12-24T18:00:00Z' });
    const { id } = started.json() as { id: string };
    expect((await understudy('cancel', id)).stdout).toMatch(/^op1 +switchover +c +cancelled/m);
    expect((await understudy('operation', id, '--wait')).code).toBe(1);
    const again = await understudy('cancel', id);
    expect(again).toMatchObject({ code: 1, stderr: expect.stringMatching(/conflict/) });
  });

  test('a refused switchover and a failed operation are exit code 1', async () => {
    const { understudy, backend } = await served();
    const preconditions = [{ name: 'lag', ok: false, detail: '7 events' }];
    backend.switchoverAnswer = { kind: 'refused', preconditions };
    const refused = await understudy('switchover', 'c', '--json');
    expect(refused.code).toBe(1);
    expect(refused.json().error).toMatchObject({ code: 'conflict', preconditions });
    const operation = await backend.failover('c');
    backend.operationDocuments = [{ ...operation, state: 'failed' }];
    expect((await understudy('operation', operation.id)).code).toBe(0);
    expect((await understudy('operation', operation.id, '--wait')).code).toBe(1);
  });
});

describe('reading', () => {
  test('a query by name, the whole state without one', async () => {
    const { understudy } = await served();
    const query = await understudy('query', 'c', 'get', '{"a":1}');
    expect(JSON.parse(query.stdout)).toEqual({ total: 0, args: { a: 1 } });
    expect(query.stderr).toBe('seq 0, epoch 1, member 0, token 1.1.0\n');
    const json = await understudy('query', 'c', 'get', '--json', '--consistency', 'local');
    expect(json.json()).toMatchObject({ value: { total: 0 }, seq: 0 });
    const state = await understudy('query', 'c', '--at', '0', '--json');
    expect(state.json()).toMatchObject({ value: { total: '0', tags: ['a'] } });
  });

  test('a read after a token sees what it stands for, or is refused', async () => {
    const { understudy, backend, url } = await served();
    const after = ['--consistency', 'standby', '--after', '1.1.1', '--timeout', '500', '--json'];
    const early = await understudy('query', 'c', 'get', ...after);
    expect(early.code).toBe(1);
    expect(early.json().error.code).toBe('not-ready');
    const delivered = await cli(['deliver', 'c', '--url', url, '--json'], {
      stdin: ['{"by":1}\n'],
    });
    expect(delivered.json()).toMatchObject({ accepted: 1, token: '1.1.1' });
    const late = await understudy('query', 'c', 'get', ...after);
    expect(late.json()).toMatchObject({ value: { total: 1 }, seq: 1, token: '1.1.1' });
    expect(backend.lastRead).toMatchObject({ consistency: 'standby', timeoutMs: 500 });
    expect((await understudy('query', 'c', ...after)).json()).toMatchObject({ seq: 1 });
  });

  test('events come as lines over all pages', async () => {
    const { understudy, call } = await served();
    const events = Array.from({ length: 2500 }, () => ({ by: 1 }));
    await call('POST', '/v1/groups/c/events', { events });
    const { stdout } = await understudy('events', 'c');
    const seqs = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).seq);
    expect(seqs).toEqual(events.map((_, i) => i + 1));
    const part = await understudy('events', 'c', '--from', '999', '--to', '2001', '--json');
    expect(part.json().events).toHaveLength(1003);
    expect(part.json().events.at(-1).seq).toBe(2001);
  });

  test('an empty log is no line and an empty list', async () => {
    const { understudy } = await served();
    expect((await understudy('events', 'c')).stdout).toBe('');
    expect((await understudy('events', 'c', '--json')).json()).toEqual({ events: [] });
  });
});
