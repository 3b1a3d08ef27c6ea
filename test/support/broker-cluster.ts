/** Who leads and who is connected where in a cluster of brokers, and how to decide that. */
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from 'nats';
import { brokerSubjects } from '../../src/broker/config.js';
import { type Purpose, parseConnectionName } from '../../src/nats/connect.js';
import type { TestBroker, TestCluster } from './broker.js';
import { until } from './until.js';

export class BrokerWatch {
  /** Name of the server, by node and purpose. */
  readonly #servers = new Map<string, string>();

  private constructor(
    private readonly brokers: TestCluster,
    private readonly connections: readonly NatsConnection[],
    private readonly manager: JetStreamManager,
  ) {
    for (const connection of connections) {
      connection.subscribe(brokerSubjects.connected, {
        callback: (error, message) => {
          if (error === null) this.#note(message.json());
        },
      });
    }
  }

  /** Before the nodes start. At each server, so that no death leaves it deaf. */
  static async open(brokers: TestCluster): Promise<BrokerWatch> {
    const at = (servers: string | string[]) => connect({ servers, maxReconnectAttempts: -1 });
    const connections = await Promise.all([...brokers.urls].map(at));
    const anywhere = await at([...brokers.urls]);
    const manager = await jetstreamManager(anywhere, { checkAPI: false });
    const watch = new BrokerWatch(brokers, [...connections, anywhere], manager);
    await Promise.all(connections.map((connection) => connection.flush()));
    return watch;
  }

  #note(told: { server: { name: string }; client: { name?: string } }): void {
    const who = parseConnectionName(told.client.name ?? '');
    if (who !== undefined) this.#servers.set(`${who.node}/${who.purpose}`, told.server.name);
  }

  /** The server that this connection of the node was last made to. */
  serverOf(node: string | null, purpose: Purpose): string {
    const server = this.#servers.get(`${node}/${purpose}`);
    if (server === undefined) throw new Error(`${node} has no ${purpose} connection`);
    return server;
  }

  broker(name: string): TestBroker {
    const found = this.brokers.brokers.find(({ serverName }) => serverName === name);
    if (found === undefined) throw new Error(`there is no server ${name}`);
    return found;
  }

  get names(): string[] {
    return this.brokers.brokers.map(({ serverName }) => serverName);
  }

  async leaderOf(stream: string): Promise<string | undefined> {
    return (await this.manager.streams.info(stream)).cluster?.leader;
  }

  async makeLeader(stream: string, server: string): Promise<void> {
    const placement = JSON.stringify({ placement: { preferred: server } });
    await until(`${server} leads ${stream}`, async () => {
      const leader = await this.leaderOf(stream);
      if (leader === server) return true;
      const [connection] = this.connections.filter((each) => !each.isClosed());
      if (leader) await connection?.request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`, placement);
      return false;
    });
  }

  /** Every replica of every stream has all that its leader has. */
  async whole(): Promise<void> {
    await until('all replicas are current', async () => {
      const streams = await this.manager.streams.list().next();
      return streams.every(({ cluster }) => {
        const replicas = cluster?.replicas ?? [];
        return cluster?.leader && replicas.length === 2 && replicas.every((one) => one.current);
      });
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.connections.map((connection) => connection.close()));
  }
}
