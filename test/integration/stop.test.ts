/** What a node that is told to stop still owes to those who wait for it. */
import { connect } from 'nats';
import { expect, onTestFinished, test } from 'vitest';
import { namesFor } from '../../src/nats/subjects.js';
import { startCluster } from '../support/cluster.js';
import { until } from '../support/until.js';

/** Longer than the test may take: nobody waits for it to be over. */
const patienceMs = 60_000;

test.each(['SIGTERM', 'SIGINT'] as const)(
  'after %s a delivery that waits for an active is told that none came, and the node ends',
  async (signal) => {
    const cluster = await startCluster({ nodes: 2 });
    const group = await cluster.createGroup({ name: 'g', kind: 'counter', memberCount: 2 });
    const active = cluster.activeOf(group);
    const other = cluster.nodes.find((node) => node !== active) as typeof active;
    await cluster.adminOf(other).pause('g');
    await active.kill();
    await until('the other node knows', async () => {
      const nodes = await cluster.adminOf(other).nodes();
      return nodes.find(({ id }) => id === active.id)?.state === 'down';
    });
    const connection = await connect({ servers: cluster.broker.url });
    onTestFinished(() => connection.close());
    const delivered = new Promise((resolve) => {
      connection.subscribe(namesFor('understudy').deliver('g'), { callback: resolve });
    });
    await connection.flush();
    const asked = fetch(`${other.adminUrl}/v1/groups/g/events?timeoutMs=${patienceMs}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"by":1}',
    });
    await delivered;
    other.signal(signal);
    const answer = await asked;
    expect(await answer.json()).toMatchObject({ code: 'timeout' });
    expect(answer.status).toBe(504);
    expect(await other.exited).toEqual({ code: 0, signal: null });
  },
);
