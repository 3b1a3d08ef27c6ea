import { openModel } from './model-harness.js';
import { snapshotStoreSuite } from './snapshot-store-suite.js';

for (const replicas of [1, 3] as const) {
  snapshotStoreSuite({
    replicas,
    name: `the model, ${replicas} replica(s)`,
    open: () => Promise.resolve(openModel(replicas)),
    manyRecords: 0,
  });
}
