/**
 * The same question as check-history.ts, answered by trying every order: slow, and simple enough to
 * be believed. Knows nothing of places; a position is only a part of an answer.
 */
import type { Logged, Model, Operation } from '../../src/chaos/check/check-history.js';

interface Entry<Command, Answer> {
  readonly operation: Operation<Command, Answer>;
  /** Nobody was told of its outcome: it may have happened, later or never. */
  readonly isOptional: boolean;
}

/** Whether some order explains all answers and writes exactly this log. The model must not change states. */
export function isLinearizable<State, Command, Answer>(
  operations: readonly Operation<Command, Answer>[],
  log: readonly Logged<Command>[],
  model: Model<State, Command, Answer>,
): boolean {
  const entries = [
    ...operations.map((operation) => ({
      operation,
      isOptional: operation.outcome.kind === 'unknown',
    })),
    ...unasked(operations, log),
  ];
  const failed = new Set<string>();

  const returnOf = ({ operation, isOptional }: Entry<Command, Answer>) =>
    isOptional ? Number.POSITIVE_INFINITY : operation.returnedAt;

  const extend = (done: ReadonlySet<number>, written: number, state: State): boolean => {
    const left = entries.filter((entry, i) => !done.has(i) && !entry.isOptional);
    if (left.length === 0 && written === log.length) return true;
    const tried = [...done].sort((one, other) => one - other).join();
    if (failed.has(tried)) return false;
    const earliestReturn = Math.min(
      ...entries.flatMap((e, i) => (done.has(i) ? [] : [returnOf(e)])),
    );
    for (const [i, entry] of entries.entries()) {
      if (done.has(i) || entry.operation.calledAt > earliestReturn) continue;
      const next = happen(entry.operation, written, state);
      if (next !== null && extend(new Set([...done, i]), next.written, next.state)) return true;
    }
    failed.add(tried);
    return false;
  };

  const happen = (
    { id, command, outcome }: Operation<Command, Answer>,
    written: number,
    state: State,
  ): { written: number; state: State } | null => {
    const position = log[written - 1]?.position ?? 0;
    if (outcome.kind === 'looked') {
      const isTrue =
        outcome.position === position && model.isSame(model.look(state, command), outcome.answer);
      return isTrue ? { written, state } : null;
    }
    const entry = log[written];
    if (entry?.id !== id || entry.position !== position + entry.size) return null;
    const [next, answer] = model.apply(state, command);
    const isTrue =
      outcome.kind === 'unknown' ||
      (outcome.position === entry.position && model.isSame(answer, outcome.answer));
    return isTrue ? { written: written + 1, state: next } : null;
  };

  return extend(new Set(), 0, model.init());
}

/** What is in the log and was asked for by nobody we know may have been asked for at any time. */
function unasked<Command, Answer>(
  operations: readonly Operation<Command, Answer>[],
  log: readonly Logged<Command>[],
): Entry<Command, Answer>[] {
  const asked = new Set(operations.map(({ id }) => id));
  const others = new Map(log.filter(({ id }) => !asked.has(id)).map((entry) => [entry.id, entry]));
  return [...others.values()].map(({ id, command }) => ({
    operation: {
      id,
      command,
      calledAt: Number.NEGATIVE_INFINITY,
      returnedAt: Number.POSITIVE_INFINITY,
      outcome: { kind: 'unknown' as const },
    },
    isOptional: true,
  }));
}
