/** Kills the node that drives an operation, at the very step. */
import { type KV, Kvm } from '@nats-io/kv';
import { connect, type NatsConnection } from 'nats';
import type { OperationDocument } from '../../cluster/documents.js';
import type { AdminClient } from '../../src/client/admin.js';
import { namesFor } from '../../src/nats/subjects.js';
import type { Cluster } from './cluster.js';
import type { NodeProcess } from './node-process.js';
import { until } from './until.js';

export interface KillAt {
  readonly kind: string;
  readonly step: string;
}

export class Killer {
  constructor(
    private readonly cluster: Cluster,
    private readonly connection: NatsConnection,
    readonly operations: KV,
  ) {}

  close(): Promise<void> {
    return this.connection.close();
  }

  /** Kills the node as soon as the step of the operation is on record; returns the operation's id. */
  async killAt(node: NodeProcess, { kind, step }: KillAt): Promise<string> {
    const watch = await this.operations.watch({ ignoreDeletes: true });
    let id = '';
    try {
      for await (const entry of watch) {
        if (!entry.isUpdate || !entry.key.startsWith(`${kind}.`)) continue;
        if (entry.json<{ step: string }>().step !== step) continue;
        node.signal('SIGKILL');
        id = entry.key;
        break;
      }
    } finally {
      watch.stop();
    }
    await node.exited;
    return id;
  }

  /** What has ended gives its locks back right after it is on record that it has. */
  async untilUnlocked(): Promise<void> {
    await until('no lock is held', async () => {
      const locks = await this.operations.get('_locks');
      return Object.keys(locks?.json<object>() ?? {}).length === 0;
    });
  }

  /** Begun by that node, which dies, and ended by somebody. */
  async endedWithout(
    driver: NodeProcess,
    at: KillAt,
    ask: (admin: AdminClient) => Promise<unknown>,
    other: AdminClient,
  ): Promise<OperationDocument> {
    const admin = this.cluster.adminOf(driver);
    // It may have been started just now.
    await until(`${driver.id} knows every member`, async () => {
      const groups = await admin.groups();
      return groups.length > 0 && groups.every(({ health }) => health.healthy === health.total);
    });
    const killed = this.killAt(driver, at);
    // Its answer may die with it.
    const asked = ask(admin).catch(() => null);
    const id = await killed;
    await asked;
    return await other.operation(id, 25_000);
  }
}

export async function killerOf(cluster: Cluster): Promise<Killer> {
  const connection = await connect({ servers: cluster.broker.url });
  const { operationsBucket } = namesFor('understudy');
  return new Killer(cluster, connection, await new Kvm(connection).open(operationsBucket));
}
