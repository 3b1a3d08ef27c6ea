import { openBroker } from './nats-harness.js';
import { snapshotStoreSuite } from './snapshot-store-suite.js';

snapshotStoreSuite({ name: 'one broker', replicas: 1, open: () => openBroker(), manyRecords: 0 });
