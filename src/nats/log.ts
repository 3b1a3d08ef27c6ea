/**
 * The `Log` port over one subject of a shard stream.
 *
 * Single reads ask the stream's leader (STREAM.MSG.GET): as quick as a direct get and, in a healthy
 * cluster, never behind one's own append. A deposed leader may still answer for some seconds.
 */
import type { NatsConnection } from 'nats';
import { type Position, position } from '../../replication/ids.js';
import type { Log, Proof, ReadOutcome } from '../../replication/ports.js';
import { failpoint } from '../failpoint.js';
import { Pace } from './pace.js';
import { replay } from './replay.js';
import {
  type ApiAnswer,
  answerOf,
  appendOutcome,
  expectedLast,
  failureOf,
  parseAnswer,
  plain,
} from './replies.js';
import type { Reply, Requests } from './requests.js';
import { tail } from './tail.js';

export interface NatsLogOptions {
  /** Appends and single reads: a log that is silent is asked again sooner than its timeout. */
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
  const { bulk, stream, subject, tailSubject } = options;
  const patienceMs = options.replayPatienceMs ?? defaultPatienceMs;
  const reads = new Pace();
  const read = (query: object, done: (outcome: ReadOutcome) => void) =>
    readOnce(options, reads, query, done);
  return {
    append: appender(options),
    last: (done) => read({ last_by_subj: subject }, done),
    next: (after, done) => read({ seq: after + 1, next_by_subj: subject }, done),
    at: (at, done) => read({ seq: at }, done),
    prove: (at, done) => prove(options, reads, at, done),
    replay: (after, through, sink) =>
      replay({ bulk, stream, subject, patienceMs, after, through, sink }),
    tail: (sink) => tail({ connection: options.tail, subject, tailSubject, sink }),
  };
}

/**
 * An append that nobody answers is unknown as soon as its pace says so, and never sent again from here: the
 * writer reads first, which costs a slow broker less than the same record once more (P3).
 */
function appender({ control, subject }: NatsLogOptions): Log['append'] {
  const pace = new Pace();
  return (bytes, expected, done) => {
    failpoint('before-append');
    const sentAtMs = performance.now();
    const onReply = (reply: Reply) => {
      const outcome = appendOutcome(reply);
      if (outcome.kind === 'stored') failpoint('after-ack');
      if (outcome.kind === 'stored') pace.answered(performance.now() - sentAtMs);
      if (reply.kind === 'lost') pace.tooShort();
      done(outcome);
      return 'done' as const;
    };
    control.send(subject, bytes, onReply, expectedLast(expected), { lostAfterMs: pace.againMs });
  };
}

/** Asked again until it is answered: whoever leads the stream next was not asked before. */
function readOnce(
  { control, stream, subject }: NatsLogOptions,
  pace: Pace,
  query: object,
  done: (outcome: ReadOutcome) => void,
): void {
  const askedAtMs = performance.now();
  const { againMs } = pace;
  const onReply = (reply: Reply) => {
    const outcome = readOutcome(reply, subject);
    const tookMs = performance.now() - askedAtMs;
    // What nobody answered tells nothing of how long an answer takes.
    if (outcome.kind !== 'failed') {
      if (tookMs < againMs) pace.answered(tookMs);
      else pace.tooShort();
    }
    done(outcome);
    return 'done' as const;
  };
  const api = `$JS.API.STREAM.MSG.GET.${stream}`;
  control.send(api, JSON.stringify(query), onReply, null, { againAfterMs: againMs });
}

interface InfoAnswer extends ApiAnswer {
  readonly state?: { readonly last_seq?: number };
  readonly cluster?: { readonly replicas?: readonly PeerAnswer[] | null };
}

interface PeerAnswer {
  readonly current?: boolean;
  readonly offline?: boolean;
  /** Nanoseconds since the leader heard of it. */
  readonly active?: number;
}

/** A peer that was heard of so recently follows this leader: a deposed one hears of nobody. */
const followsWithinNs = 3e9;

/**
 * The leader says in one answer how far the stream goes and who follows it; only then what is at `at` is
 * asked for, which nobody who lacks it is believed.
 */
function prove(
  options: NatsLogOptions,
  pace: Pace,
  at: Position,
  done: (proof: Proof) => void,
): void {
  const onReply = (reply: Reply) => {
    const end = endOfStream(reply);
    if ('reason' in end) done({ kind: 'failed', reason: end.reason });
    else if (end.lastPosition < at) {
      done({ kind: 'gone', found: `the stream ends at ${end.lastPosition}, before ${at}` });
    } else {
      readOnce(options, pace, { seq: at }, (outcome) => {
        const found = 'no record of this group is in its place';
        done(outcome.kind === 'none' ? { kind: 'gone', found } : outcome);
      });
    }
    return 'done' as const;
  };
  const urgency = { againAfterMs: pace.againMs };
  options.control.send(`$JS.API.STREAM.INFO.${options.stream}`, '', onReply, null, urgency);
}

/** As the leader tells, if a majority of the replicas follows it. */
export function endOfStream(
  reply: Reply,
): { readonly lastPosition: number } | { readonly reason: string } {
  const answer = answerOf<InfoAnswer>(reply);
  if ('failure' in answer) return { reason: answer.failure };
  const lastPosition = answer.state?.last_seq;
  if (lastPosition === undefined) return { reason: 'the broker answered with something else' };
  const peers = answer.cluster?.replicas ?? [];
  const following = peers.filter(
    ({ current, offline, active }) =>
      current === true && offline !== true && (active ?? 0) < followsWithinNs,
  );
  const isMajority = (following.length + 1) * 2 > peers.length + 1;
  if (isMajority) return { lastPosition };
  return { reason: `only ${following.length} of ${peers.length} replicas follow who answered` };
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
