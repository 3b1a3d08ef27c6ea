/**
 * The `Log` port over one subject of a shard stream.
 *
 * Single reads ask the stream's leader (STREAM.MSG.GET): as quick as a direct get and, in a healthy
 * cluster, never behind one's own append. A deposed leader may still answer for some seconds.
 */
import type { NatsConnection } from 'nats';
import { position } from '../../replication/ids.js';
import type { Log, ReadOutcome } from '../../replication/ports.js';
import { failpoint } from '../failpoint.js';
import { replay } from './replay.js';
import {
  type ApiAnswer,
  appendOutcome,
  expectedLast,
  failureOf,
  parseAnswer,
  plain,
} from './replies.js';
import type { Reply, Requests } from './requests.js';
import { tail } from './tail.js';

export interface NatsLogOptions {
  /** Appends and single reads; its timeout is theirs. */
  readonly control: Requests;
  /** Replays: at most `replayBatchSizeBytes` for each of its requests in flight. */
  readonly bulk: Requests;
  /** Where records arrive live. */
  readonly tail: Pick<NatsConnection, 'subscribe' | 'isClosed'>;
  readonly stream: string;
  readonly subject: string;
  /** Where the broker publishes the records of a hot group again; silent for a warm one. */
  readonly tailSubject: string;
  /** A replay fails after this long without a new record. Default 10 s: longer than an election. */
  readonly replayPatienceMs?: number | undefined;
}

const defaultPatienceMs = 10_000;

export function natsLog(options: NatsLogOptions): Log {
  const { control, bulk, stream, subject, tailSubject } = options;
  const patienceMs = options.replayPatienceMs ?? defaultPatienceMs;
  const read = (query: object, done: (outcome: ReadOutcome) => void) =>
    control.send(`$JS.API.STREAM.MSG.GET.${stream}`, JSON.stringify(query), (reply) => {
      done(readOutcome(reply, subject));
      return 'done';
    });
  return {
    append: (bytes, expected, done) => {
      failpoint('before-append');
      control.send(
        subject,
        bytes,
        (reply) => {
          const outcome = appendOutcome(reply);
          if (outcome.kind === 'stored') failpoint('after-ack');
          done(outcome);
          return 'done';
        },
        expectedLast(expected),
      );
    },
    last: (done) => read({ last_by_subj: subject }, done),
    next: (after, done) => read({ seq: after + 1, next_by_subj: subject }, done),
    at: (at, done) => read({ seq: at }, done),
    replay: (after, through, sink) =>
      replay({ bulk, stream, subject, patienceMs, after, through, sink }),
    tail: (sink) => tail({ connection: options.tail, subject, tailSubject, sink }),
  };
}

interface StoredAnswer extends ApiAnswer {
  readonly message?: {
    readonly subject: string;
    readonly seq: number;
    /** Base64; absent when empty. */
    readonly data?: string;
  };
}

const noMessageFound = 10037;

/** A message of another subject is none of ours. */
function readOutcome(reply: Reply, subject: string): ReadOutcome {
  const failure = failureOf(reply);
  if (failure !== null || reply.kind !== 'message') return failed(failure ?? 'no answer');
  const answer = parseAnswer<StoredAnswer>(reply.message.data);
  if (answer?.error?.err_code === noMessageFound) return { kind: 'none' };
  if (answer?.error) return failed(`${answer.error.description} (${answer.error.err_code})`);
  if (!answer?.message) return failed('the broker answered a read with something else');
  const { subject: found, seq, data = '' } = answer.message;
  if (found !== subject) return { kind: 'none' };
  return {
    kind: 'record',
    record: { position: position(seq), bytes: plain(Buffer.from(data, 'base64')) },
  };
}

function failed(reason: string): ReadOutcome {
  return { kind: 'failed', reason };
}
