/** What a person and a Prometheus see of a sync that real processes do. */
import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { GroupDocument, MemberDocument } from '../../cluster/documents.js';
import { startCluster } from '../support/cluster.js';
import { CommandProcess } from '../support/command.js';
import type { NodeProcess } from '../support/node-process.js';

const keys = 40;
const valueSizeBytes = 100_000;

const standbyOf = ({ members, activeIndex }: GroupDocument): MemberDocument =>
  members.find(({ index }) => index !== activeIndex) as MemberDocument;

async function metricsOf(node: NodeProcess): Promise<Map<string, number>> {
  const text = await (await fetch(`${node.adminUrl}/metrics`)).text();
  const samples = text.split('\n').filter((line) => line.startsWith('understudy_'));
  return new Map(
    samples.map((line) => {
      const end = line.lastIndexOf(' ');
      return [line.slice(0, end), Number(line.slice(end))];
    }),
  );
}

const fetchedOf = (metrics: ReadonlyMap<string, number>): number =>
  [...metrics]
    .filter(([name]) => name.startsWith('understudy_sync_fetched_bytes_total'))
    .reduce((sum, [, sizeBytes]) => sum + sizeBytes, 0);

test('a member that begins anew fetches the state again, and its node counts every byte', async () => {
  const cluster = await startCluster({ nodes: 2 });
  const group = await cluster.createGroup({ name: 'k', kind: 'kv', memberCount: 2 });
  const kv = (await cluster.client()).group('k');
  const value = () => randomBytes((valueSizeBytes * 3) / 4).toString('base64');
  await Promise.all(
    Array.from({ length: keys }, (_, i) =>
      kv.deliver({ type: 'set', key: `k${i}`, value: value() }),
    ),
  );
  await cluster.admin.sync('k');
  const { index, nodeId } = standbyOf(group);
  const node = cluster.node(nodeId);
  const before = await metricsOf(node);
  const reinit = ['reinit', 'k', `${index}`, '--wait', '--json'];
  const command = new CommandProcess(['--url', node.adminUrl, ...reinit]);
  expect(await command.exited).toEqual({ code: 0, signal: null });
  const after = await metricsOf(node);

  const { steps } = JSON.parse(command.stdout);
  expect(steps.map(({ name }: { name: string }) => name)).toEqual([
    'started',
    'forgetting',
    'syncing',
    'done',
  ]);
  expect(steps[2].detail).toMatch(new RegExp(`^member ${index} on ${nodeId}\\b`));
  expect(steps[3].detail).toBe(`synced through ${keys}`);
  const stateSizeBytes = keys * valueSizeBytes;
  expect(fetchedOf(before)).toBeGreaterThan(stateSizeBytes);
  expect(fetchedOf(after) - fetchedOf(before)).toBeGreaterThan(stateSizeBytes);
  const labels = `group="k",index="${index}"`;
  expect(after.get(`understudy_member_state{${labels},state="standby"}`)).toBe(1);
  expect(after.get(`understudy_member_lag_events{${labels}}`)).toBe(0);
  expect(after.get('understudy_group_seq{group="k"}')).toBe(keys);
  const other = cluster.node(group.activeNode);
  const theirs = [...(await metricsOf(other)).keys()];
  expect(theirs).toContain(
    `understudy_member_state{group="k",index="${group.activeIndex}",state="active"}`,
  );
  expect(theirs.filter((name) => name.includes(labels))).toEqual([]);
}, 60_000);
