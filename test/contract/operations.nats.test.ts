/** Operations on record in a real bucket: documents, locks, history, and who waits for what. */
import { connect, type NatsConnection } from 'nats';
import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  onTestFinished,
  test,
  vi,
} from 'vitest';
import { heard, newMembership } from '../../cluster/membership.js';
import {
  type At,
  begin,
  type Operation,
  type OperationKind,
  type OperationRequest,
  type Outcome,
} from '../../cluster/operations/operation.js';
import { defaultTimings } from '../../cluster/types.js';
import { UnderstudyError } from '../../replication/errors.js';
import { limits } from '../../replication/limits.js';
import { ensureStreams } from '../../src/nats/streams.js';
import { type Names, namesFor } from '../../src/nats/subjects.js';
import { Operations } from '../../src/node/operations/operations.js';
import { OperationStore } from '../../src/node/operations/store.js';
import { startTestBroker, type TestBroker } from '../support/broker.js';
import { until } from '../support/until.js';

let broker: TestBroker;
let connection: NatsConnection;
let names: Names;
let store: OperationStore;
let made = 0;

beforeAll(async () => {
  broker = await startTestBroker();
  connection = await connect({ servers: broker.url });
});

afterAll(async () => {
  await connection.close();
  await broker.remove();
});

beforeEach(async () => {
  const namespace = `ops${made++}`;
  names = namesFor(namespace);
  await ensureStreams(connection, { namespace, names, shards: 1, replicas: 1 });
  store = await OperationStore.open(connection, names);
});

const request = (rest: Partial<OperationRequest> = {}): OperationRequest => ({
  ...{ id: 'test.x', kind: 'test', target: 'x', by: 'ops', data: { n: 1 } },
  ...rest,
});
const self = { node: 'a', incarnation: '1' };
const begun = (rest: Partial<OperationRequest> = {}, nowMs = 1): Operation =>
  begin(request(rest), null, self, nowMs) as Operation;

describe('a document', () => {
  test('is there as it was put, at the revision that was told', async () => {
    const revision = await store.save(begun(), 0);
    expect(await store.load('test.x')).toEqual({ operation: begun(), revision });
  });

  test('is replaced where it is at the revision that is named, and nowhere else', async () => {
    const first = (await store.save(begun(), 0)) as number;
    const changed = { ...begun(), step: 'later' };
    expect(await store.save(changed, 0)).toBe('conflict');
    const second = (await store.save(changed, first)) as number;
    expect(await store.save(begun(), first)).toBe('conflict');
    expect(await store.load('test.x')).toEqual({ operation: changed, revision: second });
  });

  test.each(['test.y', '_locks', 'not a key'])('that is not there is none: %s', async (id) => {
    await store.lock(['a'], 'x#1');
    expect(await store.load(id).catch(() => null)).toBeNull();
  });

  test('is forgotten without a trace, also if it was not there', async () => {
    await store.save(begun(), 0);
    await store.forget('test.x');
    await store.forget('test.x');
    expect(await store.load('test.x')).toBeNull();
    expect(await store.save(begun(), 0)).not.toBe('conflict');
  });

  test('beyond its size is refused', async () => {
    const data = { text: 'x'.repeat(limits.operationSizeBytes) };
    await expect(store.save(begun({ data }), 0)).rejects.toMatchObject({ code: 'too-large' });
  });
});

describe('locks', () => {
  const runs = async (id: string) => {
    await store.save(begun({ id }), 0);
    return `${id}#1`;
  };

  test('of concurrent operations: one has them, the others are told who', async () => {
    const holders = await Promise.all(['test.1', 'test.2', 'test.3', 'test.4'].map(runs));
    const results = await Promise.all(holders.map((holder) => store.lock(['a', 'b'], holder)));
    const winner = holders[results.indexOf(null)];
    expect(results.filter((busy) => busy === null)).toHaveLength(1);
    for (const busy of results.filter((one) => one !== null)) {
      expect(busy).toMatchObject({ key: 'a', holder: winner });
    }
    expect(await store.lock(['b', 'a'], winner ?? '')).toBeNull();
    await store.unlock(winner ?? '', 'all');
    expect(await store.lock(['b'], 'test.9#1')).toBeNull();
  });

  test('of one that ended, was begun anew or is not there are free', async () => {
    const holder = await runs('test.1');
    await store.lock(['a'], holder);
    expect(await store.lock(['a'], 'test.2#1')).toMatchObject({ key: 'a', holder });
    const found = await store.load('test.1');
    const anew = { ...begun({ id: 'test.1' }), run: 2 };
    await store.save(anew, found?.revision ?? 0);
    expect(await store.lock(['a'], 'test.2#1')).toBeNull();
    expect(await store.lock(['a'], 'test.3#1')).toBeNull();
  });

  test('taken and released by many at once are lost by nobody', async () => {
    const holders = Array.from({ length: 12 }, (_, i) => `test.${i}#1`);
    await Promise.all(holders.map((holder, i) => store.lock([`k${i}`], holder)));
    await Promise.all(holders.slice(0, 6).map((holder) => store.unlock(holder, 'all')));
    await Promise.all(holders.slice(6).map((holder, i) => store.lock([`k${i + 6}`, 'x'], holder)));
    const last = await runs('test.6');
    const busy = await store.lock(['k6'], 'test.0#1');
    expect(busy).toEqual(expect.objectContaining({ holder: last }));
  });

  test('taken by hundreds at once, as a node that hands over does, are written together', async () => {
    const spy = vi.spyOn(connection, 'request');
    onTestFinished(() => spy.mockRestore());
    const holders = Array.from({ length: 300 }, (_, i) => `test.${i}#1`);
    const taken = holders.map((holder, i) => store.lock([`k${i}`, `m${i}`], holder));
    expect(new Set(await Promise.all(taken))).toEqual(new Set([null]));
    await Promise.all(holders.slice(1).map((holder) => store.unlock(holder, 'all')));
    expect(spy.mock.calls.length).toBeLessThan(40);
    await runs('test.0');
    expect(await store.lock(['m0'], 'test.x#1')).toMatchObject({ holder: 'test.0#1' });
    expect(await store.lock(['m1', 'k299'], 'test.x#1')).toBeNull();
  });

  test('that cannot be taken keep nobody from theirs, who asked at the same time', async () => {
    const first = await runs('test.1');
    await store.lock(
      Array.from({ length: limits.operationLocks }, (_, i) => `k${i}`),
      first,
    );
    // While the first is written, the others wait, and are written together.
    const [, full, mine] = await Promise.allSettled([
      store.unlock('test.9#1', 'all'),
      store.lock(['x', 'y'], 'test.2#1'),
      store.unlock(first, ['k0']),
    ]);
    expect(full).toMatchObject({ status: 'rejected', reason: { code: 'overloaded' } });
    expect(mine.status).toBe('fulfilled');
    expect(await store.lock(['k0'], 'test.3#1')).toBeNull();
  });
});

type Step = (at: At<Record<string, unknown>>) => Outcome<Record<string, unknown>>;

/** A node that drives operations of the kind `test`; gone with the test. */
async function nodeThat(step: Step, node = 'a', incarnation = '1'): Promise<Operations> {
  const kind: OperationKind<Record<string, unknown>> = {
    name: 'test',
    sees: 'group',
    steps: { started: step },
    locks: () => ['thing'],
  };
  const membership = newMembership(node, defaultTimings, -10_000);
  const common = { zone: null, adminUrl: null, pid: null, kinds: [], draining: false };
  for (const id of ['a', 'b', 'c', 'elsewhere']) {
    heard(membership, { id, incarnation: id === node ? incarnation : '1', ...common }, 0);
  }
  const operations = new Operations({
    store: await OperationStore.open(connection, names),
    self: { node, incarnation },
    kinds: new Map([['test', kind as unknown as OperationKind<unknown>]]),
    membership: () => membership,
    hands: {
      observe: () => {
        const view = { nodes: [], groups: [] };
        const nothing = { group: null, view, nodes: [], lostZone: null, placeable: {} };
        return Promise.resolve({ nowMs: Date.now(), ...nothing });
      },
      call: () => Promise.resolve(null),
    },
  });
  await operations.open();
  onTestFinished(() => operations.stop());
  return operations;
}

const done: Outcome<never> = { kind: 'done', detail: 'well' };
const park: Outcome<never> = { kind: 'park', wakeAfterMs: 60_000 };

describe('whoever asks', () => {
  test('five times at once has one operation, driven once', async () => {
    let driven = 0;
    const nodes = await Promise.all(
      ['a', 'b', 'c'].map((node) =>
        nodeThat(() => {
          driven += 1;
          return done;
        }, node),
      ),
    );
    const asked = await Promise.all([0, 1, 2, 0, 1].map((i) => nodes[i]?.start(request())));
    expect(new Set(asked.map((one) => one?.id))).toEqual(new Set(['test.x']));
    const ended = await nodes[2]?.untilDone('test.x', 10_000);
    expect(ended).toMatchObject({ state: 'done', attempts: 1 });
    expect(driven).toBe(1);
  });

  test('again when it is done gets the same answer, and nothing is done twice', async () => {
    let driven = 0;
    const node = await nodeThat(() => {
      driven += 1;
      return done;
    });
    await node.start(request());
    const first = await node.untilDone('test.x', 10_000);
    expect(await node.start(request({ by: 'other' }))).toEqual(first);
    expect(driven).toBe(1);
  });

  test('until it is done is not answered because it is busy or parked', async () => {
    let isOpen = false;
    const node = await nodeThat(() => (isOpen ? done : { kind: 'park', wakeAfterMs: 20 }));
    await node.start(request());
    const message = expect.stringMatching(
      /^operation test\.x still runs, at step started, and 100 ms/,
    );
    await expect(node.untilDone('test.x', 100)).rejects.toMatchObject({ code: 'timeout', message });
    const waits = node.untilDone('test.x', 10_000);
    isOpen = true;
    expect((await waits).state).toBe('done');
  });

  test('until it is done is told by a node that stops that it goes on elsewhere', async () => {
    const node = await nodeThat(() => park);
    await node.start(request());
    const waits = node.untilDone('test.x', 60_000);
    await node.stop();
    const message = expect.stringMatching(/operation test\.x still runs.*this node stops/);
    await expect(waits).rejects.toMatchObject({ code: 'timeout', message });
  });

  test('until it parks is told what it waits for', async () => {
    const error = { code: 'not-ready', detail: 'the moon is not full' } as const;
    const node = await nodeThat(({ seen }) => ({ ...park, error, data: { at: seen.nowMs } }));
    const started = node.start(request());
    await started;
    await expect(node.untilParkOrDone('test.x', 10_000)).rejects.toMatchObject({
      code: 'not-ready',
      message: error.detail,
    });
  });

  test('for one that fails is told why; and for one that is not there, so', async () => {
    const node = await nodeThat(() => {
      throw new UnderstudyError('quarantined', 'poison');
    });
    await node.start(request());
    await expect(node.untilDone('test.x', 10_000)).rejects.toMatchObject({
      code: 'quarantined',
      message: 'poison (operation test.x)',
    });
    const missing = { code: 'operation-not-found' };
    await expect(node.get('test.y', 0)).rejects.toMatchObject(missing);
    await expect(node.cancel('test.y', 'ops')).rejects.toMatchObject(missing);
  });

  test('to cancel reaches the driver on another node, and is told when it is too late', async () => {
    const [driver, other] = [await nodeThat(() => park), await nodeThat(() => park, 'b')];
    await driver.start(request());
    await other.cancel('test.x', 'boss');
    expect(await other.get('test.x', 10_000)).toMatchObject({ state: 'cancelled' });
    const failing = await nodeThat(() => done, 'c');
    await failing.start(request({ id: 'test.z' }));
    await failing.untilDone('test.z', 10_000);
    await expect(other.cancel('test.z', 'boss')).rejects.toMatchObject({ code: 'conflict' });
  });
});

describe('a driver that is gone', () => {
  test('having let go is followed by another at once', async () => {
    const first = await nodeThat(() => park);
    const second = await nodeThat(() => done, 'b');
    await first.start(request());
    await until('it is parked', async () => (await first.get('test.x', 0)).wakeAt !== null);
    await first.stop();
    expect(await second.untilDone('test.x', 10_000)).toMatchObject({ driver: 'b' });
  });

  test('without a word is followed by whoever knows that its life is over', async () => {
    const { revision } = { revision: await store.save(begun(), 0) };
    expect(revision).not.toBe('conflict');
    // The node is back, in a later life, and finds what the former one left.
    const back = await nodeThat(() => done, 'a', '2');
    expect(await back.untilDone('test.x', 10_000)).toMatchObject({ driver: 'a', state: 'done' });
  });
});

describe('history', () => {
  test('is newest first, and everywhere the same', async () => {
    const [one, other] = [await nodeThat(() => done), await nodeThat(() => done, 'b')];
    for (const id of ['test.1', 'test.2', 'test.3']) {
      await one.start(request({ id }));
      await one.untilDone(id, 10_000);
    }
    const ids = ['test.3', 'test.2', 'test.1'];
    expect(one.list().map(({ id }) => id)).toEqual(ids);
    await until('the other has heard', () => other.list().every(({ state }) => state === 'done'));
    expect(other.list()).toEqual(one.list());
  });

  test('forgets what ended first, and never what runs', async () => {
    const old = begun({ id: 'test.running' }, -1);
    await store.save({ ...old, driver: { node: 'elsewhere', incarnation: '1' } }, 0);
    const over = Array.from({ length: limits.operations }, (_, i) => ({
      ...begun({ id: `test.${i}` }),
      state: 'done' as const,
      updatedAtMs: i,
    }));
    await Promise.all(over.map((operation) => store.save(operation, 0)));
    const node = await nodeThat(({ operation }) => (operation.id === 'test.new' ? done : park));
    await until('all are seen', () => node.list().length === limits.operations + 1);
    await node.start(request({ id: 'test.new' }));
    await until('the oldest is gone', async () => (await store.load('test.0')) === null);
    await until('and the next', async () => (await store.load('test.1')) === null);
    expect(node.list()).toHaveLength(limits.operations);
    expect(await store.load('test.running')).not.toBeNull();
    expect(await store.load('test.2')).not.toBeNull();
  });

  test('of a former version is shown as what nobody can go on with', async () => {
    const { Kvm } = await import('@nats-io/kv');
    const kv = await new Kvm(connection).open(names.operationsBucket);
    const at = '2026-01-01T00:00:00.000Z';
    const former = {
      ...{ id: 'failover.c.1', kind: 'failover', target: 'c', state: 'running', step: 'promoting' },
      ...{ attempts: 1, lastError: null, createdAt: at, updatedAt: at, by: 'ops' },
      steps: [{ name: 'started', at }],
    };
    await kv.create('failover.c.1', JSON.stringify(former));
    const node = await nodeThat(() => done);
    expect(await node.get('failover.c.1', 0)).toMatchObject({
      state: 'failed',
      createdAt: at,
      steps: [{ name: 'started', at }],
    });
    const again = request({ id: 'failover.c.1', kind: 'test' });
    expect(await node.start(again)).toMatchObject({ state: 'running', attempts: 2 });
  });
});

test('more than so many that run at once are refused', async () => {
  const node = await nodeThat(() => park);
  const held = { node: 'elsewhere', incarnation: '1' };
  const ids = Array.from({ length: limits.operationsRunning }, (_, i) => `test.${i}`);
  await Promise.all(ids.map((id) => store.save({ ...begun({ id }), driver: held }, 0)));
  await until('all are seen', () => node.list().length === ids.length);
  await expect(node.start(request())).rejects.toMatchObject({ code: 'overloaded' });
  expect(await node.start(request({ id: 'test.1' }))).toMatchObject({ id: 'test.1' });
});
