/** A node that stands still and wakes up again, believing that it is the active. */
import { expect, test } from 'vitest';
import { clusterOfFile } from '../support/cluster.js';
import { countingCommand, Load, settle } from '../support/load.js';

const shared = clusterOfFile({
  env: {
    UNDERSTUDY_BEAT_MS: '100',
    UNDERSTUDY_SUSPECT_AFTER_MS: '300',
    UNDERSTUDY_HANG_TIMEOUT_MS: '1000',
  },
});

test('a frozen active is succeeded, refused when it wakes up, and stands by', async () => {
  const cluster = shared();
  const before = await cluster.createGroup({ name: 'active', kind: 'counter' });
  const frozen = cluster.activeOf(before);
  const load = new Load((await cluster.client()).group('active'), { command: countingCommand });
  await load.more();
  frozen.freeze();
  const others = cluster.standbysOf(before);
  const after = await cluster.after('active', before.epoch);
  await load.more();
  // What it reads from its socket when it wakes up is for an active: deliveries it must not take.
  const delivered = load.accepted.length;
  frozen.thaw();
  const whole = await cluster.whole('active');
  await load.more();
  const events = await settle(load, cluster.admin, 'active');

  expect(others.map(({ id }) => id)).toContain(after.activeNode);
  expect(delivered).toBeLessThan(load.accepted.length);
  expect(whole).toMatchObject({ epoch: 2, activeNode: after.activeNode });
  const { node, cause, fromSeq } = await cluster.epoch('active', 2);
  expect({ node, cause }).toEqual({ node: after.activeNode, cause: 'silence' });
  const late = events.filter(({ seq, epoch }) => (seq > fromSeq ? epoch !== 2 : epoch !== 1));
  expect(late).toEqual([]);
  expect(events.length).toBeGreaterThan(fromSeq);
});

test('a frozen standby costs nothing but its own place', async () => {
  const cluster = shared();
  const before = await cluster.createGroup({ name: 'standby', kind: 'counter' });
  const [frozen] = cluster.standbysOf(before);
  const load = new Load((await cluster.client()).group('standby'), { command: countingCommand });
  await load.more();
  frozen?.freeze();
  const isMissed = ({ health }: { health: { healthy: number } }) => health.healthy === 2;
  await cluster.group('standby', 'without its standby', isMissed);
  await load.more();
  frozen?.thaw();
  const whole = await cluster.whole('standby');
  await load.more();
  await settle(load, cluster.admin, 'standby');
  expect(whole).toMatchObject({ epoch: 1, activeNode: before.activeNode });
});
