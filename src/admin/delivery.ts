/** Delivers the events of one request and words the answer. */
import {
  type AnswerRun,
  type Batch,
  type CommandAnswer,
  unpackRun,
} from '../../replication/batch.js';
import { UnderstudyError } from '../../replication/errors.js';
import type { Backend } from './backend.js';
import { type Conveyed, convey } from './conveyor.js';
import type { Command, Incoming, Refused } from './incoming.js';
import type { Numbers, SessionPool } from './numbering.js';
import { answersTo, batchOf, Packer, type Parcel } from './parcels.js';
import { problemOf } from './problems.js';
import { toJson } from './values.js';

export interface Delivery {
  readonly backend: Backend;
  readonly pool: SessionPool;
  readonly group: string;
  readonly timeoutMs: number;
  /** From the caller's `Understudy-Session`; `null`: this node lends a session. */
  readonly numbers: Numbers | null;
}

interface Answers {
  readonly answers: readonly CommandAnswer[];
  /** `null`: nothing was delivered. */
  readonly seq: number | null;
  readonly epoch: number | null;
}

const nothing: Answers = { answers: [], seq: null, epoch: null };

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
  };
}

export interface Delivered {
  readonly results: readonly unknown[];
  readonly seq: number;
  readonly epoch: number;
  readonly duplicate: boolean;
}

/** Throws `rejected` with the kind's own code if the kind refuses the event. */
export async function deliverOne(delivery: Delivery, incoming: Incoming): Promise<Delivered> {
  if (!incoming.ok) throw new UnderstudyError(incoming.code, incoming.detail);
  const first = delivery.numbers?.first ?? null;
  const { answers, seq, epoch } = await deliver(delivery, [incoming], first);
  const answer = answers[0] as CommandAnswer;
  if (answer.ok) {
    const { duplicate } = answer;
    return { results: [resultOf(answer)], seq: seq ?? 0, epoch: epoch ?? 0, duplicate };
  }
  const { code, detail, duplicate } = answer;
  const rejection = { code, detail };
  throw new UnderstudyError('rejected', `${code}: ${detail}`, { rejection, duplicate });
}

function resultOf(answer: CommandAnswer | Refused): unknown {
  const flag = 'duplicate' in answer && answer.duplicate ? { duplicate: true } : {};
  if (answer.ok) return { seq: answer.seq, result: answer.result ?? null, ...flag };
  return { code: answer.code, detail: answer.detail, ...flag };
}

/**
 * The answer's JSON document piece by piece, as the events are answered. Throws if not one of them
 * could be; what fails later becomes the document's `problem`, after the results that stand.
 */
export async function deliverMany(
  delivery: Delivery,
  source: Iterator<Incoming[]> | AsyncIterator<Incoming[]>,
  explain: (error: unknown) => UnderstudyError,
): Promise<AsyncIterable<string>> {
  const conveyed = convey(source, new Packer(delivery.numbers), ({ commands, first }: Parcel) =>
    deliver(delivery, commands, first),
  );
  const first = await conveyed.next();
  if (!first.done) return document(first.value, conveyed, explain);
  throw new UnderstudyError('bad-request', 'the body holds no event; nothing was delivered');
}

type Piece = Conveyed<Parcel, Answers>;

async function* document(
  first: Piece,
  rest: AsyncGenerator<Piece>,
  explain: (error: unknown) => UnderstudyError,
): AsyncGenerator<string> {
  const summary = new Summary();
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
  #seq: number | null = null;
  #epoch: number | null = null;
  #answered = 0;
  #duplicates = 0;

  /** The results of a piece as JSON, without the brackets. */
  add({ parcel, answer: { answers, seq, epoch } }: Piece): string {
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
    return `,"seq":${this.#seq},"epoch":${this.#epoch},"duplicate":${duplicate}`;
  }
}

function highest(a: number | null, b: number | null): number | null {
  if (a === null || b === null) return a ?? b;
  return Math.max(a, b);
}
