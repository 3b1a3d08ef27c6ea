/** What a log has lost is found by everybody, and never written over (I2); a log that lost nothing stops nobody. */
import { describe, expect, test } from 'vitest';
import { sampleSize } from '../support/sample.js';
import { runLoss } from './loss.js';

const seeds = Array.from({ length: sampleSize(40, 15) }, (_, i) => i + 1);

describe.each([false, true])('with the nodes ended too: %s', (withNodes) => {
  test('what was lost is found by every member, and nothing is written over it', () => {
    let affected = 0;
    for (const seed of seeds) affected += runLoss(seed, { withNodes, loses: true });
    expect(affected).toBeGreaterThan(seeds.length / 2);
  }, 120_000);

  test('a broker that lost nothing stops nobody', () => {
    for (const seed of seeds.slice(0, 15)) runLoss(seed, { withNodes, loses: false });
  }, 120_000);
});
