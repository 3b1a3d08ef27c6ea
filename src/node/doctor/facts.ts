/** What a check-up looks at: gathered here, judged in findings.ts. */
import { statfs } from 'node:fs/promises';
import type { JetStreamManager, StreamInfo } from '@nats-io/jetstream';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from 'nats';
import type { GroupDocument, NodeDocument } from '../../../cluster/documents.js';
import { brokerSubjects } from '../../broker/config.js';
import { verify, wantedStreams } from '../../nats/streams.js';
import { version } from '../../version.js';
import type { Remembered } from '../ends-memory.js';
import { messageOf } from '../member-driver.js';
import type { Runtime, RuntimeOptions } from '../runtime.js';

const askTimeoutMs = 1000;
/** Servers are asked all at once, and nobody knows how many there are. */
const serversWaitMs = 500;

/** What a node says of itself. */
export interface NodeSelf {
  readonly version: string;
  readonly program: string;
  readonly kinds: readonly { readonly name: string; readonly version: number }[];
  readonly wallMs: number;
  readonly broker: { readonly server: string; readonly version: string } | null;
  readonly hasTokens: boolean;
  readonly host: string;
  /** Null: it keeps nothing on disk. */
  readonly cache: {
    readonly dir: string;
    readonly freeSizeBytes: number;
    readonly sizeBytes: number;
    readonly limitSizeBytes: number;
  } | null;
  readonly remembered: readonly Remembered[];
}

export interface NodeFacts {
  readonly document: NodeDocument;
  /** Null: it did not answer. */
  readonly self: NodeSelf | null;
  /** Its wall clock, compared with that of the node that asks; and how far off that may be. */
  readonly aheadMs: number;
  readonly uncertainMs: number;
}

export interface ServerFacts {
  readonly name: string;
  readonly version: string;
  readonly isSyncAlways: boolean;
  readonly syncIntervalMs: number;
  readonly usedSizeBytes: number;
  /** 0: it does not say. */
  readonly limitSizeBytes: number;
}

export interface StreamFacts {
  readonly name: string;
  /** What is not as it should be; null: nothing. */
  readonly problem: string | null;
  readonly replicas: number;
  /** Those that do not follow the leader. */
  readonly behind: readonly string[];
}

export interface Facts {
  readonly node: string;
  readonly isConnected: boolean;
  readonly replicas: number;
  /** Empty: the broker does not show them. */
  readonly servers: readonly ServerFacts[];
  /** The limits of our account; null: JetStream does not answer. */
  readonly account: { readonly usedSizeBytes: number; readonly limitSizeBytes: number } | null;
  readonly accountProblem: string | null;
  readonly streams: readonly StreamFacts[];
  readonly nodes: readonly NodeFacts[];
  readonly groups: readonly GroupDocument[];
  /** Groups that some node remembers and the registry has never heard of. */
  readonly vanished: readonly Remembered[];
}

export interface Known {
  readonly isConnected: boolean;
  readonly nodes: readonly NodeDocument[];
  readonly groups: readonly GroupDocument[];
}

export async function selfOf({ config, kinds, connections, ends, cache }: RuntimeOptions) {
  const { info } = connections.control;
  const self: NodeSelf = {
    version,
    program: `node ${process.version}`,
    kinds: [...kinds.values()].map((kind) => ({ name: kind.name, version: kind.version })),
    wallMs: Date.now(),
    broker: info === undefined ? null : { server: info.server_name, version: info.version },
    hasTokens: config.tokenFile !== null,
    host: config.admin.host,
    cache: await cacheOf(config, cache.counters.sizeBytes),
    remembered: ends.all,
  };
  return self;
}

async function cacheOf(
  { cacheDir: dir, cacheSizeBytes: limitSizeBytes }: RuntimeOptions['config'],
  sizeBytes: number,
): Promise<NodeSelf['cache']> {
  if (dir === null) return null;
  const disk = await statfs(dir);
  return { dir, freeSizeBytes: disk.bavail * disk.bsize, sizeBytes, limitSizeBytes };
}

export async function gather(runtime: Runtime, known: Known): Promise<Facts> {
  const { config, connections, info } = runtime.options;
  const { control } = connections;
  const manager = await jetstreamManager(control, { checkAPI: false, timeout: askTimeoutMs });
  const [nodes, servers, account, streams] = await Promise.all([
    Promise.all(known.nodes.map((document) => nodeFacts(runtime, document))),
    serverFacts(control).catch(() => []),
    accountFacts(manager),
    streamFacts(runtime, manager),
  ]);
  const { replicas } = config;
  const vanished = await vanishedGroups(runtime, known, nodes);
  return { ...known, ...account, node: info.id, replicas, nodes, servers, streams, vanished };
}

async function nodeFacts(runtime: Runtime, document: NodeDocument): Promise<NodeFacts> {
  const nobody = { document, self: null, aheadMs: 0, uncertainMs: 0 };
  if (document.state === 'down') return nobody;
  const [sentMs, beganMs] = [Date.now(), performance.now()];
  const asked = runtime.rpc.call<NodeSelf>(document.id, 'examine', {}, askTimeoutMs);
  const self = await asked.catch(() => null);
  if (self === null) return nobody;
  const tookMs = performance.now() - beganMs;
  const aheadMs = Math.round(self.wallMs - (sentMs + tookMs / 2));
  return { document, self, aheadMs, uncertainMs: Math.ceil(tookMs / 2) };
}

interface StorageAnswer {
  readonly server?: { readonly name?: string; readonly ver?: string };
  readonly data?: {
    readonly storage?: number;
    readonly config?: {
      readonly sync_always?: boolean;
      readonly sync_interval?: number;
      readonly max_storage?: number;
    };
  };
}

async function serverFacts(control: NatsConnection): Promise<ServerFacts[]> {
  const answers = await control.requestMany(brokerSubjects.storage, '', {
    maxWait: serversWaitMs,
    strategy: 'timer',
  });
  const found: ServerFacts[] = [];
  for await (const message of answers) {
    const { server, data } = message.json<StorageAnswer>();
    if (data?.config === undefined) continue;
    found.push({
      name: server?.name ?? '',
      version: server?.ver ?? '',
      isSyncAlways: data.config.sync_always ?? false,
      syncIntervalMs: (data.config.sync_interval ?? 0) / 1e6,
      usedSizeBytes: data.storage ?? 0,
      limitSizeBytes: Math.max(0, data.config.max_storage ?? 0),
    });
  }
  return found.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

async function accountFacts(
  manager: JetStreamManager,
): Promise<Pick<Facts, 'account' | 'accountProblem'>> {
  try {
    const { storage, limits } = await manager.getAccountInfo();
    const limitSizeBytes = Math.max(0, limits.max_storage);
    return { account: { usedSizeBytes: storage, limitSizeBytes }, accountProblem: null };
  } catch (error) {
    return { account: null, accountProblem: messageOf(error) };
  }
}

function streamFacts(runtime: Runtime, manager: JetStreamManager): Promise<StreamFacts[]> {
  const { config, names } = runtime.options;
  const { namespace, shards, replicas } = config;
  const wanted = wantedStreams({ namespace, names, shards, replicas });
  return Promise.all(
    wanted.map(async (one): Promise<StreamFacts> => {
      try {
        const info = await manager.streams.info(one.name);
        return {
          ...standingOf(info),
          name: one.name,
          problem: problemOf(() => verify(one, info.config)),
        };
      } catch (error) {
        return { name: one.name, problem: messageOf(error), replicas: 0, behind: [] };
      }
    }),
  );
}

function standingOf({ config, cluster }: StreamInfo): Pick<StreamFacts, 'replicas' | 'behind'> {
  const peers = cluster?.replicas ?? [];
  const behind = peers.filter((peer) => !peer.current || peer.offline === true);
  return { replicas: config.num_replicas, behind: behind.map(({ name }) => name) };
}

function problemOf(check: () => void): string | null {
  try {
    check();
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

/** One that was deleted has left a mark in the registry; one that the registry has lost has not. */
async function vanishedGroups(
  { registry }: Runtime,
  { groups }: Known,
  nodes: readonly NodeFacts[],
): Promise<Remembered[]> {
  const there = new Set(groups.map(({ groupId }) => groupId));
  const missing = new Map<string, Remembered>();
  for (const { self } of nodes) {
    for (const one of self?.remembered ?? []) {
      if (!there.has(one.groupId)) missing.set(one.groupId, one);
    }
  }
  const checked = [...missing.values()].map(async (one) =>
    (await registry.isUnheardOf(one.group).catch(() => false)) ? [one] : [],
  );
  return (await Promise.all(checked)).flat();
}
