/** The `SnapshotStore` port over the snapshot stream: one message per chunk, one subject each. */
import type { SnapshotStore } from '../../replication/ports.js';
import {
  type ApiAnswer,
  appendOutcome,
  expectedLast,
  failureOf,
  parseAnswer,
  plain,
} from './replies.js';
import type { Reply, Requests } from './requests.js';
import type { Names } from './subjects.js';

export interface NatsSnapshotsOptions {
  /** Its limit of requests in flight bounds the chunks in flight of all transfers together. */
  readonly bulk: Requests;
  readonly names: Names;
  readonly groupId: string;
}

/** A replica may lag behind the chunk it is asked for. */
const getAttempts = 4;
const retryMs = 50;
/** Pages of subjects looked at when dropping; a page holds 100 000. */
const pageLimit = 64;

export function natsSnapshots({ bulk, names, groupId }: NatsSnapshotsOptions): SnapshotStore {
  const subjectOf = (snapshotId: string, index: number) =>
    names.snapshotChunk(groupId, snapshotId, index);
  return {
    put(snapshotId, chunks, done) {
      const put: Transfer = (index, next) =>
        putChunk(bulk, subjectOf(snapshotId, index), chunks[index] ?? new Uint8Array(0), next);
      transferAll(chunks.length, put, done);
    },
    get(snapshotId, chunkCount, done) {
      const chunks: Uint8Array[] = [];
      const get: Transfer = (index, next) => {
        const subject = subjectOf(snapshotId, index);
        getChunk({ bulk, stream: names.snapshotStream, subject }, getAttempts, (result) => {
          if (typeof result === 'string') return next(result);
          chunks[index] = result;
          next(null);
        });
      };
      transferAll(chunkCount, get, (failure) => done(failure === null ? chunks : { failure }));
    },
    dropBefore: (snapshotId) => dropBefore({ bulk, names, groupId }, snapshotId),
  };
}

type Transfer = (index: number, next: (failure: string | null) => void) => void;

/** Of one transfer; a few more than one cover the way to the broker and back. */
const chunksInFlight = 8;

/** Ends with the first failure; what is in flight then is left to itself. */
function transferAll(
  count: number,
  transfer: Transfer,
  done: (failure: string | null) => void,
): void {
  let started = 0;
  let finished = 0;
  let isOver = false;
  const next = (failure: string | null) => {
    if (isOver) return;
    finished++;
    isOver = failure !== null || finished === count;
    if (isOver) done(failure);
    else if (started < count) transfer(started++, next);
  };
  if (count === 0) setImmediate(() => done(null));
  while (started < Math.min(count, chunksInFlight)) transfer(started++, next);
}

/** Written once: a chunk that is there already came from an earlier try of the same put. */
function putChunk(
  bulk: Requests,
  subject: string,
  chunk: Uint8Array,
  next: (failure: string | null) => void,
): void {
  const onReply = (reply: Reply) => {
    const outcome = appendOutcome(reply);
    const isThere = outcome.kind === 'stored' || outcome.kind === 'wrong-last';
    const reason = 'reason' in outcome ? outcome.reason : (failureOf(reply) ?? outcome.kind);
    next(isThere ? null : `chunk ${subject} is not stored: ${reason}`);
    return 'done' as const;
  };
  bulk.send(subject, chunk, onReply, expectedLast(0));
}

interface ChunkAt {
  readonly bulk: Requests;
  readonly stream: string;
  readonly subject: string;
}

/** Hands over the chunk, or in words why there is none. */
function getChunk(
  at: ChunkAt,
  attempts: number,
  done: (result: Uint8Array | string) => void,
): void {
  const { bulk, stream, subject } = at;
  bulk.send(`$JS.API.DIRECT.GET.${stream}.${subject}`, '', (reply) => {
    const failure = failureOf(reply);
    const code = reply.kind === 'message' ? (reply.message.headers?.code ?? 0) : 0;
    if (failure === null && code === 0 && reply.kind === 'message') {
      done(plain(reply.message.data));
    } else if (attempts > 1) {
      setTimeout(() => getChunk(at, attempts - 1, done), retryMs);
    } else {
      done(`chunk ${subject}: ${failure ?? `the broker has none (${code})`}`);
    }
    return 'done';
  });
}

interface SubjectsAnswer extends ApiAnswer {
  readonly state?: { readonly subjects?: Readonly<Record<string, number>> };
  readonly total?: number;
}

type Store = Pick<NatsSnapshotsOptions, 'bulk' | 'names' | 'groupId'>;

/** Gives up silently: what stays is garbage that the next call will find. */
function dropBefore(store: Store, snapshotId: string): void {
  const { bulk, names, groupId } = store;
  const filter = names.snapshotsOf(groupId);
  const prefix = filter.slice(0, -1);
  const found = new Set<string>();
  const look = (offset: number, pagesLeft: number) => {
    const query = JSON.stringify({ subjects_filter: filter, offset });
    bulk.send(`$JS.API.STREAM.INFO.${names.snapshotStream}`, query, (reply) => {
      if (reply.kind !== 'message') return 'done';
      const answer = parseAnswer<SubjectsAnswer>(reply.message.data);
      const subjects = Object.keys(answer?.state?.subjects ?? {});
      for (const subject of subjects) found.add(subject.slice(prefix.length).split('.')[0] ?? '');
      const seen = offset + subjects.length;
      const hasMore = subjects.length > 0 && seen < (answer?.total ?? 0);
      if (hasMore && pagesLeft > 1) look(seen, pagesLeft - 1);
      else
        purge(
          store,
          [...found].filter((id) => isOlder(id, snapshotId)),
        );
      return 'done';
    });
  };
  look(0, pageLimit);
}

function purge({ bulk, names, groupId }: Store, snapshotIds: readonly string[]): void {
  const prefix = names.snapshotsOf(groupId).slice(0, -1);
  for (const id of snapshotIds) {
    const query = JSON.stringify({ filter: `${prefix}${id}.>` });
    bulk.send(`$JS.API.STREAM.PURGE.${names.snapshotStream}`, query, () => 'done');
  }
}

/** By epoch, then number. An id that is not `<epoch>-<number>-<seq>` is nobody's to drop. */
export function isOlder(snapshotId: string, than: string): boolean {
  const id = parseId(snapshotId);
  const other = parseId(than);
  if (!id || !other) return false;
  return id.epoch === other.epoch ? id.number < other.number : id.epoch < other.epoch;
}

function parseId(snapshotId: string): { epoch: number; number: number } | null {
  const parts = /^(\d{1,15})-(\d{1,15})-\d{1,15}$/.exec(snapshotId);
  return parts ? { epoch: Number(parts[1]), number: Number(parts[2]) } : null;
}
