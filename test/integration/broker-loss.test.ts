/** The broker goes away and comes back: delivery stalls and resumes, and nobody panics. */
import { expect, test } from 'vitest';
import { clusterOfFile } from '../support/cluster.js';
import { ledgerCommand, secondOpinion } from '../support/ledger-load.js';
import { countingCommand, Load, settle } from '../support/load.js';

const shared = clusterOfFile();

test.each(['SIGKILL', 'SIGTERM'] as const)(
  'a broker ended with %s under load stalls delivery and nothing else',
  async (signal) => {
    const cluster = shared();
    const before = await cluster.createGroup({ name: signal, kind: 'counter' });
    const load = new Load((await cluster.client()).group(signal), { command: countingCommand });
    await load.more();
    await cluster.restartBroker(signal);
    await load.more(1000);
    await settle(load, cluster.admin, signal);
    const after = await cluster.whole(signal);
    expect(after.epoch - before.epoch).toBeLessThanOrEqual(1);
    expect(await cluster.admin.history(signal)).toHaveLength(after.epoch);
  },
);

test('a cluster of which every process was killed continues where it was', async () => {
  const cluster = shared();
  const before = await cluster.createGroup({ name: 'bank', kind: 'ledger' });
  const client = await cluster.client();
  const load = new Load(client.group('bank'), { command: ledgerCommand });
  await load.more(500);
  await cluster.admin.sync('bank');
  await load.more(500);
  await Promise.all([...cluster.nodes.map((node) => node.kill()), cluster.endBroker('SIGKILL')]);
  await cluster.startBroker();
  await cluster.start();
  const after = await cluster.whole('bank');
  await load.more();
  await settle(load, cluster.admin, 'bank');

  expect(after).toMatchObject({ groupId: before.groupId, origin: before.origin });
  expect(after.epoch).toBe(2);
  const second = secondOpinion(load.outcomes);
  expect(load.outcomes.map(({ code }) => code)).toEqual(second.codes);
  const totals = await client.group('bank').query('totals');
  expect(totals.value).toEqual(second.totals);
});
