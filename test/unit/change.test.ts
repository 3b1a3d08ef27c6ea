/** What can be changed of a group: what it becomes, and asking for it by route, client and command. */
import { describe, expect, it, test } from 'vitest';
import type { GroupChange } from '../../cluster/documents.js';
import { withChange } from '../../cluster/placement.js';
import type { GroupConfig, Placement } from '../../cluster/types.js';
import { createAdminClient } from '../../src/client/admin.js';
import { serve } from '../support/admin-server.js';
import { cli } from '../support/cli.js';
import { groupOf } from './cluster/support.js';

describe('a changed group', () => {
  const placement: Placement = { nodes: ['a', 'b', 'c'], spread: 'zone', priorities: { a: 1 } };
  const group = groupOf(['a', 'b', 'c'], { placement, priority: 3 });

  it.each<[string, GroupChange, Partial<GroupConfig>]>([
    ['nothing', {}, { priority: 3, placement }],
    ['its priority', { priority: 0 }, { priority: 0, placement }],
    [
      'a part of its placement',
      { placement: { priorities: { b: 2 } } },
      { placement: { ...placement, priorities: { b: 2 } } },
    ],
    [
      'nodes that do not have to be those it is on',
      { placement: { nodes: ['d', 'e', 'f'] } },
      { placement: { ...placement, nodes: ['d', 'e', 'f'] } },
    ],
    [
      'parts that are taken away',
      { placement: { nodes: null, spread: null } },
      { priority: 3, placement: { priorities: { a: 1 } } },
    ],
  ])('has what it had but %s', (_, change, expected) => {
    const { members, ...rest } = withChange(group, change);
    expect(rest).toMatchObject(expected);
    const stored = JSON.parse(JSON.stringify(rest.placement)) as Placement;
    expect(stored).toEqual(expected.placement ?? placement);
    expect(members).toEqual(group.members);
  });

  it('has a priority and a placement though a former version gave it none', () => {
    const former = groupOf(['a', 'b'], {});
    const { priority, placement: given } = withChange(former, { placement: { spread: 'zone' } });
    expect({ priority, given }).toEqual({ priority: 0, given: { spread: 'zone' } });
  });

  it('is refused fewer nodes than it has members, named twice or not', () => {
    const code = 'placement-failed';
    const message = 'the 3 members of g need 3 different nodes; the placement names 2: a, b.';
    for (const nodes of [
      ['a', 'b'],
      ['a', 'b', 'a'],
    ]) {
      expect(() => withChange(group, { placement: { nodes } })).toThrow(
        expect.objectContaining({ code, message: expect.stringContaining(message) }),
      );
    }
  });
});

describe('the route', () => {
  test('hands on what is to change and answers with the group', async () => {
    const { call, backend } = await serve();
    const change = { priority: -5, placement: { nodes: null, spread: 'zone' } };
    const changed = await call('PATCH', '/v1/groups/c', change);
    expect(changed).toMatchObject({ status: 200, body: { name: 'c', priority: -5 } });
    expect([backend.changes, backend.actors]).toEqual([[change], ['local']]);
    expect((await call('PATCH', '/v1/groups/x', {})).body.code).toBe('group-not-found');
  });

  test.each([
    [{ priority: 1001 }, /priority/],
    [{ priority: 0.5 }, /priority/],
    [{ priority: null }, /priority/],
    [{ placement: null }, /placement/],
    [{ placement: { nodes: [] } }, /nodes/],
    [{ placement: { spread: 'rack' } }, /spread/],
    [{ standby: 'hot' }, /standby/],
  ])('refuses %j', async (change, detail) => {
    const { call, backend } = await serve();
    const refused = await call('PATCH', '/v1/groups/c', change);
    expect(refused).toMatchObject({ status: 400, body: { code: 'bad-request' } });
    expect(refused.body.detail).toMatch(detail);
    expect(backend.changes).toEqual([]);
  });

  test('is not for whoever may only write', async () => {
    const identify = () => ({ name: 'w', role: 'writer' }) as const;
    const { call } = await serve(undefined, { required: true, identify });
    expect((await call('PATCH', '/v1/groups/c', {})).body.code).toBe('forbidden');
  });
});

describe('the command', () => {
  async function understudy(...args: string[]) {
    const { url, backend } = await serve();
    return { ...(await cli(['--url', url, ...args])), changes: backend.changes };
  }

  test.each([
    [['--priority', '-7'], { priority: -7, placement: {} }],
    [['--any-node'], { placement: { nodes: null } }],
    [
      ['--nodes', 'n1,n2', '--spread', 'node', '--priorities', 'n1=2'],
      { placement: { nodes: ['n1', 'n2'], spread: 'node', priorities: { n1: 2 } } },
    ],
  ])('changes what %j names, and nothing else', async (options, change) => {
    const { code, changes } = await understudy('change', 'c', ...options);
    expect({ code, changes }).toEqual({ code: 0, changes: [change] });
  });

  test('shows a priority, and a group is created with one', async () => {
    const { stdout } = await understudy('change', 'c', '--priority', '9');
    expect(stdout).toMatch(/^placed {2}priority of the group 9$/m);
    const created = await understudy('--json', 'create', 'd', '--kind', 'counter', '--priority=-2');
    expect(JSON.parse(created.stdout)).toMatchObject({ name: 'd', priority: -2 });
  });
});

test('the client asks for it', async () => {
  const { url, backend } = await serve();
  const group = await createAdminClient({ url }).changeGroup('c', { priority: 4 });
  expect([group.priority, backend.changes]).toEqual([4, [{ priority: 4 }]]);
});
