import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  type ConnectionStatus,
  closeConnections,
  connectTo,
  openConnections,
  type Purpose,
} from '../../src/nats/connect.js';
import { startTestBroker, type TestBroker } from '../support/broker.js';

let broker: TestBroker;

beforeAll(async () => {
  broker = await startTestBroker();
});
afterAll(() => broker?.remove());

it('says which servers did not answer, when its patience is over', async () => {
  const servers = ['127.0.0.1:1'];
  await expect(connectTo({ servers, name: 'x', patienceMs: 300 })).rejects.toMatchObject({
    code: 'broker-unavailable',
    message: expect.stringContaining('127.0.0.1:1') as unknown,
  });
});

it.each(['ws://127.0.0.1:4222', 'http://broker', '127.0.0.1:99999', 'nats://', 'a b', ''])(
  'does not dial %j',
  async (server) => {
    const options = { servers: [broker.url, server], name: 'x', patienceMs: 600_000 };
    await expect(connectTo(options)).rejects.toMatchObject({
      code: 'invalid-config',
      message: expect.stringContaining(`"${server}" is not the address of a broker`) as unknown,
    });
  },
);

it.each(['nats://', ''])('dials %jHOST:PORT', async (protocol) => {
  const server = `${protocol}${new URL(broker.url).host}`;
  const connection = await connectTo({ servers: [server], name: 'x' });
  await connection.close();
});

it('waits for a broker that starts later', async () => {
  const { dataDir, port, url } = broker;
  await broker.stop();
  const early = connectTo({ servers: [url], name: 'early', patienceMs: 20_000 });
  broker = await startTestBroker({ dataDir, port });
  const connection = await early;
  expect(connection.isClosed()).toBe(false);
  await connection.close();
});

it('says that the broker refuses the user, and does not try again', async () => {
  const login = { user: 'node', password: 'right' };
  const guarded = await startTestBroker({ login });
  const options = { servers: [guarded.url], name: 'x', user: 'node', patienceMs: 600_000 };
  await expect(connectTo({ ...options, pass: 'wrong' })).rejects.toMatchObject({
    code: 'unauthorized',
    message: expect.stringContaining('user "node"') as unknown,
  });
  const connection = await connectTo({ ...options, pass: 'right' });
  await connection.close();
  await guarded.remove();
});

it('reports for each connection when it is lost and when it is back', async () => {
  const seen: [Purpose, ConnectionStatus][] = [];
  let onSeen = () => {};
  const until = (count: number) =>
    new Promise<void>((done) => {
      onSeen = () => seen.length >= count && done();
      onSeen();
    });
  const connections = await openConnections({
    servers: [broker.url],
    node: 'n1',
    incarnation: 'i1',
    onStatus: (purpose, status) => {
      seen.push([purpose, status]);
      onSeen();
    },
  });
  broker.kill('SIGKILL');
  await broker.exited;
  await until(3);
  const { dataDir, port } = broker;
  broker = await startTestBroker({ dataDir, port });
  await until(6);
  for (const purpose of ['control', 'tail', 'bulk']) {
    expect(seen.filter(([who]) => who === purpose).map(([, what]) => what)).toEqual([
      'lost',
      'back',
    ]);
  }
  await closeConnections(connections);
  expect(seen.slice(6).map(([, what]) => what)).toEqual(['closed', 'closed', 'closed']);
});
