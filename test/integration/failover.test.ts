/** Nodes that die, one after the other, while clients keep delivering. */
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { clusterOfFile } from '../support/cluster.js';
import { ledgerCommand, secondOpinion } from '../support/ledger-load.js';
import { countingCommand, Load, readEvents, settle } from '../support/load.js';

const kinds = resolve('test/support/splitter-kinds.mjs');
const shared = clusterOfFile({ env: { UNDERSTUDY_KINDS: kinds } });

test('kill -9 of the active under load loses, doubles and leaves unanswered nothing', async () => {
  const cluster = shared();
  const before = await cluster.createGroup({ name: 'bank', kind: 'ledger' });
  const bank = (await cluster.client()).group('bank');
  const load = new Load(bank, { command: ledgerCommand });
  await load.more();
  await cluster.activeOf(before).kill();
  const after = await cluster.after('bank', before.epoch);
  await load.more();
  await settle(load, cluster.admin, 'bank');

  const second = secondOpinion(load.outcomes);
  expect(load.outcomes.map(({ code }) => code)).toEqual(second.codes);
  expect(second.codes).toContain('insufficient-funds');
  const totals = await bank.query('totals');
  expect(totals.value).toEqual(second.totals);
  expect(after).toMatchObject({ origin: before.origin, groupId: before.groupId, epoch: 2 });
  expect(after.activeNode).not.toBe(before.activeNode);
  const entry = await cluster.epoch('bank', 2);
  expect(['disconnect', 'no-responders']).toContain(entry.cause);
  expect(entry.node).toBe(after.activeNode);
  expect(entry.unavailableMs).toBeGreaterThan(0);
  const { detectMs, decideMs, claimMs, replayMs, openMs } = entry.phases ?? {};
  for (const ms of [detectMs, decideMs, claimMs, replayMs, openMs]) expect(ms).toBeGreaterThan(-1);
});

test('the last of three members carries on, and all come back to a whole group', async () => {
  const cluster = shared();
  const first = await cluster.createGroup({ name: 'last', kind: 'counter' });
  const load = new Load((await cluster.client()).group('last'), { command: countingCommand });
  await load.more();
  await cluster.activeOf(first).kill();
  const second = await cluster.after('last', first.epoch);
  await cluster.activeOf(second).kill();
  const third = await cluster.after('last', second.epoch);
  await load.more();
  // A node that has just started believes in the others for a grace time.
  const alone = await cluster.group('last', 'alone', ({ health }) => health.healthy === 1);
  expect(alone).toMatchObject({ health: { total: 3, status: 'degraded' }, reprotected: false });

  await cluster.start();
  const whole = await cluster.whole('last');
  await load.more();
  await settle(load, cluster.admin, 'last');
  expect(whole).toMatchObject({ health: { healthy: 3, total: 3, status: 'healthy' } });
  expect(whole.epoch).toBe(third.epoch);
  expect(whole.activeNode).toBe(third.activeNode);
});

test('five synced events and three more are eight after a kill', async () => {
  const cluster = shared();
  const before = await cluster.createGroup({ name: 'eight', kind: 'counter' });
  const counter = (await cluster.client()).group('eight');
  for (let i = 1; i <= 5; i++) await counter.deliver({ by: i });
  expect(await cluster.admin.sync('eight')).toEqual({ through: 5 });
  for (let i = 6; i <= 8; i++) await counter.deliver({ by: i });
  await cluster.activeOf(before).kill();
  const answer = await counter.query('get');
  expect(answer).toMatchObject({ value: { total: 36, count: 8 }, seq: 8, epoch: 2 });
  const entry = await cluster.epoch('eight', 2);
  expect(entry).toMatchObject({ fromSeq: 8, replayed: 3 });
});

test('commands of no, one and three events keep their results and seqs across a kill', async () => {
  const cluster = shared();
  const before = await cluster.createGroup({ name: 's', kind: 'splitter' });
  const splitter = (await cluster.client()).group('s');
  const sizes = [0, 1, 3];
  const command = (caller: number, n: number) => ({ n: sizes[(caller + n) % 3] });
  const load = new Load(splitter, { command });
  await load.more();
  await cluster.activeOf(before).kill();
  await load.more();
  await load.stop();
  expect(load.failures).toEqual([]);

  const events = await readEvents(cluster.admin, 's');
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i + 1));
  const counted = load.accepted.map((one) => (one.command as { n: number }).n);
  const total = counted.reduce((a, b) => a + b, 0);
  expect(events.length).toBe(total);
  // Each was decided on the state before its own events: `before` is what a replay finds there.
  const wrong = load.accepted.filter(({ seq, result }, i) => {
    const { before: at } = result as { before: number };
    return at !== seq - (counted[i] ?? 0);
  });
  expect(wrong).toEqual([]);
  const sum = events.reduce((all, { event }) => all + (event as { part: number }).part, 0);
  const { value } = await splitter.query('get');
  expect(value).toEqual({ count: total, sum });
});
