import { expect, test } from 'vitest';
import { Burners } from '../../../src/chaos/cluster/burners.js';

const isThere = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test('those who take the cores are there until they are stopped', async () => {
  const burners = Burners.start(0.1);
  const { pids } = burners;
  expect(pids.length).toBeGreaterThan(0);
  expect(pids.every(isThere)).toBe(true);
  await burners.stop();
  expect(pids.some(isThere)).toBe(false);
  await burners.stop();
});
