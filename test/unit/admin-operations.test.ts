/** Operations over HTTP: begun, scheduled, cancelled. */
import { expect, test } from 'vitest';
import { serve } from '../support/admin-server.js';
import { expectProblem } from '../support/expect-problem.js';

test('members are put elsewhere: one, those of a node, or as a plan says', async () => {
  const { call, backend } = await serve();
  const replaced = await call('POST', '/v1/groups/c/members/1/replace', { node: 'n3' });
  expect(replaced).toMatchObject({ status: 202, body: { kind: 'replace', target: 'c/1 to n3' } });
  const active = await call('POST', '/v1/groups/c/members/0/replace');
  expectProblem(active, 409, 'conflict', /switch over first/);
  const drained = await call('POST', '/v1/nodes/n1/drain');
  expect(drained).toMatchObject({ status: 202, body: { kind: 'drain', target: 'n1' } });
  expect(drained.headers.get('location')).toBe(`/v1/operations/${drained.body.id}`);
  expectProblem(await call('POST', '/v1/nodes/n9/drain'), 404, 'node-not-found', /no node n9/);
  const move = {
    kind: 'move',
    group: 'c',
    index: 1,
    from: 'n1',
    to: 'n2',
    why: 'members',
  } as const;
  backend.plan = { moves: [move], stays: [] };
  const dry = await call('POST', '/v1/rebalance', { dryRun: true });
  expect(dry).toMatchObject({ status: 200, body: { moves: [move], stays: [] } });
  expect((await call('POST', '/v1/rebalance')).body).toMatchObject({ kind: 'rebalance' });
});

test('nodes are restarted, one or all, and what speaks against it is told', async () => {
  const { call } = await serve();
  const one = await call('POST', '/v1/nodes/n1/restart');
  expect(one).toMatchObject({ status: 202, body: { kind: 'restart', target: 'n1' } });
  expect(one.headers.get('location')).toBe(`/v1/operations/${one.body.id}`);
  const all = await call('POST', '/v1/restart');
  expect(all).toMatchObject({ status: 202, body: { kind: 'restart', target: 'cluster' } });
  const refused = await call('POST', '/v1/nodes/n2/restart');
  expectProblem(refused, 412, 'conflict', /not now: supervised: nothing starts n2 again/);
  expect(refused.body.preconditions).toEqual([expect.objectContaining({ name: 'supervised' })]);
  expectProblem(await call('POST', '/v1/nodes/n9/restart'), 404, 'node-not-found', /no node n9/);
});
