/**
 * Reads a stretch of one subject by direct gets in batches.
 *
 * Stateless on the broker, so nothing has to be rebuilt when the server that answers dies; and what
 * is on the wire stays bounded, so no replay makes a connection a slow consumer. The replica that
 * answers may lag: the end of its answer proves nothing, only the sight of `through` does.
 */
import type { Msg } from 'nats';
import { type Position, position } from '../../replication/ids.js';
import type { ReplaySink, StoredRecord } from '../../replication/ports.js';
import { failureOf, plain } from './replies.js';
import type { Reply, Requests } from './requests.js';

/** Times the requests in flight: half of the 64 MiB that a broker lets pile up for a connection. */
export const replayBatchSizeBytes = 4 * 1024 * 1024;
const batchRecords = 16_384;
/** The sink gets to work while the rest of the batch is still arriving. */
const handOverRecords = 256;
const retryMs = 50;

const endOfBatch = 204;
const notFound = 404;
const behind = 'the replica that answered has no more';

export interface ReplayOptions {
  readonly bulk: Pick<Requests, 'send' | 'isClosed'>;
  readonly stream: string;
  readonly subject: string;
  /** It fails after this long without a new record. */
  readonly patienceMs: number;
  readonly after: Position;
  readonly through: Position;
  readonly sink: ReplaySink;
}

export function replay(options: ReplayOptions): () => void {
  const run = new Replay(options);
  run.start();
  return () => run.stop();
}

class Replay {
  readonly #options: ReplayOptions;
  #last: Position;
  #fetchedAfter: Position;
  #batch: StoredRecord[] = [];
  #isOver = false;
  #progressMs = performance.now();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: ReplayOptions) {
    this.#options = options;
    this.#last = options.after;
    this.#fetchedAfter = options.after;
  }

  start(): void {
    if (this.#last < this.#options.through) this.#fetch();
    else setImmediate(() => this.#finish(null));
  }

  stop(): void {
    this.#isOver = true;
    if (this.#timer) clearTimeout(this.#timer);
  }

  #fetch(): void {
    const { bulk, stream, subject } = this.#options;
    this.#fetchedAfter = this.#last;
    const query = JSON.stringify({
      seq: this.#last + 1,
      next_by_subj: subject,
      batch: batchRecords,
      max_bytes: replayBatchSizeBytes,
    });
    bulk.send(`$JS.API.DIRECT.GET.${stream}`, query, (reply) => this.#onReply(reply));
  }

  /** After the end the rest of a batch is let through: until then it takes room on the wire. */
  #onReply(reply: Reply): 'done' | 'more' {
    if (this.#isOver)
      return reply.kind === 'message' && statusOf(reply.message) === 0 ? 'more' : 'done';
    const failure = failureOf(reply);
    if (failure !== null || reply.kind !== 'message') return this.#tryAgain(failure ?? 'no answer');
    const { message } = reply;
    const status = statusOf(message);
    if (status === 0) return this.#take(message);
    if (status === endOfBatch) return this.#continue();
    const reason = `${status} ${message.headers?.description ?? ''}`;
    return this.#tryAgain(status === notFound ? behind : reason);
  }

  #take(message: Msg): 'done' | 'more' {
    const { at, previous } = placeOf(message);
    const isFirst = this.#last === this.#fetchedAfter;
    if (previous !== (isFirst ? 0 : this.#last))
      return this.#tryAgain('a part got lost on its way');
    if (!(at > this.#last)) {
      this.#finish(`the broker sent position ${at} after ${this.#last}: positions must increase`);
      return 'more';
    }
    const { through } = this.#options;
    this.#last = at;
    if (at <= through) this.#batch.push({ position: at, bytes: plain(message.data) });
    if (at >= through) this.#finish(null);
    else if (this.#batch.length >= handOverRecords) this.#handOver();
    return 'more';
  }

  #handOver(): void {
    const batch = this.#batch;
    if (batch.length === 0) return;
    this.#batch = [];
    this.#progressMs = performance.now();
    this.#options.sink.records(batch);
  }

  /** A batch has ended; an empty one means that the replica lags. */
  #continue(): 'done' {
    if (this.#last === this.#fetchedAfter) return this.#tryAgain(behind);
    this.#handOver();
    if (!this.#isOver) this.#fetch();
    return 'done';
  }

  #tryAgain(reason: string): 'done' {
    this.#handOver();
    if (this.#isOver) return 'done';
    const { bulk, stream, subject, through, patienceMs } = this.#options;
    if (bulk.isClosed) this.#finish('the connection was closed');
    else if (performance.now() - this.#progressMs < patienceMs) {
      this.#timer = setTimeout(() => this.#fetch(), retryMs);
    } else {
      this.#finish(
        `${subject} in ${stream}: at position ${this.#last} of ${through}, ` +
          `no progress for ${patienceMs} ms (${reason})`,
      );
    }
    return 'done';
  }

  #finish(failure: string | null): void {
    if (this.#isOver) return;
    this.#handOver();
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.sink.end(failure);
  }
}

/** Of a status message; 0 for a record. */
function statusOf({ data, headers }: Msg): number {
  return data.length === 0 ? (headers?.code ?? 0) : 0;
}

/** Where a record is, and the one that was sent before it in the same batch; 0: none. */
function placeOf({ headers }: Msg): { readonly at: Position; readonly previous: number } {
  const at = position(Number(headers?.last('Nats-Sequence')));
  return { at, previous: Number(headers?.last('Nats-Last-Sequence')) };
}
