/** The contract's world with real brokers. */
import { rmSync } from 'node:fs';
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from 'nats';
import type { BrokerOptions } from '../../src/broker/start.js';
import { natsChunks } from '../../src/nats/chunks.js';
import { connectTo, watchConnection } from '../../src/nats/connect.js';
import { natsGarbage } from '../../src/nats/garbage.js';
import { natsLog } from '../../src/nats/log.js';
import { bulkLimits, controlLimits, Requests } from '../../src/nats/requests.js';
import { ensureStreams } from '../../src/nats/streams.js';
import { namesFor, shardOf } from '../../src/nats/subjects.js';
import {
  startTestBroker,
  startTestCluster,
  type TestBroker,
  type TestCluster,
} from '../support/broker.js';
import { until } from '../support/until.js';
import type { ClientName, Harness, Victim } from './harness.js';

const shards = 1;
const names = namesFor('contract');
const streams = (replicas: 1 | 3) => ({ namespace: 'contract', names, shards, replicas });
const subjectOf = (groupId: string) => names.log(shardOf(groupId, shards), groupId, 'hot');

interface Client {
  readonly connection: NatsConnection;
  readonly control: Requests;
  readonly bulk: Requests;
  isConnected: boolean;
  /** How often it lost its connection. */
  losses: number;
}

/** One connection for everything: a contract is about outcomes, not about speed. */
async function openClient(servers: readonly string[], name: ClientName): Promise<Client> {
  const connection = await connectTo({ servers, name });
  const client: Client = {
    connection,
    control: new Requests(connection, { ...controlLimits, timeoutMs: 5000 }),
    bulk: new Requests(connection, bulkLimits),
    isConnected: true,
    losses: 0,
  };
  watchConnection(connection, (status) => {
    client.isConnected = status === 'back';
    if (status === 'lost') client.losses += 1;
  });
  return client;
}

type Clients = Readonly<Record<ClientName, Client>>;

async function openClients(servers: readonly string[]): Promise<Clients> {
  const [a, b] = await Promise.all([openClient(servers, 'a'), openClient(servers, 'b')]);
  return { a, b };
}

/** Does what makes these clients lose their connections; returns when they have noticed. */
async function losing(clients: readonly Client[], strike: () => Promise<void>): Promise<void> {
  const before = clients.map(({ losses }) => losses);
  await strike();
  await until('the clients have lost their connections', () =>
    clients.every(({ losses }, i) => losses > (before[i] ?? 0)),
  );
}

const reconnected = (clients: Clients) =>
  until('the clients are connected', () =>
    Object.values(clients).every(({ isConnected }) => isConnected),
  );

function ports(
  clients: Clients,
  manager: JetStreamManager,
): Pick<Harness, 'log' | 'chunks' | 'garbage' | 'wait' | 'purge' | 'intrude' | 'disconnect'> {
  return {
    log(name, groupId) {
      const { control, bulk, connection } = clients[name];
      const shard = shardOf(groupId, shards);
      const stream = names.logStream(shard);
      const tailSubject = names.tail(shard, groupId);
      const subject = subjectOf(groupId);
      return natsLog({ control, bulk, tail: connection, stream, subject, tailSubject });
    },
    chunks: (name, groupId) => natsChunks({ bulk: clients[name].bulk, names, groupId }),
    garbage: (name) => natsGarbage({ bulk: clients[name].bulk, names }),
    wait: (work) => work,
    async purge(groupId, before) {
      const query = { filter: subjectOf(groupId), seq: before };
      await manager.streams.purge(names.logStream(shardOf(groupId, shards)), query);
    },
    async intrude(groupId, record) {
      await clients.a.connection.request(subjectOf(groupId), record);
    },
    async disconnect(name) {
      await losing([clients[name]], () => clients[name].connection.reconnect());
      await reconnected(clients);
    },
  };
}

async function closeClients(clients: Clients): Promise<void> {
  await Promise.all(Object.values(clients).map(({ connection }) => connection.close()));
}

async function endOf(broker: TestBroker): Promise<void> {
  broker.kill('SIGKILL');
  await broker.exited;
}

export interface NatsHarness extends Harness {
  readonly connection: NatsConnection;
}

/** A single server that can be killed. */
export async function openBroker(options: Partial<BrokerOptions> = {}): Promise<NatsHarness> {
  let broker: TestBroker = await startTestBroker(options);
  const { dataDir, port } = broker;
  const clients = await openClients([broker.url]);
  const { connection } = clients.a;
  await ensureStreams(connection, streams(1));
  const manager = await jetstreamManager(connection);
  return {
    ...ports(clients, manager),
    connection,
    kill: () => losing(Object.values(clients), () => endOf(broker)),
    async recover() {
      broker = await startTestBroker({ ...options, dataDir, port });
      await reconnected(clients);
    },
    complete: () => Promise.resolve(),
    async close() {
      await closeClients(clients);
      await broker.remove();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** An election takes seconds: whoever is asked meanwhile may not answer. */
const askTimeoutMs = 500;

/** Creating a stream does not wait for its election; until then it takes nothing. */
async function untilWhole(manager: JetStreamManager): Promise<void> {
  await until('every stream has a leader and current replicas', async () => {
    const infos = await manager.streams.list().next();
    return infos.every(({ cluster }) => {
      const peers = cluster?.replicas ?? [];
      return cluster?.leader !== undefined && peers.every((peer) => peer.current);
    });
  });
}

async function leaderOf(manager: JetStreamManager, stream: string): Promise<string | undefined> {
  return (await manager.streams.info(stream)).cluster?.leader;
}

const portOf = ({ connection }: Client) => Number(connection.getServer().split(':').at(-1));

/** Three servers, three replicas of everything. */
export async function openCluster(): Promise<NatsHarness> {
  const cluster = await startTestCluster(3);
  const clients = await openClients(cluster.urls);
  const { connection } = clients.a;
  await ensureStreams(connection, streams(3));
  const manager = await jetstreamManager(connection, { timeout: askTimeoutMs });
  await untilWhole(manager);
  return {
    ...ports(clients, manager),
    ...outages(cluster, clients, manager),
    connection,
    async close() {
      await closeClients(clients);
      await cluster.remove();
    },
  };
}

function outages(
  cluster: TestCluster,
  clients: Clients,
  manager: JetStreamManager,
): Pick<Harness, 'kill' | 'recover' | 'complete'> {
  const led = [names.logStream(0), names.snapshotStream];
  const dead = new Set<TestBroker>();
  const find = async (victim: Victim) => {
    if (victim === 'a' || victim === 'b') {
      return cluster.brokers.find(({ port }) => port === portOf(clients[victim]));
    }
    const stream = victim === 'log' ? names.logStream(0) : names.snapshotStream;
    const leader = await leaderOf(manager, stream);
    return cluster.brokers.find(({ serverName }) => serverName === leader);
  };
  return {
    async kill(victim) {
      const broker = await find(victim);
      if (broker === undefined) throw new Error(`no server is the ${victim} one`);
      const cut = Object.values(clients).filter((client) => portOf(client) === broker.port);
      dead.add(broker);
      await losing(cut, () => endOf(broker));
    },
    async recover() {
      const gone = [...dead].map(({ serverName }) => serverName);
      await reconnected(clients);
      await until('the others have elected their leaders', async () => {
        const leaders = await Promise.all(led.map((stream) => leaderOf(manager, stream)));
        return leaders.every((leader) => leader !== undefined && !gone.includes(leader));
      });
    },
    async complete() {
      await Promise.all([...dead].map((broker) => cluster.restart(broker)));
      dead.clear();
      await untilWhole(manager);
    },
  };
}
