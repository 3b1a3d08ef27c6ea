/**
 * The registry: which groups there should be, and what is asked of the cluster as a whole, in a KV
 * bucket, changed only by compare-and-set.
 */
import { type KV, type KvEntry, Kvm, type KvWatchEntry, KvWatchInclude } from '@nats-io/kv';
import type { NatsConnection } from 'nats';
import type { Logger } from 'pino';
import { type ClusterConfig, type GroupConfig, newClusterConfig } from '../../cluster/types.js';
import { UnderstudyError } from '../../replication/errors.js';
import { isWrongLast } from '../nats/kv-errors.js';
import { patiently } from '../nats/patience.js';
import type { Names } from '../nats/subjects.js';
import { allGroups, clusterKey, groupKey, idKey } from './registry-keys.js';
import { type RegistryEvents, type Sighting, type SightingSource, Sightings } from './sightings.js';

const watched = [allGroups, clusterKey];
/** A reading of everything that takes longer has come to nothing: its consumer may be gone. */
const readTimeoutMs = 10_000;
/** Of a change that others get in the way of. */
const mostAttempts = 8;

export class Registry {
  readonly #kv: KV;
  readonly #sightings: Sightings;

  private constructor(kv: KV, events: RegistryEvents, logger: Logger) {
    this.#kv = kv;
    this.#sightings = new Sightings(sourceOf(kv), events, logger);
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
    await patiently('read the registry', () => registry.#sightings.open());
    return registry;
  }

  close(): void {
    this.#sightings.close();
  }

  /** The broker was gone: what was told meanwhile was not heard, and it may have come back older. */
  doubt(): void {
    this.#sightings.doubt();
  }

  /** Somebody goes by a later entry; it is read once at a time, however many say so. */
  catchUp(name: string): void {
    this.#sightings.catchUp(groupKey(name));
  }

  async get(name: string): Promise<{ config: GroupConfig; revision: number } | null> {
    const entry = await this.#kv.get(groupKey(name));
    if (entry === null || entry.operation !== 'PUT') return null;
    return { config: entry.json<GroupConfig>(), revision: entry.revision };
  }

  /** Neither is there a group of this name, nor was one deleted. */
  async isUnheardOf(name: string): Promise<boolean> {
    return (await this.#kv.get(groupKey(name))) === null;
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
    await this.#sightings.look(groupKey(config.name));
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

  /** Throws `group-not-found`, and `conflict` if others keep changing it. */
  async changeGroup(name: string, change: (config: GroupConfig) => GroupConfig): Promise<void> {
    for (let attempt = 0; attempt < mostAttempts; attempt++) {
      const found = await this.get(name);
      if (found === null) {
        throw new UnderstudyError('group-not-found', `there is no group ${name}`);
      }
      if (await this.update(change(found.config), found.revision)) {
        return this.#sightings.look(groupKey(name));
      }
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
        return await this.#sightings.look(clusterKey);
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

  /** False: the entry is not at `revision` any more, nothing was changed. The id stays taken. */
  async remove({ name }: GroupConfig, revision: number): Promise<boolean> {
    try {
      await this.#kv.delete(groupKey(name), { previousSeq: revision });
    } catch (error) {
      if (isWrongLast(error)) return false;
      throw error;
    }
    this.#sightings.forget(groupKey(name));
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
}

function contended(what: string): UnderstudyError {
  const detail = `${what} is being changed by others, ${mostAttempts} times in a row; ask again`;
  return new UnderstudyError('conflict', detail);
}

function sourceOf(kv: KV): SightingSource {
  return {
    async lastChange() {
      const { streamInfo } = await kv.status();
      return streamInfo.state.last_seq;
    },
    all: () => readAll(kv),
    async get(key) {
      const entry = await kv.get(key);
      return entry === null ? null : sightingOf(entry);
    },
    async watch(onSighting, ended) {
      const watch = await kv.watch({ key: watched, include: KvWatchInclude.UpdatesOnly });
      const follow = async () => {
        for await (const entry of watch) onSighting(sightingOf(entry));
      };
      follow().then(ended, ended);
      return () => watch.stop();
    },
  };
}

async function readAll(kv: KV): Promise<Sighting[]> {
  const entries = await kv.history({ key: watched });
  const timer = setTimeout(() => {
    entries.stop(new Error(`the registry was not read within ${readTimeoutMs} ms`));
  }, readTimeoutMs);
  try {
    const found: Sighting[] = [];
    for await (const entry of entries) found.push(sightingOf(entry));
    return found;
  } finally {
    clearTimeout(timer);
  }
}

function sightingOf(entry: KvEntry | KvWatchEntry): Sighting {
  return {
    key: entry.key,
    revision: entry.revision,
    config: () => (entry.operation === 'PUT' ? entry.json<GroupConfig | ClusterConfig>() : null),
  };
}
