/** Nodes are restarted one after the other while the groups work. */
import { connect } from 'nats';
import { expect, test } from 'vitest';
import { namesFor } from '../../src/nats/subjects.js';
import { startCluster } from '../support/cluster.js';
import { countingCommand, Load, settle } from '../support/load.js';
import { supervise } from '../support/supervise.js';

test('all nodes are restarted under load, and no delivery fails', async () => {
  const cluster = await startCluster({ env: { UNDERSTUDY_SUPERVISED: '1' } });
  supervise(cluster.nodes);
  const specs = [
    { name: 'warm1', kind: 'counter' },
    { name: 'warm2', kind: 'counter' },
    { name: 'hot', kind: 'counter', standby: 'hot' },
  ] as const;
  for (const spec of specs) await cluster.createGroup(spec);
  const before = await cluster.admin.nodes();
  const client = await cluster.client();
  const loads = specs.map(({ name }) => {
    return new Load(client.group(name), { command: countingCommand, callers: 4 });
  });
  for (const load of loads) await load.more(20);
  const [driver] = cluster.nodes;

  const { id } = await cluster.adminOf(driver as NonNullable<typeof driver>).restart(null);
  let ended = await cluster.admin.operation(id, 30_000);
  while (ended.state === 'running') ended = await cluster.admin.operation(id, 30_000);

  expect(ended).toMatchObject({ state: 'done', kind: 'restart', lastError: null });
  const told = ended.steps.filter(({ name }) => name === 'returning').map(({ detail }) => detail);
  expect(told).toEqual(['node-2', 'node-3', 'node-1']);
  const after = await cluster.admin.nodes();
  expect(after.map(({ id: node, state }) => [node, state])).toEqual(
    before.map(({ id: node }) => [node, 'up']),
  );
  const lives = before.map(({ incarnation }, i) => [incarnation, after[i]?.incarnation ?? '']);
  expect(lives.every(([first, second]) => (second as string) > (first as string))).toBe(true);
  for (const [i, load] of loads.entries()) {
    const { name } = specs[i] as (typeof specs)[number];
    await load.more(20);
    await settle(load, cluster.admin, name);
    const causes = (await cluster.admin.history(name)).map(({ cause }) => cause);
    // Nobody had to notice that an active is gone.
    expect(new Set(causes)).toEqual(new Set(['switchover', 'created']));
    await cluster.whole(name);
  }
}, 120_000);

test('a node that nothing would start again is left alone', async () => {
  const cluster = await startCluster({ nodes: 2 });
  await cluster.createGroup({ name: 'g', kind: 'counter', memberCount: 2 });
  const refusal = cluster.admin.restart('node-2');
  await expect(refusal).rejects.toMatchObject({
    code: 'conflict',
    details: {
      preconditions: expect.arrayContaining([
        expect.objectContaining({ name: 'supervised', ok: false }),
        expect.objectContaining({ name: 'groups-reprotected', ok: true }),
      ]),
    },
  });
  // The word to end is refused there too, and is nothing to a node in a later life.
  const connection = await connect({ servers: cluster.broker.url });
  const told = async (incarnation: string) => {
    const subject = namesFor('understudy').node('node-2', 'end');
    return (await connection.request(subject, JSON.stringify({ incarnation }))).json();
  };
  const { incarnation } = await cluster.admin.node('node-2');
  expect(await told(incarnation)).toMatchObject({ ok: false, code: 'unsupported' });
  expect(await told('0-before')).toEqual({ ok: true, value: { ends: false } });
  await connection.close();
  await expect(cluster.admin.restart('node-9')).rejects.toMatchObject({ code: 'node-not-found' });
  expect(cluster.nodes.every(({ isRunning }) => isRunning)).toBe(true);
  expect(await cluster.admin.operations()).toEqual([]);
});
