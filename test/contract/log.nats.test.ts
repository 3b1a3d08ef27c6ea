import { logSuite } from './log-suite.js';
import { openBroker } from './nats-harness.js';

logSuite({ name: 'one broker', replicas: 1, open: () => openBroker(), manyRecords: 10_000 });
