/** A member forgets what it holds and begins anew: while everything runs, and out of quarantine. */
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import type { GroupDocument, MemberDocument } from '../../cluster/documents.js';
import type { UnderstudyError } from '../../replication/errors.js';
import { clusterOfFile } from '../support/cluster.js';
import { CommandProcess } from '../support/command.js';
import { countingCommand, Load, settle } from '../support/load.js';

const kinds = resolve('test/support/faulty-kinds.mjs');
const shared = clusterOfFile({ env: { UNDERSTUDY_KINDS: kinds } });

const standbyOf = ({ members, activeIndex }: GroupDocument): MemberDocument =>
  members.find(({ index }) => index !== activeIndex) as MemberDocument;

const member = ({ members }: GroupDocument, { index }: MemberDocument): MemberDocument =>
  members[index] as MemberDocument;

test.each(['warm', 'hot'] as const)(
  'a standby of a %s group begins anew while load runs, as often as it is asked to',
  async (standby) => {
    const cluster = shared();
    const before = await cluster.createGroup({ name: standby, kind: 'counter', standby });
    const counter = (await cluster.client()).group(standby);
    const load = new Load(counter, { command: countingCommand });
    await load.more();
    const chosen = standbyOf(before);
    const asked = await Promise.all(
      cluster.nodes.map((node) => cluster.adminOf(node).reinit(standby, chosen.index)),
    );
    const [id = ''] = asked.map((operation) => operation.id);
    expect(asked.map((operation) => operation.id)).toEqual([id, id, id]);
    const first = await cluster.admin.operation(id, 20_000);
    await load.more();
    const again = await cluster.admin.reinit(standby, chosen.index);
    const second = await cluster.admin.operation(again.id, 20_000);
    await load.more();
    const events = await settle(load, cluster.admin, standby);

    for (const ended of [first, second]) {
      const target = `${standby}/${chosen.index}`;
      expect(ended).toMatchObject({ kind: 'reinit', target, state: 'done', lastError: null });
      const steps = ended.steps.map(({ name }) => name);
      expect(steps).toEqual(['started', 'forgetting', 'syncing', 'done']);
    }
    expect(second.createdAt > first.createdAt).toBe(true);
    await cluster.admin.sync(standby);
    const after = await cluster.whole(standby);
    expect(after).toMatchObject({ epoch: before.epoch, activeNode: before.activeNode });
    const synced = { healthy: true, state: 'standby', syncedThrough: events.length, diverged: 0 };
    expect(member(after, chosen)).toMatchObject(synced);
    const read = { consistency: 'standby', minSeq: events.length } as const;
    const total = load.accepted.reduce(
      (sum, { command }) => sum + (command as { by: number }).by,
      0,
    );
    expect((await counter.query('get', undefined, read)).value).toMatchObject({ total });
  },
  60_000,
);

test('it is refused for the active, for nobody, and while the node is down', async () => {
  const cluster = shared();
  const before = await cluster.createGroup({ name: 'refused', kind: 'counter' });
  const refusal = async (index: number) =>
    (await cluster.admin
      .reinit('refused', index)
      .catch((error: unknown) => error)) as UnderstudyError;
  const active = await refusal(before.activeIndex as number);
  expect(active).toMatchObject({ code: 'conflict' });
  expect(active.message).toMatch(/switch over first/);
  expect(await refusal(3)).toMatchObject({ code: 'member-not-found' });
  const { index, nodeId } = standbyOf(before);
  await cluster.node(nodeId).kill();
  const isDown = (group: GroupDocument) => group.members[index]?.state === 'unreachable';
  await cluster.group('refused', 'without that member', isDown);
  const down = await refusal(index);
  expect(down).toMatchObject({ code: 'not-ready' });
  expect(down.message).toContain(`node ${nodeId} of member ${index} is down`);
  const operations = await cluster.admin.operations();
  expect(operations.filter(({ target }) => target.startsWith('refused/'))).toEqual([]);
  const after = await cluster.admin.group('refused');
  expect(after).toMatchObject({ epoch: before.epoch, activeIndex: before.activeIndex });
});

test('it is the way out of quarantine once the kind is mended, and not before', async () => {
  const cluster = shared();
  // No snapshot on the way, so that the event has to be applied again.
  const sync = { everyEvents: 1_000_000, everyMs: 3_600_000 };
  const spec = { name: 'f', kind: 'faulty', standby: 'hot', sync } as const;
  const before = await cluster.createGroup(spec);
  const faulty = (await cluster.client()).group('f');
  const { index, nodeId } = standbyOf(before);
  cluster.put('faulty', nodeId);
  await faulty.deliver({ by: 1 });
  const isQuarantined = (group: GroupDocument) => group.members[index]?.state === 'quarantined';
  const broken = await cluster.group('f', 'quarantined', isQuarantined);
  const detail = await cluster.admin.group('f');
  const inVain = await cluster.admin.reinit('f', index);
  const failed = await cluster.admin.operation(inVain.id, 20_000);

  expect(broken).toMatchObject({ quarantined: true, activeNode: before.activeNode });
  const { error } = member(broken, standbyOf(before));
  expect(error).toMatch(/this node cannot apply it.*understudy reinit f \d/);
  const alarm = { index, nodeId, code: 'quarantined', at: expect.any(String) };
  expect(detail.alarms).toContainEqual({
    ...alarm,
    detail: expect.stringMatching(/cannot apply it/),
  });
  expect(failed).toMatchObject({ state: 'failed', lastError: { code: 'quarantined' } });
  expect(failed.lastError?.detail).toMatch(/quarantined again.*this node cannot apply it/);

  cluster.put('faulty', 'nobody');
  const url = cluster.node(before.activeNode).adminUrl;
  const command = new CommandProcess(['--url', url, 'reinit', 'f', `${index}`, '--wait']);
  expect(await command.exited).toEqual({ code: 0, signal: null });
  const mended = await cluster.whole('f');
  expect(mended.quarantined).toBe(false);
  expect(member(mended, standbyOf(before))).toMatchObject({ state: 'standby', error: null });
  await faulty.deliver({ by: 1 });
  const isLevel = ({ members }: GroupDocument) =>
    members.every(({ syncedThrough }) => syncedThrough === 2);
  await cluster.group('f', 'level', isLevel);
}, 60_000);
