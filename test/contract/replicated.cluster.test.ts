import { logSuite } from './log-suite.js';
import { openCluster } from './nats-harness.js';
import { snapshotStoreSuite } from './snapshot-store-suite.js';

const cluster = { open: openCluster, manyRecords: 1000, restarts: false };

logSuite({ ...cluster, name: 'three replicas' });
snapshotStoreSuite({ ...cluster, name: 'three replicas' });
