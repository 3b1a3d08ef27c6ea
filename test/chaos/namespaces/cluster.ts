/** Three brokers and three nodes, each in its namespace and with its address. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from 'nats';
import { writeConfig } from '../../../src/broker/config.js';
import { findServer } from '../../../src/broker/find.js';
import { type Ground, shards } from '../../../src/chaos/cluster/cluster.js';
import { until } from '../../../src/chaos/until.js';
import { type AdminClient, createAdminClient } from '../../../src/client/admin.js';
import { Host } from './host.js';
import type { Net } from './net.js';

export const brokerIds = ['broker-1', 'broker-2', 'broker-3'] as const;
export const nodeIds = ['node-1', 'node-2', 'node-3'] as const;
export const hostIds: readonly string[] = [...brokerIds, ...nodeIds];

const ports = { client: 4222, route: 6222, admin: 4470 };
const adminTimeoutMs = 5000;

export interface NetClusterOptions {
  readonly net: Net;
  /** Of the namespaces. */
  readonly prefix: string;
  /** The built `understudy` command. */
  readonly main: string;
}

export class NetCluster implements Ground {
  readonly dir = mkdtempSync(join(tmpdir(), 'understudy-netns-'));
  readonly adminToken = randomBytes(16).toString('hex');
  readonly brokers: readonly Host[];
  readonly nodes: readonly Host[];

  constructor(private readonly options: NetClusterOptions) {
    mkdirSync(join(this.dir, 'logs'));
    this.brokers = brokerIds.map((id) => this.#broker(id));
    this.nodes = nodeIds.map((id) => this.#node(id));
  }

  get clientUrls(): string[] {
    return this.brokers.map(({ address }) => `nats://${address}:${ports.client}`);
  }

  get adminUrls(): string[] {
    const running = this.nodes.filter(({ isRunning }) => isRunning);
    return running.map(({ address }) => `http://${address}:${ports.admin}`);
  }

  get admin(): AdminClient {
    const timeoutMs = adminTimeoutMs;
    return createAdminClient({ url: this.adminUrls, token: this.adminToken, timeoutMs });
  }

  async start(): Promise<void> {
    for (const broker of this.brokers) broker.start();
    await until('the brokers have a leader', async () => {
      const connection = await connect({ servers: this.clientUrls, timeout: 2000 });
      try {
        await (await jetstreamManager(connection, { checkAPI: false })).getAccountInfo();
        return true;
      } finally {
        await connection.close();
      }
    });
    for (const node of this.nodes) node.start();
    await Promise.all(this.nodes.map((node) => node.told()));
  }

  async stop(): Promise<void> {
    await Promise.all([...this.nodes, ...this.brokers].map((host) => host.end()));
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  #host(id: string, command: readonly string[], env: Readonly<Record<string, string>>): Host {
    const { net, prefix } = this.options;
    return new Host({
      ...{ id, namespace: `${prefix}-${id}`, address: net.addressOf(id), command },
      ...{ logFile: join(this.dir, 'logs', `${id}.log`), env: { ...process.env, ...env } },
    });
  }

  #broker(id: string): Host {
    const { net } = this.options;
    const own = join(this.dir, id);
    const portsDir = join(own, 'ports');
    mkdirSync(portsDir, { recursive: true });
    const others = brokerIds.filter((other) => other !== id);
    const routes = others.map((other) => `nats://${net.addressOf(other)}:${ports.route}`);
    const config = writeConfig({
      ...{ serverName: id, port: ports.client, portsDir, storeDir: join(own, 'store') },
      ...{ logFile: join(this.dir, 'logs', `${id}.nats.log`), syncInterval: '100ms' },
      cluster: { name: 'chaos', port: ports.route, routes },
    });
    const file = join(own, 'broker.conf');
    writeFileSync(file, config.replaceAll('127.0.0.1', net.addressOf(id)));
    return this.#host(id, [findServer(), '-c', file], {});
  }

  #node(id: string): Host {
    const tokenFile = join(this.dir, `${id}-tokens.json`);
    const sha256 = createHash('sha256').update(this.adminToken).digest('hex');
    const tokens = [{ name: 'chaos', role: 'admin', sha256 }];
    writeFileSync(tokenFile, JSON.stringify({ tokens }), { mode: 0o600 });
    return this.#host(id, [process.execPath, this.options.main, 'node'], {
      UNDERSTUDY_NODE_ID: id,
      UNDERSTUDY_NATS_URL: this.clientUrls.join(','),
      UNDERSTUDY_ADMIN_HOST: this.options.net.addressOf(id),
      UNDERSTUDY_ADMIN_PORT: String(ports.admin),
      UNDERSTUDY_TOKEN_FILE: tokenFile,
      UNDERSTUDY_CACHE_DIR: join(this.dir, id),
      UNDERSTUDY_SHARDS: String(shards),
      UNDERSTUDY_REPLICAS: String(brokerIds.length),
    });
  }
}
