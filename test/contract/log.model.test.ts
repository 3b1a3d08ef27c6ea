import { logSuite } from './log-suite.js';
import { openModel } from './model-harness.js';

for (const replicas of [1, 3] as const) {
  logSuite({
    replicas,
    name: `the model, ${replicas} replica(s)`,
    open: () => Promise.resolve(openModel(replicas)),
    manyRecords: 10_000,
  });
}
