import { afterAll, beforeAll, expect, it } from 'vitest';
import { position } from '../../replication/ids.js';
import { dropAll, natsChunks } from '../../src/nats/chunks.js';
import { natsGarbage } from '../../src/nats/garbage.js';
import { bulkLimits, Requests } from '../../src/nats/requests.js';
import { namesFor } from '../../src/nats/subjects.js';
import { until } from '../support/until.js';
import { awaitedGarbage, chunkStoreSuite, hashOf } from './chunk-store-suite.js';
import { type NatsHarness, openBroker } from './nats-harness.js';

chunkStoreSuite({ name: 'one broker', replicas: 1, open: () => openBroker(), manyRecords: 0 });

const names = namesFor('contract');
let harness: NatsHarness;
let bulk: Requests;

beforeAll(async () => {
  harness = await openBroker();
  bulk = new Requests(harness.connection, bulkLimits);
});
afterAll(() => harness?.close());

const openStore = (groupId: string) => {
  const port = natsChunks({ bulk, names, groupId });
  return {
    announce: (id: string, reused: readonly Uint8Array[] = []) =>
      new Promise((done) => port.announce(id, reused, done)),
    pin: (id: string, chunks: readonly Uint8Array[]) =>
      new Promise<string | null>((done) => port.pin(id, chunks, done)),
  };
};
const hashes = (count: number, salt: number) =>
  Array.from({ length: count }, (_, i) => hashOf(Uint8Array.of(salt, i >> 8, i & 255)));

it('reads pins that take more than one answer, each once', async () => {
  const store = openStore('abc');
  const count = 8192;
  for (let i = 0; i < 20; i++) {
    await store.announce(`1-${i}-1`);
    expect(await store.pin(`1-${i}-1`, hashes(count, i))).toBeNull();
  }
  const garbage = awaitedGarbage(harness, natsGarbage({ bulk, names }));
  const pins = await garbage.pins(await garbage.mark());
  const whole = pins.filter(({ isOpen }) => !isOpen);
  expect(whole.map(({ chunks }) => chunks.length)).toEqual(Array(20).fill(count));
  expect(whole.map(({ chunks }) => Buffer.from(chunks[count - 1] ?? []))).toEqual(
    whole.map((_, i) => Buffer.from(hashes(count, i)[count - 1] ?? [])),
  );
});

it('gives up what was announced long ago, and leaves the pin beside it alone', async () => {
  const store = openStore('def');
  await store.announce('1-1-1');
  expect(await store.pin('1-1-1', hashes(1, 77))).toBeNull();
  await store.announce('1-1-1');
  const garbage = awaitedGarbage(harness, natsGarbage({ bulk, names, staleAfterMs: -60_000 }));
  await until('the announcement is gone', async () => {
    const pins = await garbage.pins(await garbage.mark());
    return pins.every(({ isOpen }) => !isOpen);
  });
  expect(await store.pin('1-1-1', hashes(1, 78))).toEqual(expect.any(String));
  expect(await store.announce('1-2-2')).toEqual({ standing: ['1-1-1'] });
});

it('drops all that a deleted group has pinned, and nothing of the others', async () => {
  const [store, other] = [openStore('0aa'), openStore('0bb')];
  for (const each of [store, other]) {
    await each.announce('1-1-1');
    expect(await each.pin('1-1-1', [])).toBeNull();
  }
  expect(await new Promise((done) => dropAll({ bulk, names }, '0aa', done))).toBeNull();
  expect(await store.announce('1-2-2')).toEqual({ standing: [] });
  expect(await other.announce('1-2-2')).toEqual({ standing: ['1-1-1'] });
});

it('leaves everything alone if there is a pin that another program wrote', async () => {
  const { connection } = harness;
  await connection.request(names.pin('0cc', '1-1-1', 'whole'), Uint8Array.of(200, 1, 2));
  const garbage = natsGarbage({ bulk, names });
  const { collect } = awaitedGarbage(harness, garbage);
  expect(await collect()).toEqual({ failure: expect.stringContaining('cannot be read') });
  const mark = await awaitedGarbage(harness, garbage).mark();
  await new Promise((done) => dropAll({ bulk, names }, '0cc', done));
  await expect(awaitedGarbage(harness, garbage).pins(position(mark))).resolves.toBeDefined();
});
