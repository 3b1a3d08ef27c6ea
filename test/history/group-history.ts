/** What the simulation's clients asked of one group, when, and what they were told. */
import type { AnswerRun, Batch } from '../../replication/batch.js';
import type { ReadResult } from '../../replication/effects.js';
import { Rejection } from '../../replication/kind.js';
import {
  checkHistory,
  type Logged,
  type Model,
  type Operation,
  type Outcome,
  type Verdict,
} from '../../src/chaos/check/check-history.js';
import {
  freshTrace,
  poisonPart,
  type TraceCommand,
  type TraceEvent,
  type TraceState,
  traceKind,
} from '../simulation/kind.js';

/** Null: the query for the whole state. */
type Asked = TraceCommand | null;

interface Told {
  readonly rejection: string | null;
  readonly events: number;
  /** What the state had seen last. */
  readonly n: number;
  readonly hash: number;
}

interface Call {
  readonly command: TraceCommand;
  readonly key: string | null;
  readonly calledAt: number;
}

interface Entry extends Logged<Asked> {
  readonly call: string;
}

const refusal = (rejection: string): Told => ({ rejection, events: 0, n: 0, hash: 0 });

function decide(state: TraceState, command: TraceCommand): [Told, readonly TraceEvent[]] {
  const decision = traceKind.decide?.(state, command, { seq: 0, recordedAtMs: 0 });
  if (decision instanceof Rejection) return [refusal(decision.code), []];
  const { events } = decision as { events: readonly TraceEvent[] };
  if (events.some(({ part }) => part === poisonPart)) return [refusal('apply-failed'), []];
  return [{ rejection: null, events: events.length, ...state.last }, events];
}

const model: Model<TraceState, Asked, Told> = {
  init: freshTrace,
  apply(state, command) {
    if (command === null) return [state, refusal('a query changes nothing')];
    const [told, events] = decide(state, command);
    for (const event of events) traceKind.apply(state, event, { seq: 0, recordedAtMs: 0 });
    return [state, told];
  },
  look(state, command) {
    if (command === null) return { rejection: null, events: state.events, ...state.last };
    return decide(state, command)[0];
  },
  isSame: (one, other) =>
    one.rejection === other.rejection &&
    one.events === other.events &&
    one.n === other.n &&
    one.hash === other.hash,
};

export class GroupHistory {
  readonly #log: Entry[] = [];
  /** By session and number. */
  readonly #calls = new Map<string, Call>();
  readonly #operations = new Map<string, Operation<Asked, Told>>();

  called(batch: Batch, commands: readonly TraceCommand[], calledAt: number): void {
    for (const [i, command] of commands.entries()) {
      const key = batch.keys?.[i] ?? null;
      this.#calls.set(nameOf(batch.session, batch.first + i), { command, key, calledAt });
    }
  }

  /** The events of a command are in the log; the last one at this seq. */
  stored(session: string | null, number: number, at: Omit<Logged<Asked>, 'id'>): void {
    const call = nameOf(session, number);
    this.#log.push({ id: idOf(session, call, at.position), call, ...at });
  }

  /** Of several answers to the same command the first one counts. */
  answered({ session }: Batch, runs: readonly AnswerRun[], returnedAt: number): void {
    for (const run of runs) {
      const refused = new Map(run.rejections?.map(([offset, code]) => [offset, code]));
      let position = run.baseSeq;
      for (let i = 0; i < run.count; i++) {
        const rejection = refused.get(i);
        const events = rejection === undefined ? (run.eventCounts?.[i] ?? 1) : 0;
        position += events;
        const call = nameOf(session, run.first + i);
        const { command, key, calledAt } = this.#calls.get(call) as Call;
        // Answered with what an earlier command of this key was told: that one has the place.
        if (key !== null && run.duplicate && events === 0) continue;
        const answer =
          rejection === undefined ? told(events, run.results?.[i]) : refusal(rejection);
        const kind = events > 0 ? 'written' : 'looked';
        const outcome: Outcome<Told> = { kind, position, answer };
        const id = idOf(session, call, kind === 'written' ? position : `${position}+`);
        this.#keep({ id, command, calledAt, returnedAt, outcome });
      }
    }
  }

  /** A linearizable read. */
  saw(result: ReadResult & { readonly ok: true }, calledAt: number, returnedAt: number): void {
    const { events, last } = result.value as TraceState;
    const answer = { rejection: null, events, ...last };
    const outcome = { kind: 'looked', position: result.seq, answer } as const;
    const id = `read ${this.#operations.size}`;
    this.#keep({ id, command: null, calledAt, returnedAt, outcome });
  }

  #keep(operation: Operation<Asked, Told>): void {
    if (!this.#operations.has(operation.id)) this.#operations.set(operation.id, operation);
  }

  /** Operations that were answered, and what else is in the log, whose senders know nothing. */
  check(): Verdict {
    const unanswered = this.#log.filter(({ id }) => !this.#operations.has(id));
    const unknown = unanswered.map(({ id, call, command }): Operation<Asked, Told> => {
      const { calledAt } = this.#calls.get(call) as Call;
      return { id, command, calledAt, returnedAt: Infinity, outcome: { kind: 'unknown' } };
    });
    return checkHistory([...this.#operations.values(), ...unknown], this.#log, model);
  }
}

const nameOf = (session: string | null, number: number) => `${session}/${number}`;

/** A copy of a command without a session is a command of its own, elsewhere than the first. */
function idOf(session: string | null, call: string, place: number | string): string {
  return session === null ? `${call}@${place}` : call;
}

function told(events: number, result: unknown): Told {
  const { n, hash } = (result ?? { n: 0, hash: 0 }) as TraceState['last'];
  return { rejection: null, events, n, hash };
}
