import { openBroker } from './nats-harness.js';
import { snapshotStoreSuite } from './snapshot-store-suite.js';

snapshotStoreSuite({ name: 'one broker', open: openBroker, manyRecords: 0, restarts: false });
