/**
 * Was a history linearizable? In general that takes a search; here every operation says where in the
 * one log it took effect, so sorting is enough.
 *
 * A write that ended at position p stands at 2p, a look at position p between the writes, at 2p + 1.
 * H1 In that order the model gives every operation its answer.
 * H2 No operation stands before another one that had returned when it was called.
 * Both hold exactly if the history is linearizable: a legal order must put writes by position and
 * looks right behind the write they saw, and looks at one place agree with each other in any order.
 */

/** Something stored, in the order of the log. */
export interface Logged<Command> {
  readonly id: string;
  /** Where it ends. */
  readonly position: number;
  /** Positions it takes, 1 or more. */
  readonly size: number;
  readonly command: Command;
}

export type Outcome<Answer> =
  | { readonly kind: 'written'; readonly position: number; readonly answer: Answer }
  /** Changed nothing: a query, a rejection, a command without events. */
  | { readonly kind: 'looked'; readonly position: number; readonly answer: Answer }
  /** Never answered: whether it was written, the log tells. */
  | { readonly kind: 'unknown' };

export interface Operation<Command, Answer> {
  readonly id: string;
  readonly command: Command;
  /** On one clock for all clients; equal times are concurrent. */
  readonly calledAt: number;
  readonly returnedAt: number;
  readonly outcome: Outcome<Answer>;
}

export interface Model<State, Command, Answer> {
  init(): State;
  /** May change the state it is given. */
  apply(state: State, command: Command): readonly [next: State, answer: Answer];
  /** What the command is answered if it changes nothing. */
  look(state: State, command: Command): Answer;
  isSame(one: Answer, other: Answer): boolean;
}

export type Verdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly id: string; readonly reason: string };

interface Placed<Command, Answer> {
  readonly id: string;
  readonly command: Command;
  readonly calledAt: number;
  readonly returnedAt: number;
  readonly place: number;
  readonly isWrite: boolean;
  /** None: nobody was told. */
  readonly answer: { readonly value: Answer } | null;
}

export const writePlace = (position: number): number => 2 * position;
export const lookPlace = (position: number): number => 2 * position + 1;

const wrong = (id: string, reason: string): Verdict => ({ ok: false, id, reason });

/** The log must be all there is, from position 1 on; it may hold what no operation asked for. */
export function checkHistory<State, Command, Answer>(
  operations: readonly Operation<Command, Answer>[],
  log: readonly Logged<Command>[],
  model: Model<State, Command, Answer>,
): Verdict {
  const placed = place(operations, log);
  if ('ok' in placed) return placed;
  const replayed = replay(placed, model);
  return replayed.ok ? sweep(placed) : replayed;
}

/** Gives everything its place, or says what cannot have one. */
function place<Command, Answer>(
  operations: readonly Operation<Command, Answer>[],
  log: readonly Logged<Command>[],
): Placed<Command, Answer>[] | Verdict {
  const asked = new Map(operations.map((operation) => [operation.id, operation]));
  const placed: Placed<Command, Answer>[] = [];
  const stored = new Set<string>();
  let end = 0;
  for (const { id, position, size, command } of log) {
    if (stored.has(id)) return wrong(id, 'is in the log twice');
    stored.add(id);
    if (position !== end + size) return wrong(id, `ends at ${position}, after ${end}`);
    end = position;
    const written = placeWritten(asked.get(id), { id, position, size, command });
    if ('ok' in written) return written;
    placed.push(written);
  }
  for (const operation of operations) {
    const { id, outcome } = operation;
    if (outcome.kind === 'written' && !stored.has(id)) {
      return wrong(id, `was answered as written at ${outcome.position}, the log lacks it`);
    }
    if (outcome.kind !== 'looked') continue;
    if (outcome.position > end) return wrong(id, `saw ${outcome.position}, the log ends at ${end}`);
    placed.push(placeLook(operation, outcome));
  }
  return placed;
}

function placeWritten<Command, Answer>(
  operation: Operation<Command, Answer> | undefined,
  { id, position, command }: Logged<Command>,
): Placed<Command, Answer> | Verdict {
  const place = writePlace(position);
  let calledAt = Number.NEGATIVE_INFINITY;
  let returnedAt = Number.POSITIVE_INFINITY;
  let answer: Placed<Command, Answer>['answer'] = null;
  if (operation !== undefined) {
    const { outcome } = operation;
    calledAt = operation.calledAt;
    if (outcome.kind === 'looked') return wrong(id, 'changed nothing, and is in the log');
    if (outcome.kind === 'written') {
      if (outcome.position !== position) {
        return wrong(id, `was answered with ${outcome.position}, and is in the log at ${position}`);
      }
      returnedAt = operation.returnedAt;
      answer = { value: outcome.answer };
    }
  }
  return { id, command, calledAt, returnedAt, place, isWrite: true, answer };
}

function placeLook<Command, Answer>(
  { id, command, calledAt, returnedAt }: Operation<Command, Answer>,
  outcome: Extract<Outcome<Answer>, { kind: 'looked' }>,
): Placed<Command, Answer> {
  const place = lookPlace(outcome.position);
  const answer = { value: outcome.answer };
  return { id, command, calledAt, returnedAt, place, isWrite: false, answer };
}

/** H1. A look in the middle of a write's positions saw a state that never was. */
function replay<State, Command, Answer>(
  placed: Placed<Command, Answer>[],
  model: Model<State, Command, Answer>,
): Verdict {
  placed.sort((one, other) => one.place - other.place);
  let state = model.init();
  let seen = writePlace(0);
  for (const { id, command, place, isWrite, answer } of placed) {
    if (isWrite) {
      const [next, given] = model.apply(state, command);
      if (answer !== null && !model.isSame(given, answer.value)) {
        return wrong(id, 'was given another answer than the log gives');
      }
      state = next;
      seen = place;
      continue;
    }
    const isWhole = place === seen + 1;
    if (!isWhole || (answer !== null && !model.isSame(model.look(state, command), answer.value))) {
      return wrong(id, 'saw another state than the log gives');
    }
  }
  return { ok: true };
}

/** H2, in one pass over the clock. */
function sweep<Command, Answer>(placed: readonly Placed<Command, Answer>[]): Verdict {
  const calls = [...placed].sort((one, other) => one.calledAt - other.calledAt);
  const returns = [...placed].sort((one, other) => one.returnedAt - other.returnedAt);
  let highest: Placed<Command, Answer> | null = null;
  let at = 0;
  for (const call of calls) {
    for (let next = returns[at]; next && next.returnedAt < call.calledAt; next = returns[++at]) {
      if (highest === null || next.place > highest.place) highest = next;
    }
    if (highest !== null && highest.place > call.place) {
      return wrong(call.id, `stands before ${highest.id}, which had returned when it was called`);
    }
  }
  return { ok: true };
}
