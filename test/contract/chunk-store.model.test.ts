import { chunkStoreSuite } from './chunk-store-suite.js';
import { openModel } from './model-harness.js';

for (const replicas of [1, 3] as const) {
  chunkStoreSuite({
    replicas,
    name: `the model, ${replicas} replica(s)`,
    open: () => Promise.resolve(openModel(replicas)),
    manyRecords: 0,
  });
}
