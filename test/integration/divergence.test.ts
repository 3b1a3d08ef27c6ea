/** A kind that is not deterministic, in a hot group: noticed, shown, stopped, and mended (P13). */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import type { AlarmDocument, GroupDetail, GroupDocument } from '../../cluster/documents.js';
import { limits } from '../../replication/limits.js';
import type { GroupClient } from '../../src/client/group.js';
import { type Cluster, startCluster } from '../support/cluster.js';
import { until } from '../support/until.js';

const kindsFile = 'kinds.mjs';
const kindsOf = (file: string) =>
  `export { kinds } from ${JSON.stringify(pathToFileURL(resolve(file)).href)};\n`;
/** Snapshots are cut when a test asks for them. */
const sync = { everyEvents: 1_000_000, everyMs: 3_600_000 };
const spec = { name: 'd', kind: 'dice', standby: 'hot', sync } as const;

function startDice(file: string): Promise<Cluster> {
  const env = { UNDERSTUDY_KINDS: kindsFile };
  return startCluster({ env, files: { [kindsFile]: kindsOf(file) } });
}

const standbysIn = ({ members, activeIndex }: GroupDocument) =>
  members.filter(({ index }) => index !== activeIndex);

interface Matched extends AlarmDocument {
  readonly match: RegExpExecArray;
}

/** All alarms, once each of the standbys has raised one that matches. */
async function alarmsLike(cluster: Cluster, pattern: RegExp): Promise<readonly Matched[]> {
  const found = await until(`each standby has raised an alarm like ${pattern}`, async () => {
    const group: GroupDetail = await cluster.admin.group('d');
    const found = group.alarms.flatMap((alarm) => {
      const match = alarm.code === 'conflict' ? pattern.exec(alarm.detail) : null;
      return match === null ? [] : [{ ...alarm, match }];
    });
    const complaining = new Set(found.map(({ index }) => index));
    return standbysIn(group).every(({ index }) => complaining.has(index)) ? found : null;
  });
  return found;
}

/** One more throw, at which each standby is caught for the `times`-th time. */
async function caught(cluster: Cluster, dice: GroupClient, times: number): Promise<void> {
  await dice.deliver({ throws: 1 });
  await cluster.admin.sync('d');
  const isCaught = (group: GroupDocument) =>
    standbysIn(group).every(({ diverged }) => diverged === times);
  await cluster.group('d', `caught ${times} times`, isCaught);
}

const digests =
  /at seq (\d+) the digest of the state here is ([0-9a-f]+), member (\d) recorded ([0-9a-f]+)/;
const difference =
  /the first difference at seq (\d+) is state\.sum: (\d+) here, (\d+) in the group's/;

test('dice that each member throws for itself are noticed, shown, and stopped', async () => {
  const cluster = await startDice('examples/dice.mjs');
  const before = await cluster.createGroup(spec);
  const dice = (await cluster.client()).group('d');
  await caught(cluster, dice, 1);
  expect(await cluster.whole('d')).toMatchObject({
    epoch: 1,
    activeNode: before.activeNode,
    quarantined: false,
  });

  const differing = await alarmsLike(cluster, digests);
  for (const { index, match } of differing) {
    const [, seq, here, cutter, recorded] = match;
    expect(index).not.toBe(before.activeIndex);
    expect({ seq, cutter }).toEqual({ seq: '1', cutter: `${before.activeIndex}` });
    expect(here).not.toBe(recorded);
  }
  expect(new Set(differing.map(({ match }) => match[4])).size).toBe(1);
  const { value } = await dice.query('get');
  for (const { match } of await alarmsLike(cluster, difference)) {
    expect(match[1]).toBe('1');
    expect(match[2]).not.toBe(match[3]);
    expect(value).toEqual({ throws: 1, sum: Number(match[3]) });
  }
  // They hold what the group holds: until the next throw.
  const read = { consistency: 'standby', minSeq: 1 } as const;
  expect(await dice.query('get', undefined, read)).toMatchObject({ value });

  for (let times = 2; times <= limits.divergences; times++) await caught(cluster, dice, times);
  const stopped = await cluster.group('d', 'without its standbys', (group) =>
    standbysIn(group).every(({ state }) => state === 'quarantined'),
  );
  expect(stopped).toMatchObject({ quarantined: true, activeHealthy: true, epoch: 1 });
  for (const { healthy, error } of standbysIn(stopped)) {
    expect(healthy).toBe(false);
    expect(error).toMatch(/has differed from the group's 3 times.*understudy reinit d \d/);
  }
  expect(await dice.deliver({ throws: 1 })).toMatchObject({ seq: limits.divergences + 1 });
  expect(await dice.query('get')).toMatchObject({ value: { throws: limits.divergences + 1 } });
}, 60_000);

test('after a restart with a kind that is mended, all members are healthy and stay equal', async () => {
  const cluster = await startDice('examples/dice.mjs');
  await cluster.createGroup(spec);
  const dice = (await cluster.client()).group('d');
  for (let times = 1; times <= limits.divergences; times++) await caught(cluster, dice, times);

  cluster.put(kindsFile, kindsOf('test/support/fair-dice.mjs'));
  await Promise.all(cluster.nodes.map((node) => node.kill()));
  await cluster.start();
  const mended = await cluster.whole('d');
  expect(mended.quarantined).toBe(false);
  for (const { error, diverged } of mended.members) {
    expect({ error, diverged }).toEqual({ error: null, diverged: 0 });
  }
  // Of past throws the last snapshot knows one sum and a replay another: all members hold the same.
  const { throws, sum } = (await dice.query('get')).value as { throws: number; sum: number };
  expect(throws).toBe(limits.divergences);
  const chosen = standbysIn(mended)[0]?.index as number;
  const { id } = await cluster.admin.reinit('d', chosen);
  expect(await cluster.admin.operation(id, 20_000)).toMatchObject({ state: 'done' });
  for (let more = 1; more <= limits.divergences; more++) {
    const { seq } = await dice.deliver({ throws: 1 });
    expect(await cluster.admin.sync('d')).toEqual({ through: seq });
    const read = { consistency: 'standby', minSeq: seq } as const;
    const expected = { throws: limits.divergences + more, sum: sum + more };
    expect((await dice.query('get', undefined, read)).value).toEqual(expected);
  }
  const after = await cluster.whole('d');
  expect(after.members.map(({ diverged }) => diverged)).toEqual([0, 0, 0]);
  expect((await cluster.admin.group('d')).alarms).toEqual([]);
}, 60_000);
