/** Delivers the events of one request and words the answer. */
import {
  type AnswerRun,
  type Batch,
  type CommandAnswer,
  unpackRun,
} from '../../replication/batch.js';
import { UnderstudyError } from '../../replication/errors.js';
import {
  laterOf,
  nothingSeen,
  parseToken,
  type Seen,
  seenIn,
  tokenAfter,
  tokenHeader,
  tokenOf,
} from '../client/token.js';
import type { Backend } from './backend.js';
import { type Conveyed, convey } from './conveyor.js';
import type { Command, Incoming, Refused } from './incoming.js';
import type { Numbers, SessionPool } from './numbering.js';
import { answersTo, batchOf, Packer, type Parcel } from './parcels.js';
import { HttpError, problemOf, statusOf } from './problems.js';
import { toJson } from './values.js';

export interface Delivery {
  readonly backend: Backend;
  readonly pool: SessionPool;
  readonly group: string;
  readonly timeoutMs: number;
  /** From the caller's `Understudy-Session`; `null`: this node lends a session. */
  readonly numbers: Numbers | null;
  /** From the caller's `Understudy-Token`. */
  readonly after: string | undefined;
}

interface Answers {
  readonly answers: readonly CommandAnswer[];
  /** `null`: nothing was delivered. */
  readonly seq: number | null;
  readonly epoch: number | null;
  readonly seen: Seen;
}

const nothing: Answers = { answers: [], seq: null, epoch: null, seen: nothingSeen };

async function deliver(
  delivery: Delivery,
  commands: readonly Command[],
  first: number | null,
): Promise<Answers> {
  if (commands.length === 0) return nothing;
  const { backend, pool, group, timeoutMs, numbers } = delivery;
  const send = async (own: Numbers): Promise<Answers> => {
    const batch = batchOf(commands, own);
    const { runs } = await backend.deliver(group, batch, timeoutMs);
    return answersIn(runs, batch);
  };
  if (numbers === null) return await pool.lend(commands.length, send);
  return await send({ ...numbers, first: first ?? numbers.first });
}

function answersIn(runs: readonly AnswerRun[], batch: Batch): Answers {
  const answers = runs.flatMap(unpackRun);
  if (answers.length !== batch.count) {
    const detail = `${batch.count} events were delivered and ${answers.length} answers came back`;
    throw new UnderstudyError('internal', `${detail}; the outcome of the events is unknown`);
  }
  const seqs = answers.map((answer) => (answer.ok ? answer.seq : 0));
  return {
    answers,
    seq: Math.max(...runs.map((run) => run.baseSeq), ...seqs),
    epoch: Math.max(...runs.map((run) => run.epoch)),
    seen: seenIn(runs),
  };
}

export interface Delivered {
  readonly results: readonly unknown[];
  readonly seq: number;
  readonly epoch: number;
  readonly duplicate: boolean;
  readonly token: string;
}

/** Throws `rejected` with the kind's own code if the kind refuses the event. */
export async function deliverOne(delivery: Delivery, incoming: Incoming): Promise<Delivered> {
  if (!incoming.ok) throw new UnderstudyError(incoming.code, incoming.detail);
  const first = delivery.numbers?.first ?? null;
  const { answers, seq, epoch, seen } = await deliver(delivery, [incoming], first);
  const token = tokenAfter(delivery.after, seen);
  const answer = answers[0] as CommandAnswer;
  if (answer.ok) {
    const { duplicate } = answer;
    return { results: [resultOf(answer)], seq: seq ?? 0, epoch: epoch ?? 0, duplicate, token };
  }
  const { code, detail, duplicate } = answer;
  const details = { rejection: { code, detail }, duplicate };
  const error = { code: 'rejected', detail: `${code}: ${detail}`, details } as const;
  throw new HttpError(statusOf.rejected, error, { [tokenHeader]: token });
}

function resultOf(answer: CommandAnswer | Refused): unknown {
  const flag = 'duplicate' in answer && answer.duplicate ? { duplicate: true } : {};
  if (answer.ok) return { seq: answer.seq, result: answer.result ?? null, ...flag };
  return { code: answer.code, detail: answer.detail, ...flag };
}

export interface Source {
  readonly source: Iterator<Incoming[]> | AsyncIterator<Incoming[]>;
  /** How many events it will yield; `null`: nobody knows yet. */
  readonly total: number | null;
}

export interface ManyDelivered {
  /** The document's token, if the document is sure to end with it. */
  readonly token: string | null;
  readonly document: AsyncIterable<string>;
}

/**
 * The answer's JSON document piece by piece, as the events are answered. Throws if not one of them
 * could be; what fails later becomes the document's `problem`, after the results that stand.
 */
export async function deliverMany(
  delivery: Delivery,
  { source, total }: Source,
  explain: (error: unknown) => UnderstudyError,
): Promise<ManyDelivered> {
  const conveyed = convey(source, new Packer(delivery.numbers), ({ commands, first }: Parcel) =>
    deliver(delivery, commands, first),
  );
  const first = await conveyed.next();
  if (!first.done) {
    const { parcel, answer } = first.value;
    const isAll = parcel.lines.length === total && answer.answers.length > 0;
    const token = isAll ? tokenAfter(delivery.after, answer.seen) : null;
    return { token, document: document(first.value, conveyed, explain, delivery.after) };
  }
  throw new UnderstudyError('bad-request', 'the body holds no event; nothing was delivered');
}

type Piece = Conveyed<Parcel, Answers>;

async function* document(
  first: Piece,
  rest: AsyncGenerator<Piece>,
  explain: (error: unknown) => UnderstudyError,
  after: string | undefined,
): AsyncGenerator<string> {
  const summary = new Summary(after);
  try {
    yield `{"results":[${summary.add(first)}`;
    for await (const piece of rest) yield `,${summary.add(piece)}`;
    yield `]${summary.end()}}`;
  } catch (error) {
    yield `]${summary.end()},"problem":${toJson(problemOf(explain(error)))}}`;
  } finally {
    await rest.return(undefined);
  }
}

/** What is said after the results. */
class Summary {
  #seen: Seen | null;
  #seq: number | null = null;
  #epoch: number | null = null;
  #answered = 0;
  #duplicates = 0;

  constructor(after: string | undefined) {
    this.#seen = after === undefined ? null : parseToken(after);
  }

  /** The results of a piece as JSON, without the brackets. */
  add({ parcel, answer: { answers, seq, epoch, seen } }: Piece): string {
    if (answers.length > 0) this.#seen = laterOf(this.#seen ?? nothingSeen, seen);
    this.#seq = highest(this.#seq, seq);
    this.#epoch = highest(this.#epoch, epoch);
    this.#answered += answers.length;
    this.#duplicates += answers.filter(({ duplicate }) => duplicate).length;
    return answersTo(parcel, answers)
      .map((answer) => toJson(resultOf(answer)))
      .join(',');
  }

  end(): string {
    const duplicate = this.#answered > 0 && this.#duplicates === this.#answered;
    const token = this.#seen && tokenOf(this.#seen);
    const end = { seq: this.#seq, epoch: this.#epoch, duplicate, token };
    return `,${toJson(end).slice(1, -1)}`;
  }
}

function highest(a: number | null, b: number | null): number | null {
  if (a === null || b === null) return a ?? b;
  return Math.max(a, b);
}
