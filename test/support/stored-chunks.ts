/** Looks at the chunks in the broker from outside, and spoils them. */
import { type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from 'nats';
import type { GroupDocument } from '../../cluster/documents.js';
import { decodeRecord, isRecord, type SnapshotBody } from '../../replication/record.js';
import { decodeManifest, type Manifest } from '../../replication/snapshot/manifest.js';
import { unpackChunk } from '../../src/nats/chunk-codec.js';
import { decodePin } from '../../src/nats/pins.js';
import { namesFor, shardOf } from '../../src/nats/subjects.js';
import { until } from './until.js';

const names = namesFor('understudy');
const shards = 4;

export interface StoredSnapshot {
  readonly body: SnapshotBody;
  readonly manifest: Manifest;
  /** Of its manifest, and of all that it names, in hexadecimal. */
  readonly manifestHash: string;
  readonly hashes: readonly string[];
}

export class StoredChunks {
  #isConnected = true;

  private constructor(
    private readonly connection: NatsConnection,
    private readonly manager: JetStreamManager,
  ) {
    void this.#followStatus();
  }

  static async open(servers: string): Promise<StoredChunks> {
    const connection = await connect({
      servers,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
    });
    return new StoredChunks(connection, await jetstreamManager(connection, { checkAPI: false }));
  }

  /** After the broker was gone: what is asked for before that is answered by nobody. */
  async connected(): Promise<void> {
    await until('the test is connected to the broker again', () => this.#isConnected);
  }

  async #followStatus(): Promise<void> {
    for await (const { type } of this.connection.status()) {
      if (type === 'disconnect') this.#isConnected = false;
      if (type === 'reconnect') this.#isConnected = true;
    }
  }

  close(): Promise<void> {
    return this.connection.close();
  }

  /** The newest that is recorded, with the manifest that is stored for it. */
  async snapshot({ groupId, standby }: GroupDocument): Promise<StoredSnapshot> {
    const body = await this.#newestBody(groupId, standby);
    const manifestHash = hex(body.manifest);
    const packed = await this.get(manifestHash);
    const found = packed && (await unpackChunk(packed));
    if (found?.kind !== 'chunk') throw new Error(`manifest ${manifestHash} is not there`);
    const manifest = decodeManifest(found.bytes);
    if ('problem' in manifest) throw new Error(manifest.problem);
    const hashes = [...manifest.uses.values()].map(({ hash }) => hex(hash));
    return { body, manifest, manifestHash, hashes };
  }

  async #newestBody(groupId: string, standby: 'warm' | 'hot'): Promise<SnapshotBody> {
    const shard = shardOf(groupId, shards);
    const [stream, subject] = [names.logStream(shard), names.log(shard, groupId, standby)];
    const read = async (query: { seq: number } | { last_by_subj: string }) => {
      const message = await this.manager.streams.getMessage(stream, query);
      const record = decodeRecord(message?.data ?? new Uint8Array(0));
      if (!isRecord(record)) throw new Error(record.problem);
      return record;
    };
    const last = await read({ last_by_subj: subject });
    if (last.body.type === 'snapshot') return last.body;
    const { body } = await read({ seq: last.snapshotPosition });
    if (body.type !== 'snapshot') throw new Error(`there is no snapshot of ${groupId}`);
    return body;
  }

  /** As it is written down; null: it is not there. */
  async get(hash: string): Promise<Uint8Array | null> {
    const query = { last_by_subj: names.chunk(hash) };
    const message = await this.manager.streams.getMessage(names.snapshotStream, query);
    return message?.data ?? null;
  }

  async put(hash: string, packed: Uint8Array): Promise<void> {
    await jetstream(this.connection).publish(names.chunk(hash), packed);
  }

  async drop(hash: string): Promise<void> {
    await this.manager.streams.purge(names.snapshotStream, { filter: names.chunk(hash) });
  }

  /** Hashes of all chunks of all groups. */
  async all(): Promise<Set<string>> {
    const subjects = await this.#subjects(names.allChunks);
    return new Set(subjects.map((subject) => subject.split('.').at(-1) as string));
  }

  /** Hashes that the snapshots of this group need, as its pins say. */
  async pinned({ groupId }: Pick<GroupDocument, 'groupId'>): Promise<Set<string>> {
    const hashes: string[] = [];
    for (const subject of await this.#subjects(names.snapshotsOf(groupId))) {
      const query = { last_by_subj: subject };
      const message = await this.manager.streams.getMessage(names.snapshotStream, query);
      const pin = message && decodePin(message.data);
      if (pin?.kind === 'whole' || pin?.kind === 'open') hashes.push(...pin.chunks.map(hex));
    }
    return new Set(hashes);
  }

  async #subjects(filter: string): Promise<string[]> {
    const query = { subjects_filter: filter };
    const { state } = await this.manager.streams.info(names.snapshotStream, query);
    return Object.keys(state.subjects ?? {});
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
