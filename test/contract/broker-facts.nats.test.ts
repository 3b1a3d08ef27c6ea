/** What we rely on and did not write: the broker itself, one server of it. */
import type { Msg } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Position, position } from '../../replication/ids.js';
import { natsLog } from '../../src/nats/log.js';
import { controlLimits, Requests } from '../../src/nats/requests.js';
import { namesFor } from '../../src/nats/subjects.js';
import { awaited, none } from './awaited-log.js';
import { secondAnswer } from './message-ids.js';
import { type NatsHarness, openBroker } from './nats-harness.js';

const names = namesFor('contract');
let harness: NatsHarness;

beforeAll(async () => {
  harness = await openBroker();
});
afterAll(() => harness?.close());

it('refuses a message sent again under its id, because its expectation is wrong by then', async () => {
  expect(await secondAnswer(harness.connection, 1)).toMatchObject({ error: { err_code: 10071 } });
});

function openLog(groupId: string, standby: 'warm' | 'hot') {
  const { connection } = harness;
  const control = new Requests(connection, controlLimits);
  const log = natsLog({
    ...{ control, bulk: control, tail: connection },
    stream: names.logStream(0),
    subject: names.log(0, groupId, standby),
    tailSubject: names.tail(0, groupId),
  });
  return (text: string) =>
    new Promise((done) => log.append(new TextEncoder().encode(text), position(0), done));
}

it('publishes what is stored for hot groups again, and not for warm ones', async () => {
  const seen: Msg[] = [];
  const { connection } = harness;
  connection.subscribe('contract.tail.>', {
    callback: (_error, message) => void seen.push(message),
  });
  expect(await openLog('both', 'warm')('warm')).toMatchObject({ kind: 'stored' });
  expect(await openLog('both', 'hot')('hot')).toMatchObject({ kind: 'stored' });
  // Behind what the broker had to send before: it answers this in order.
  await connection.flush();
  expect(seen.map((message) => message.string())).toEqual(['hot']);
  expect(seen[0]?.subject).toBe('contract.tail.0.both');
  expect(seen[0]?.headers?.get('Nats-Subject')).toBe('contract.log.0.hot.both');
  expect(seen[0]?.headers?.get('Nats-Sequence')).toBe('2');
});

it('hands over nothing that was not published by the broker', async () => {
  const followed: number[] = [];
  const log = harness.log('a', '00000000cafe');
  const stop = log.tail((record) => void followed.push(record.position));
  await harness.connection.flush();
  harness.connection.publish(names.tail(0, '00000000cafe'), 'forged');
  harness.connection.publish(names.tail(0, '00000000cafe'), '');
  const outcome = await new Promise<{ kind: string; position?: number }>((done) =>
    harness.log('a', '00000000cafe').append(new Uint8Array(1), position(0), done),
  );
  while (followed.length === 0) await harness.connection.flush();
  expect(followed).toEqual([outcome.position]);
  stop();
});

it('refuses what the store has no room for, and takes it again after a purge', async () => {
  const full = await openBroker({ maxStoreSizeBytes: 16 * 1024 * 1024 });
  const log = awaited(full, 'a', '00000000f011');
  const record = new Uint8Array(512 * 1024);
  const positions: Position[] = [none];
  let outcome = await log.append(record, none);
  while (outcome.kind === 'stored' && positions.length < 100) {
    positions.push(outcome.position);
    outcome = await log.append(record, outcome.position);
  }
  const last = positions.at(-1) ?? none;
  expect(outcome.kind).toBe('refused');
  expect((await log.append(record, last)).kind).toBe('refused');
  const { records, failure } = await log.replay(none, last);
  expect([records.length, failure]).toEqual([positions.length - 1, null]);
  await full.purge(log.groupId, last);
  expect((await log.append(record, last)).kind).toBe('stored');
  await full.close();
});
