/**
 * The registry: which groups there should be, and what is asked of the cluster as a whole, in a KV
 * bucket, changed only by compare-and-set.
 * Watches tell of changes at once; because a watch can fall silent, everything is read again now and
 * then, and whoever listens compares (level-triggered).
 */

import { type KV, Kvm, KvWatchInclude } from '@nats-io/kv';
import type { NatsConnection } from 'nats';
import type { Logger } from 'pino';
import { type ClusterConfig, type GroupConfig, newClusterConfig } from '../../cluster/types.js';
import { UnderstudyError } from '../../replication/errors.js';
import { isWrongLast } from '../nats/kv-errors.js';
import { patiently } from '../nats/patience.js';
import type { Names } from '../nats/subjects.js';

export interface RegistryEvents {
  group(config: GroupConfig, revision: number): void;
  gone(name: string): void;
  cluster(config: ClusterConfig, revision: number): void;
}

const rereadMs = 10_000;
/** Of a change that others get in the way of. */
const mostAttempts = 8;
const clusterKey = 'cluster';
const groupKey = (name: string) => `group.${name}`;
const idKey = (groupId: string) => `id.${groupId}`;

export class Registry {
  readonly #kv: KV;
  #timer: NodeJS.Timeout | null = null;
  #stopWatch: () => void = () => undefined;
  #known = new Set<string>();

  private constructor(
    kv: KV,
    private readonly events: RegistryEvents,
    private readonly logger: Logger,
  ) {
    this.#kv = kv;
  }

  /** Resolves once everything there is has been reported. Throws `broker-unavailable`. */
  static async open(
    connection: NatsConnection,
    names: Names,
    events: RegistryEvents,
    logger: Logger,
  ): Promise<Registry> {
    const kv = await patiently('open the registry', () =>
      new Kvm(connection).open(names.groupsBucket),
    );
    const registry = new Registry(kv, events, logger);
    await patiently('read the registry', async () => {
      await registry.#reread();
      await registry.#watch();
    });
    registry.#timer = setInterval(() => void registry.#rereadSafely(), rereadMs);
    return registry;
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#stopWatch();
  }

  async get(name: string): Promise<{ config: GroupConfig; revision: number } | null> {
    const entry = await this.#kv.get(groupKey(name));
    if (entry === null || entry.operation !== 'PUT') return null;
    return { config: entry.json<GroupConfig>(), revision: entry.revision };
  }

  /** Throws `group-exists` if the name or the seed is taken. */
  async create(config: GroupConfig): Promise<void> {
    await this.#reserve(idKey(config.groupId), config.name, (name) => {
      const detail = `group ${name} already has this seed; two groups cannot share one`;
      return new UnderstudyError('group-exists', detail);
    });
    try {
      await this.#reserve(groupKey(config.name), JSON.stringify(config), () => {
        const detail = `group ${config.name} exists already; choose another name or delete it`;
        return new UnderstudyError('group-exists', detail);
      });
    } catch (error) {
      await this.#kv.delete(idKey(config.groupId));
      throw error;
    }
    await this.#report(config.name);
  }

  async #reserve(
    key: string,
    value: string,
    taken: (holder: string) => UnderstudyError,
  ): Promise<void> {
    try {
      await this.#kv.create(key, value);
    } catch (error) {
      if (!isWrongLast(error)) throw error;
      const holder = await this.#kv.get(key);
      throw taken(holder?.string() ?? 'another group');
    }
  }

  /** False: the entry is not at `revision` any more, nothing was changed. */
  async update(config: GroupConfig, revision: number): Promise<boolean> {
    try {
      await this.#kv.put(groupKey(config.name), JSON.stringify(config), { previousSeq: revision });
      return true;
    } catch (error) {
      if (isWrongLast(error)) return false;
      throw error;
    }
  }

  /** False: the entry is not at `revision` any more, nothing was changed. The id stays taken. */
  async remove({ name }: GroupConfig, revision: number): Promise<boolean> {
    try {
      await this.#kv.delete(groupKey(name), { previousSeq: revision });
    } catch (error) {
      if (isWrongLast(error)) return false;
      throw error;
    }
    this.#forget(name);
    return true;
  }

  /** Of the entry that keeps a group's id taken; 0: there is none of this name. */
  async idRevision(name: string, groupId: string): Promise<number> {
    const entry = await this.#kv.get(idKey(groupId));
    const stands = entry !== null && entry.operation === 'PUT' && entry.string() === name;
    return stands ? entry.revision : 0;
  }

  /** False: it is another's by now, nothing was changed. */
  async releaseId(groupId: string, revision: number): Promise<boolean> {
    if (revision === 0) return false;
    try {
      await this.#kv.delete(idKey(groupId), { previousSeq: revision });
      return true;
    } catch (error) {
      if (isWrongLast(error)) return false;
      throw error;
    }
  }

  /** Throws `group-not-found`, and `conflict` if others keep changing it. */
  async changeGroup(name: string, change: (config: GroupConfig) => GroupConfig): Promise<void> {
    for (let attempt = 0; attempt < mostAttempts; attempt++) {
      const found = await this.get(name);
      if (found === null) {
        throw new UnderstudyError('group-not-found', `there is no group ${name}`);
      }
      if (await this.update(change(found.config), found.revision)) return this.#report(name);
    }
    throw contended(`group ${name}`);
  }

  /** Throws `conflict` if others keep changing it. */
  async changeCluster(change: (config: ClusterConfig) => ClusterConfig): Promise<void> {
    for (let attempt = 0; attempt < mostAttempts; attempt++) {
      const { config, revision } = await this.#cluster();
      const next = change(config);
      try {
        if (next !== config) {
          await this.#kv.put(clusterKey, JSON.stringify(next), { previousSeq: revision });
        }
        return await this.#reportCluster();
      } catch (error) {
        if (!isWrongLast(error)) throw error;
      }
    }
    throw contended('the cluster as a whole');
  }

  async #cluster(): Promise<{ config: ClusterConfig; revision: number }> {
    const entry = await this.#kv.get(clusterKey);
    if (entry === null) return { config: newClusterConfig, revision: 0 };
    return { config: entry.json<ClusterConfig>(), revision: entry.revision };
  }

  async #reportCluster(): Promise<void> {
    const { config, revision } = await this.#cluster();
    if (revision > 0) this.events.cluster(config, revision);
  }

  async #report(name: string): Promise<void> {
    const found = await this.get(name);
    if (found === null) return this.#forget(name);
    this.#known.add(name);
    this.events.group(found.config, found.revision);
  }

  #forget(name: string): void {
    if (this.#known.delete(name)) this.events.gone(name);
  }

  async #watch(): Promise<void> {
    const key = ['group.*', clusterKey];
    const watch = await this.#kv.watch({ key, include: KvWatchInclude.UpdatesOnly });
    this.#stopWatch = () => watch.stop();
    const follow = async () => {
      for await (const entry of watch) {
        const name = entry.key.slice('group.'.length);
        if (entry.key === clusterKey) {
          this.events.cluster(entry.json<ClusterConfig>(), entry.revision);
        } else if (entry.operation !== 'PUT') this.#forget(name);
        else {
          this.#known.add(name);
          this.events.group(entry.json<GroupConfig>(), entry.revision);
        }
      }
    };
    follow().catch((error: unknown) => this.logger.warn({ err: error }, 'registry watch ended'));
  }

  async #rereadSafely(): Promise<void> {
    try {
      await this.#reread();
    } catch (error) {
      this.logger.debug({ err: error }, 'the registry cannot be read now; trying again later');
    }
  }

  async #reread(): Promise<void> {
    await this.#reportCluster();
    const names: string[] = [];
    for await (const key of await this.#kv.keys('group.*')) names.push(key.slice('group.'.length));
    for (const name of this.#known) if (!names.includes(name)) await this.#report(name);
    for (const name of names) await this.#report(name);
  }
}

function contended(what: string): UnderstudyError {
  const detail = `${what} is being changed by others, ${mostAttempts} times in a row; ask again`;
  return new UnderstudyError('conflict', detail);
}
