/** The check-up of real processes. */
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from 'nats';
import { expect, test } from 'vitest';
import type { DoctorDocument } from '../../cluster/documents.js';
import { namesFor } from '../../src/nats/subjects.js';
import { startCluster } from '../support/cluster.js';
import { until } from '../support/until.js';

const words = ({ findings }: DoctorDocument, level: string) =>
  findings
    .filter((finding) => finding.level === level)
    .map(({ code, about }) => (about === null ? code : `${code} ${about}`));

test('sees broker, streams, nodes and groups as they are', async () => {
  const cluster = await startCluster({ env: { UNDERSTUDY_REPLACE_AFTER_MS: '600000' } });
  await cluster.createGroup({ name: 'c', kind: 'counter' });
  const well = await cluster.admin.doctor();
  expect([well.ok, words(well, 'fail')]).toEqual([true, []]);
  expect(words(well, 'warn')).toEqual(['sync-interval understudy', 'replicas', 'memory']);
  const sync = well.findings.find(({ code }) => code === 'sync-interval');
  expect(sync?.seen).toBe('every 100 ms');
  for (const node of cluster.nodes) expect(words(well, 'ok')).toContain(`clock ${node.id}`);

  const connection = await connect({ servers: cluster.broker.url });
  const name = namesFor('understudy').logStream(0);
  const manager = await jetstreamManager(connection);
  await manager.streams.update(name, { max_msgs_per_subject: 5 });
  await connection.close();
  const edited = await cluster.admin.doctor();
  expect(words(edited, 'fail')).toEqual([`stream ${name}`]);
  expect(edited.findings[0]?.seen).toMatch(/max_msgs_per_subject is 5 but must be/);

  const group = await cluster.admin.group('c');
  const [gone] = cluster.standbysOf(group);
  await gone?.kill();
  const sick = await until('its end is seen', async () => {
    const report = await cluster.admin.doctor();
    return words(report, 'fail').includes(`node ${gone?.id}`) ? report : null;
  });
  expect(words(sick, 'warn')).toContain('not-reprotected c');
});
