/** The `ChunkGarbage` port over the snapshot stream. The rules G1 to G7 are those of collection.ts. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Msg } from 'nats';
import { type Position, position } from '../../replication/ids.js';
import type { ChunkGarbage, Pin } from '../../replication/ports.js';
import { purge, reasonOf, subjectsOf } from './chunks.js';
import { decodePin, encodePin, type PinMessage } from './pins.js';
import { replayBatchSizeBytes } from './replay.js';
import { appendOutcome, expectedLast, failureOf, plain } from './replies.js';
import type { Requests } from './requests.js';
import type { Names } from './subjects.js';

export interface NatsGarbageOptions {
  readonly bulk: Pick<Requests, 'send' | 'isClosed'>;
  readonly names: Names;
  /** Reading the pins fails after this long without progress. Default 10 s: longer than an election. */
  readonly patienceMs?: number | undefined;
  /** What was announced so long ago is given up: until then it keeps garbage alive. Default 1 h. */
  readonly staleAfterMs?: number | undefined;
}

const defaultPatienceMs = 10_000;
const defaultStaleAfterMs = 60 * 60 * 1000;
const retryMs = 50;
const batchMessages = 16_384;
/** Marks left while pins are read that others replace meanwhile. */
const marksAtMost = 16;
/** Pages of subjects; a page holds 100 000. */
const pagesAtMost = 256;

export function natsGarbage(options: NatsGarbageOptions): ChunkGarbage {
  return {
    mark: (done) => void mark(options).then(done),
    pins: (through, done) => void readPins(options, through).then(done),
    chunks: (done) => void listChunks(options).then(done),
    forget: (hash, before, done) => {
      const filter = options.names.chunk(Buffer.from(hash).toString('hex'));
      purge(options, { filter, seq: before }, done);
    },
  };
}

type Failure = { readonly failure: string };

function mark({ bulk, names }: NatsGarbageOptions): Promise<{ readonly at: Position } | Failure> {
  return new Promise((done) => {
    bulk.send(names.pinMark, encodePin({ kind: 'mark', chunks: [] }), (reply) => {
      const outcome = appendOutcome(reply);
      if (outcome.kind === 'stored') done({ at: outcome.position });
      else done({ failure: `${names.pinMark} is not stored: ${reasonOf(reply)}` });
      return 'done';
    });
  });
}

/**
 * G6: what stands in one state, though it is read in several answers and from servers that lag. An
 * answer is what one server saw going forward, until its state S had nothing more. If all answers before
 * it came from states that S contains, then all that stands in S was passed when it stood already.
 * A mark that was stored after those answers, and is seen in this one, shows that.
 */
async function readPins(
  options: NatsGarbageOptions,
  through: Position,
): Promise<readonly Pin[] | Failure> {
  const pins: Pin[] = [];
  let front = position(0);
  let marked = through;
  /** An answer since the mark may come from a state that has more than the next one's. */
  let isTorn = false;
  let progressMs = performance.now();
  for (let marks = 1; marks <= marksAtMost; ) {
    const answer = await readOn(options, front);
    const last = 'failure' in answer ? front : (answer.messages.at(-1)?.at ?? front);
    if ('failure' in answer || last === front) {
      const reason = 'failure' in answer ? answer.failure : 'who answers has no more';
      const waitedMs = performance.now() - progressMs;
      if (options.bulk.isClosed || waitedMs >= (options.patienceMs ?? defaultPatienceMs)) {
        return { failure: `pins at position ${front}, the mark is at ${marked}: ${reason}` };
      }
      await delay(retryMs);
      continue;
    }
    for (const message of answer.messages) {
      if (message.pin === null) return { failure: `the pin at ${message.at} cannot be read` };
      const { kind, chunks } = message.pin;
      const isOpen = kind === 'open';
      if (isOpen || kind === 'whole') pins.push({ at: message.at, isOpen, chunks });
      if (isOpen) giveUpStale(options, message);
    }
    front = last;
    progressMs = performance.now();
    if (answer.hasMore) isTorn = true;
    else if (front >= marked && !isTorn) return pins;
    else if (front >= marked) {
      const next = await mark(options);
      if ('failure' in next) return next;
      marked = next.at;
      isTorn = false;
      marks += 1;
    }
  }
  return { failure: 'pins are replaced faster than they can be read' };
}

interface PinAt {
  readonly at: Position;
  readonly subject: string;
  readonly storedAtMs: number;
  /** Null: it cannot be read. */
  readonly pin: PinMessage | null;
}

interface Answer {
  readonly messages: readonly PinAt[];
  /** When it ended, more stood behind what was sent. */
  readonly hasMore: boolean;
}

const endOfBatch = 204;
const notFound = 404;

function readOn({ bulk, names }: NatsGarbageOptions, front: Position): Promise<Answer | Failure> {
  const messages: PinAt[] = [];
  const query = JSON.stringify({
    seq: front + 1,
    next_by_subj: names.allPins,
    batch: batchMessages,
    max_bytes: replayBatchSizeBytes,
  });
  return new Promise((done) => {
    bulk.send(`$JS.API.DIRECT.GET.${names.snapshotStream}`, query, (reply) => {
      const failure = failureOf(reply);
      if (failure !== null || reply.kind !== 'message') {
        done({ failure: failure ?? 'no answer' });
        return 'done';
      }
      const { data, headers } = reply.message;
      const status = data.length === 0 ? (headers?.code ?? 0) : 0;
      const isLost = status !== notFound && !follows(reply.message, messages.at(-1));
      if (isLost) done({ failure: 'a part got lost on its way' });
      else if (status === 0) messages.push(pinAt(reply.message));
      else if (status === endOfBatch) done({ messages, hasMore: hasPending(reply.message) });
      else if (status === notFound) done({ messages, hasMore: false });
      else done({ failure: `${status} ${headers?.description ?? ''}` });
      return status === 0 && !isLost ? 'more' : 'done';
    });
  });
}

/** Each part of an answer says what was sent before it. */
function follows({ headers }: Msg, previous: PinAt | undefined): boolean {
  return Number(headers?.last('Nats-Last-Sequence')) === (previous?.at ?? 0);
}

function hasPending({ headers }: Msg): boolean {
  return headers?.last('Nats-Num-Pending') !== '0';
}

function pinAt({ data, headers }: Msg): PinAt {
  return {
    at: position(Number(headers?.last('Nats-Sequence'))),
    subject: headers?.last('Nats-Subject') ?? '',
    storedAtMs: Date.parse(headers?.last('Nats-Time-Stamp') ?? ''),
    pin: decodePin(plain(data)),
  };
}

/**
 * Whoever announced it died, or its group is gone. Should it live, its pin is refused and it announces
 * anew (G4, G5): a clock that is wrong costs time. A pin that stands beside it is not touched.
 */
function giveUpStale(options: NatsGarbageOptions, { at, subject, storedAtMs }: PinAt): void {
  const { bulk, staleAfterMs = defaultStaleAfterMs } = options;
  if (!(Date.now() - storedAtMs > staleAfterMs)) return;
  const retired = encodePin({ kind: 'retired', chunks: [] });
  const onReply: Parameters<Requests['send']>[2] = (reply) => {
    const outcome = appendOutcome(reply);
    if (outcome.kind === 'stored') purge(options, { filter: subject, seq: outcome.position + 1 });
    return 'done';
  };
  bulk.send(subject, retired, onReply, expectedLast(at));
}

/** What appears or goes while pages are read may be left out. */
async function listChunks(options: NatsGarbageOptions): Promise<readonly Uint8Array[] | Failure> {
  const prefixSizeChars = options.names.chunk('').length;
  const found = new Map<string, Uint8Array>();
  for (let page = 0, offset = 0; page < pagesAtMost; page++) {
    const answer = await subjectsOf(options, options.names.allChunks, offset);
    if ('failure' in answer) return answer;
    for (const subject of answer.subjects) {
      const hex = subject.slice(prefixSizeChars);
      if (/^([0-9a-f]{2})+$/.test(hex)) found.set(hex, plain(Buffer.from(hex, 'hex')));
    }
    offset += answer.subjects.length;
    if (answer.subjects.length === 0 || offset >= answer.total) break;
  }
  return [...found.values()];
}
