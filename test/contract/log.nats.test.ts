import { logSuite } from './log-suite.js';
import { openBroker } from './nats-harness.js';

logSuite({ name: 'one broker', open: openBroker, manyRecords: 10_000, restarts: true });
