import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { NodePlace } from '../cluster/cluster.js';
import { lacksHook, preloading } from '../hook.js';
import { until } from '../until.js';
import { type Facts, noFailover, type Scenario } from './scenario.js';

const fileOf = ({ dir, id }: Pick<NodePlace, 'dir' | 'id'>): string => join(dir, 'clocks', id);

const jumpsMs = [10_000, -10_000, 3_600_000, -3_600_000];

const clockJumps: Scenario = {
  name: 'clock-jumps',
  shows: "a node's wall clock jumps by seconds or an hour, and back: nobody fails over",
  brokers: 1,
  isAlone: true,
  lacks: (main) => lacksHook(main, 'clock'),
  nodeEnv: (place) => ({
    NODE_OPTIONS: preloading(place.main, 'clock'),
    UNDERSTUDY_TEST_CLOCK: fileOf(place),
  }),
  async round(stage) {
    const active = await stage.active(stage.chance.pick(stage.groups));
    const jumpMs = stage.inTurn(jumpsMs);
    const file = fileOf({ dir: stage.cluster.dir, id: active.id });
    mkdirSync(dirname(file), { recursive: true });
    await stage.during(
      `clock ${jumpMs > 0 ? 'ahead' : 'behind'} by ${Math.abs(jumpMs)} ms`,
      active.id,
      async () => {
        writeFileSync(file, String(jumpMs));
        await until('doctor says so', async () => {
          const { findings } = await stage.cluster.admin.doctor();
          // Who looks may be the one that is off: then all others are.
          return findings.some(({ code, level }) => code === 'clock' && level !== 'ok');
        });
        await stage.wait(4000);
        rmSync(file);
      },
    );
  },
  expects: wentBack,
  expectsAlone: noFailover,
};

function wentBack({ log: { decided } }: Facts): string | null {
  const i = decided.findIndex(
    ({ recordedAtMs }, at) => recordedAtMs < (decided[at - 1]?.recordedAtMs ?? 0),
  );
  if (i < 0) return null;
  const [before, after] = [decided[i - 1]?.recordedAtMs, decided[i]?.recordedAtMs];
  return `the record of seq ${decided[i]?.seq} is of ${after}, after one of ${before}`;
}

export const clocks: readonly Scenario[] = [clockJumps];
