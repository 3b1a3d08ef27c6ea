import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { closingLine } from './test/support/closing-line.js';

const quick = {
  unit: ['unit'],
  contract: ['contract'],
  simulation: ['simulation', 'scenario', 'history'],
};

/** Files that replace modules for all that is loaded after, or measure the heap. */
const alone = 'test/**/*.alone.test.ts';

export default defineConfig({
  test: {
    reporters: ['default', closingLine],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Left to itself, vitest leaves one core idle.
    maxWorkers: availableParallelism(),
    projects: [
      ...Object.entries(quick).map(([name, dirs]) => ({
        extends: true as const,
        test: {
          name,
          include: dirs.map((dir) => `test/${dir}/**/*.test.ts`),
          exclude: ['**/*.cluster.test.ts', alone],
          // Most unit tests run for less time than a process of their own would take to load modules; runs of the
          // simulation are slower where other files have filled the heap.
          isolate: name === 'simulation',
        },
      })),
      { extends: true as const, test: { name: 'alone', include: [alone] } },
      {
        // Each of these files starts several servers and node processes of its own: two at a time keep two
        // cores busy, and more would only make each other slow.
        extends: true as const,
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts', 'test/**/*.cluster.test.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
