/** The contracts on three servers with three replicas, and what only they can show. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { chunkStoreSuite } from './chunk-store-suite.js';
import type { Expectations } from './harness.js';
import { logSuite } from './log-suite.js';
import { secondAnswer } from './message-ids.js';
import { type NatsHarness, openCluster } from './nats-harness.js';

let harness: NatsHarness;

beforeAll(async () => {
  harness = await openCluster();
});
afterAll(() => harness?.close());

/** One cluster for all: it takes seconds to form. */
const cluster: Expectations = {
  name: 'three replicas',
  replicas: 3,
  open: () => Promise.resolve({ ...harness, close: () => Promise.resolve() }),
  manyRecords: 1000,
};

it('calls a message sent again under its id a duplicate, although its expectation is wrong', async () => {
  const answer = await secondAnswer(harness.connection, 3);
  expect(answer).toMatchObject({ seq: 1, duplicate: true });
  expect(answer.error).toBeUndefined();
});

logSuite(cluster);
chunkStoreSuite(cluster);
