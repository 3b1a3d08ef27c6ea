/**
 * The `ChunkStore` port over the snapshot stream: one message per chunk, on a subject named by its hash,
 * and two per snapshot. `replication/snapshot/collection.ts` says what their order is good for (G1 to G7).
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Position, position } from '../../replication/ids.js';
import type { ChunkStore, Fetched } from '../../replication/ports.js';
import { failpoint } from '../failpoint.js';
import { packChunk, unpackChunk } from './chunk-codec.js';
import { encodePin, isOlder } from './pins.js';
import { type ApiAnswer, answerOf, appendOutcome, expectedLast, failureOf } from './replies.js';
import type { Reply, Requests } from './requests.js';
import type { Names } from './subjects.js';

export interface NatsChunksOptions {
  /** Its limit of requests in flight bounds the chunks in flight of all transfers together. */
  readonly bulk: Pick<Requests, 'send'>;
  readonly names: Names;
  readonly groupId: string;
}

/** A replica may lag behind what it is asked for, and a leader that was deposed behind all others. */
const attempts = 4;
const retryMs = 50;
/** Cuts of one member that are begun and not pinned: there is one, and what was given up. */
const announcedAtMost = 8;

export function natsChunks(options: NatsChunksOptions): ChunkStore {
  const announced = new Map<string, Position>();
  const store = { ...options, announced };
  return {
    announce: (snapshotId, reused, done) => announce(store, snapshotId, reused, done),
    put: (hash, bytes, done) => void put(store, hash, bytes, done),
    pin: (snapshotId, chunks, done) => pin(store, snapshotId, chunks, done),
    get: (hash, done) => get(store, hash, done),
    dropBefore: (snapshotId) => void dropBefore(store, snapshotId),
  };
}

interface Store extends NatsChunksOptions {
  /** Where this member's announcements are stored (G4). */
  readonly announced: Map<string, Position>;
}

type Announced = Parameters<Parameters<ChunkStore['announce']>[2]>[0];

function announce(
  store: Store,
  snapshotId: string,
  reused: readonly Uint8Array[],
  done: (result: Announced) => void,
): void {
  const { bulk, names, groupId, announced } = store;
  const subject = names.pin(groupId, snapshotId, 'open');
  bulk.send(subject, encodePin({ kind: 'open', chunks: reused }), (reply) => {
    const outcome = appendOutcome(reply);
    if (outcome.kind === 'stored') {
      announced.delete(snapshotId);
      announced.set(snapshotId, outcome.position);
      const [oldest] = announced.keys();
      if (announced.size > announcedAtMost) announced.delete(oldest as string);
      void standing(store, outcome.position).then(done);
    } else done({ failure: `snapshot ${snapshotId} is not announced: ${reasonOf(reply)}` });
    return 'done';
  });
}

/**
 * G3: the broker looks at the end of the stream first, and at the subjects then. So if the end is not
 * before the announcement, the subjects are those of a state that contains it.
 */
async function standing(store: Store, announcement: Position): Promise<Announced> {
  const { names, groupId } = store;
  const filter = names.pin(groupId, '*', 'whole');
  let failure = '';
  for (let left = attempts; left > 0; left--) {
    const found = await subjectsOf(store, filter, 0);
    const isBehind = !('failure' in found) && found.lastPosition < announcement;
    if (!('failure' in found) && !isBehind) {
      return { standing: found.subjects.map((subject) => snapshotOf(subject)) };
    }
    failure = 'failure' in found ? found.failure : 'who answers does not have the announcement yet';
    await delay(retryMs);
  }
  return { failure: `the pins of ${filter} cannot be read: ${failure}` };
}

const snapshotOf = (subject: string): string => subject.split('.').at(-2) ?? '';

/** Stored even if it is there: an equal chunk that nobody names could be forgotten at any time (G2). */
async function put(
  { bulk, names }: Store,
  hash: Uint8Array,
  bytes: Uint8Array,
  done: (failure: string | null) => void,
): Promise<void> {
  const subject = names.chunk(hexOf(hash));
  bulk.send(subject, await packChunk(bytes), (reply) => {
    const isStored = appendOutcome(reply).kind === 'stored';
    if (isStored) failpoint('between-chunks');
    done(isStored ? null : `chunk ${subject} is not stored: ${reasonOf(reply)}`);
    return 'done';
  });
}

/** G4 */
function pin(
  store: Store,
  snapshotId: string,
  chunks: readonly Uint8Array[],
  done: (failure: string | null) => void,
): void {
  const { bulk, names, groupId, announced } = store;
  const announcement = announced.get(snapshotId);
  if (announcement === undefined) {
    return void setImmediate(done, `snapshot ${snapshotId} was not announced from here`);
  }
  const open = names.pin(groupId, snapshotId, 'open');
  const headers = expectedLast(announcement);
  headers.set('Nats-Expected-Last-Subject-Sequence-Subject', open);
  const subject = names.pin(groupId, snapshotId, 'whole');
  const onReply = (reply: Reply) => {
    const isStored = appendOutcome(reply).kind === 'stored';
    if (isStored) {
      announced.delete(snapshotId);
      purge(store, { filter: open, seq: announcement + 1 });
      failpoint('before-snapshot-record');
    }
    done(isStored ? null : `snapshot ${snapshotId} is not pinned: ${reasonOf(reply)}`);
    return 'done' as const;
  };
  bulk.send(subject, encodePin({ kind: 'whole', chunks }), onReply, headers);
}

/**
 * Nothing that waits for the answer gets to hold it, as a promise would: what has waited for long is old for V8, and
 * keeps what it holds until all that is old is looked at, though both are garbage by then.
 */
function get(
  store: Store,
  hash: Uint8Array,
  done: (result: Fetched) => void,
  left = attempts,
): void {
  getPacked(store, hash, (found) => {
    if (found.kind === 'chunk') void unpackChunk(found.bytes).then(done);
    else if (left > 1) setTimeout(get, retryMs, store, hash, done, left - 1);
    else done(found);
  });
}

const notFound = 404;

function getPacked(
  { bulk, names }: Store,
  hash: Uint8Array,
  done: (result: Fetched) => void,
): void {
  const subject = names.chunk(hexOf(hash));
  bulk.send(`$JS.API.DIRECT.GET.${names.snapshotStream}.${subject}`, '', (reply) => {
    const failure = failureOf(reply);
    const code = reply.kind === 'message' ? (reply.message.headers?.code ?? 0) : 0;
    if (reply.kind === 'message' && failure === null && code === 0) {
      done({ kind: 'chunk', bytes: reply.message.data });
    } else if (code === notFound) done({ kind: 'none' });
    else done({ kind: 'failed', reason: `chunk ${subject}: ${failure ?? `status ${code}`}` });
    return 'done';
  });
}

/** Gives up silently: what stays is garbage that the next call will find. */
async function dropBefore(store: Store, snapshotId: string): Promise<void> {
  const found = await subjectsOf(store, store.names.snapshotsOf(store.groupId), 0);
  if ('failure' in found) return;
  const ids = new Set(found.subjects.map((subject) => snapshotOf(subject)));
  for (const id of ids) if (isOlder(id, snapshotId)) retire(store, id);
}

/** G5 */
function retire(store: Store, snapshotId: string): void {
  const { bulk, names, groupId } = store;
  const open = names.pin(groupId, snapshotId, 'open');
  bulk.send(open, encodePin({ kind: 'retired', chunks: [] }), (reply) => {
    const outcome = appendOutcome(reply);
    if (outcome.kind === 'stored') {
      const filter = names.pin(groupId, snapshotId, '*');
      purge(store, { filter, seq: outcome.position + 1 });
    }
    return 'done';
  });
}

type Stream = Pick<NatsChunksOptions, 'bulk' | 'names'>;

/** A group is deleted: nobody needs any of its snapshots. */
export function dropAll(
  stream: Stream,
  groupId: string,
  done: (failure: string | null) => void,
): void {
  purge(stream, { filter: stream.names.snapshotsOf(groupId) }, done);
}

/** Removes what is below `seq` of the subjects in `filter`. */
export function purge(
  { bulk, names }: Stream,
  query: { readonly filter: string; readonly seq?: number },
  done: (failure: string | null) => void = () => undefined,
): void {
  bulk.send(`$JS.API.STREAM.PURGE.${names.snapshotStream}`, JSON.stringify(query), (reply) => {
    const answer = answerOf(reply);
    done('failure' in answer ? `${query.filter} is not purged: ${answer.failure}` : null);
    return 'done';
  });
}

interface SubjectsAnswer extends ApiAnswer {
  readonly state?: {
    readonly last_seq?: number;
    readonly subjects?: Readonly<Record<string, number>>;
  };
  readonly total?: number;
}

export interface Subjects {
  /** In a state that contains what is stored here. */
  readonly subjects: readonly string[];
  readonly lastPosition: Position;
  readonly total: number;
}

/** A page of the subjects that match; a page holds 100 000. */
export function subjectsOf(
  { bulk, names }: Stream,
  filter: string,
  offset: number,
): Promise<Subjects | { readonly failure: string }> {
  const query = JSON.stringify({ subjects_filter: filter, offset });
  return new Promise((done) => {
    bulk.send(`$JS.API.STREAM.INFO.${names.snapshotStream}`, query, (reply) => {
      const answer = answerOf<SubjectsAnswer>(reply);
      if ('failure' in answer) done(answer);
      else {
        const { state, total = 0 } = answer;
        const subjects = Object.keys(state?.subjects ?? {});
        done({ subjects, lastPosition: position(state?.last_seq ?? 0), total });
      }
      return 'done';
    });
  });
}

/** Of a publication that was not acknowledged. */
export function reasonOf(reply: Reply): string {
  const outcome = appendOutcome(reply);
  return 'reason' in outcome ? outcome.reason : (failureOf(reply) ?? outcome.kind);
}

export function hexOf(hash: Uint8Array): string {
  return Buffer.from(hash.buffer, hash.byteOffset, hash.length).toString('hex');
}
