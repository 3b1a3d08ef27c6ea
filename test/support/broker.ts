/** Real nats-servers for tests: each in a directory of its own, gone afterwards. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from 'nats';
import { type Broker, type BrokerOptions, startBroker } from '../../src/broker/start.js';
import { freePorts } from '../../src/chaos/cluster/ports.js';

export interface TestBroker extends Broker {
  readonly dataDir: string;
  /** Stops the server and removes its directory. */
  remove(): Promise<void>;
}

/** A single server on a free port. */
export async function startTestBroker(options: Partial<BrokerOptions> = {}): Promise<TestBroker> {
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'understudy-broker-'));
  const removeDir = () => rmSync(dataDir, { recursive: true, force: true });
  try {
    const broker = await startBroker({ port: 0, ...options, dataDir });
    const remove = async () => {
      await broker.stop(2_000);
      removeDir();
    };
    return { ...broker, dataDir, remove };
  } catch (error) {
    removeDir();
    throw error;
  }
}

export interface TestCluster {
  readonly brokers: readonly TestBroker[];
  /** All servers, for `connect({ servers })`. */
  readonly urls: readonly string[];
  /** Starts a server that is gone once more, with its name, its ports and its directory. */
  restart(gone: TestBroker): Promise<void>;
  remove(): Promise<void>;
}

/** `size` servers in one JetStream cluster, ready to hold streams with `size` replicas. */
export async function startTestCluster(
  size = 3,
  options: Partial<BrokerOptions> = {},
): Promise<TestCluster> {
  const ports = await freePorts(size);
  const routes = ports.map((port) => `nats://127.0.0.1:${port}`);
  const optionsOf = (i: number) => ({
    ...options,
    serverName: `n${i + 1}`,
    cluster: { name: 'test', port: ports[i] ?? 0, routes },
  });
  const starts = ports.map((_, i) => startTestBroker(optionsOf(i)));
  const settled = await Promise.allSettled(starts);
  const brokers = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const remove = async () => void (await Promise.all(brokers.map((broker) => broker.remove())));
  const urls = brokers.map((broker) => broker.url);
  try {
    await Promise.all(starts);
    await untilReplicated(urls);
  } catch (error) {
    await remove();
    throw error;
  }
  const restart = async (gone: TestBroker) => {
    const i = brokers.indexOf(gone);
    const { dataDir, port } = gone;
    brokers[i] = await startTestBroker({ ...optionsOf(i), dataDir, port });
  };
  return { brokers, urls, restart, remove };
}

const placementAttempts = 100;
const placementPauseMs = 50;

/** The leader is known before the leader knows its peers: wait until it can place a replicated stream. */
async function untilReplicated(urls: readonly string[]): Promise<void> {
  const connection = await connect({ servers: [...urls] });
  try {
    const manager = await jetstreamManager(connection, { checkAPI: false });
    const stream = { name: 'probe', subjects: ['probe'], num_replicas: urls.length };
    for (let left = placementAttempts; left > 0; left -= 1) {
      const added = await manager.streams.add(stream).catch((error: unknown) => error);
      if (!(added instanceof Error)) break;
      if (left === 1) throw added;
      await delay(placementPauseMs);
    }
    await manager.streams.delete(stream.name);
  } finally {
    await connection.close();
  }
}
