/** A standby's node that hears nobody, and does not know that it is the one who is cut off. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { startSyncCluster } from '../support/sync-cluster.js';

const hangTimeoutMs = 1000;
const env = {
  UNDERSTUDY_BEAT_MS: '100',
  UNDERSTUDY_SUSPECT_AFTER_MS: '300',
  UNDERSTUDY_HANG_TIMEOUT_MS: String(hangTimeoutMs),
};

test('it takes nobody for dead, also where no record shows that the active lives', async () => {
  const cluster = await startSyncCluster(env);
  onTestFinished(() => cluster.remove());
  const before = await cluster.createGroup({ name: 'idle', kind: 'counter' });
  const [cut] = cluster.standbysOf(before);
  if (cut === undefined) throw new Error('there is no standby');
  const link = cluster.proxyOf(cut);
  // Nothing is lost, as with TCP: what was sent meanwhile arrives when the link is back.
  link.pause();
  const isMissed = ({ health }: { health: { healthy: number } }) => health.healthy === 2;
  await cluster.group('idle', 'without its standby', isMissed);
  // By now it has not heard the others for as long as a node may hang, and that once more.
  await delay(hangTimeoutMs);
  link.heal();
  const whole = await cluster.whole('idle');
  expect(whole).toMatchObject({ epoch: before.epoch, activeNode: before.activeNode });
});
