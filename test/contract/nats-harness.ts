/** The contract's world with real brokers. */
import { rmSync } from 'node:fs';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from 'nats';
import { connectTo, watchConnection } from '../../src/nats/connect.js';
import { natsLog } from '../../src/nats/log.js';
import { bulkLimits, controlLimits, Requests } from '../../src/nats/requests.js';
import { natsSnapshots } from '../../src/nats/snapshots.js';
import { ensureStreams } from '../../src/nats/streams.js';
import { namesFor, shardOf } from '../../src/nats/subjects.js';
import { startTestBroker, startTestCluster, type TestBroker } from '../support/broker.js';
import { until } from '../support/until.js';
import type { Harness } from './harness.js';

const shards = 1;
const names = namesFor('contract');
const streams = (replicas: 1 | 3) => ({ namespace: 'contract', names, shards, replicas });

interface Client {
  readonly connection: NatsConnection;
  readonly control: Requests;
  readonly bulk: Requests;
  /** Resolves once the connection is there; a new promise after each loss. */
  connected: Promise<void>;
}

/** One connection for everything: a contract is about outcomes, not about speed. */
async function openClient(servers: readonly string[], name: string): Promise<Client> {
  const connection = await connectTo({ servers, name });
  const client: Client = {
    connection,
    control: new Requests(connection, { ...controlLimits, timeoutMs: 5000 }),
    bulk: new Requests(connection, bulkLimits),
    connected: Promise.resolve(),
  };
  let onBack = () => {};
  watchConnection(connection, (status) => {
    if (status === 'lost') {
      client.connected = new Promise((done) => {
        onBack = done;
      });
    } else {
      onBack();
    }
  });
  return client;
}

type Clients = Readonly<Record<'a' | 'b', Client>>;

async function openClients(servers: readonly string[]): Promise<Clients> {
  const [a, b] = await Promise.all([openClient(servers, 'a'), openClient(servers, 'b')]);
  return { a, b };
}

function ports(clients: Clients): Pick<Harness, 'log' | 'snapshots' | 'wait'> {
  const clientOf = (name: string) => {
    if (name !== 'a' && name !== 'b') throw new Error(`no client ${name}`);
    return clients[name];
  };
  return {
    log(name, groupId) {
      const { control, bulk, connection } = clientOf(name);
      const shard = shardOf(groupId, shards);
      const stream = names.logStream(shard);
      const subject = names.log(shard, groupId, 'hot');
      const tailSubject = names.tail(shard, groupId);
      return natsLog({ control, bulk, tail: connection, stream, subject, tailSubject });
    },
    snapshots: (name, groupId) => natsSnapshots({ bulk: clientOf(name).bulk, names, groupId }),
    wait: (work) => work,
  };
}

async function closeClients(clients: Clients): Promise<void> {
  await Promise.all(Object.values(clients).map(({ connection }) => connection.close()));
}

/** A single server that can be killed. */
export async function openBroker(): Promise<Harness> {
  let broker: TestBroker = await startTestBroker();
  const { dataDir, port } = broker;
  const clients = await openClients([broker.url]);
  await ensureStreams(clients.a.connection, streams(1));
  return {
    ...ports(clients),
    async kill() {
      broker.kill('SIGKILL');
      await broker.exited;
    },
    async restart() {
      broker = await startTestBroker({ dataDir, port });
      await Promise.all(Object.values(clients).map(({ connected }) => connected));
    },
    async close() {
      await closeClients(clients);
      await broker.remove();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** Creating a stream does not wait for its election; until then it takes nothing. */
async function untilLed(connection: NatsConnection): Promise<void> {
  const manager = await jetstreamManager(connection);
  await until('every stream has a leader and current replicas', async () => {
    const infos = await manager.streams.list().next();
    return infos.every(({ cluster }) => {
      const peers = cluster?.replicas ?? [];
      return cluster?.leader !== undefined && peers.every((peer) => peer.current);
    });
  });
}

/** Three servers, three replicas of everything. */
export async function openCluster(): Promise<Harness> {
  const cluster = await startTestCluster(3);
  const clients = await openClients(cluster.urls);
  await ensureStreams(clients.a.connection, streams(3));
  await untilLed(clients.a.connection);
  const never = () => Promise.reject(new Error('not in a cluster: an election takes too long'));
  return {
    ...ports(clients),
    kill: never,
    restart: never,
    async close() {
      await closeClients(clients);
      await cluster.remove();
    },
  };
}
