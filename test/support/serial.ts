/**
 * The strictest check of what callers were told: every answer must be the one that a serial replay of
 * the log through the kind, in this process, gives at its place. For kinds whose commands are their
 * events, one each, of which no two are equal.
 */
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import { type Kind, Rejection } from '../../replication/kind.js';
import type { EventEntry } from '../../src/admin/backend.js';
import { checkHistory, type Model, type Operation } from '../../src/chaos/check/check-history.js';
import { checkLog, type Outcome } from './load.js';

interface Answer {
  readonly code: string | null;
  readonly detail: string | null;
  readonly result: unknown;
}

/** Log, seqs and epochs (I1, I2), answers (I3), and that nothing answered stands behind what was asked later. */
export function checkSerial(
  kind: Kind,
  events: readonly EventEntry[],
  outcomes: readonly Outcome[],
): void {
  checkLog(
    events,
    outcomes.flatMap(({ accepted }) => accepted ?? []),
  );
  const model = modelOf(kind);
  const log = events.map(({ seq, event }) => ({
    id: nameOf(event),
    position: seq,
    size: 1,
    command: event,
  }));
  const seqs = placeRefusals(model, events, outcomes);
  const operations = outcomes.map((outcome): Operation<unknown, Answer> => {
    const { command, accepted, calledAt, returnedAt } = outcome;
    const position = accepted?.seq ?? seqs.get(outcome);
    if (position === undefined) throw new Error(`no state refuses ${nameOf(command)}`);
    const answer = answerOf(outcome);
    const kind = accepted === null ? 'looked' : 'written';
    return {
      id: nameOf(command),
      command,
      calledAt,
      returnedAt,
      outcome: { kind, position, answer },
    };
  });
  expect(checkHistory(operations, log, model)).toEqual({ ok: true });
}

const nameOf = (command: unknown): string =>
  JSON.stringify(Object.entries(command as object).toSorted(([a], [b]) => (a < b ? -1 : 1)));

const answerOf = ({ code, detail, accepted }: Outcome): Answer => ({
  code,
  detail,
  result: accepted?.result ?? null,
});

function modelOf(kind: Kind): Model<unknown, unknown, Answer> {
  const context = { seq: 0, recordedAtMs: 0 };
  const decide = (state: unknown, command: unknown) => kind.decide?.(state, command, context);
  const look = (state: unknown, command: unknown): Answer => {
    const decision = decide(state, command);
    if (decision instanceof Rejection) {
      return { code: decision.code, detail: decision.detail, result: null };
    }
    const result = decision && 'result' in decision ? decision.result : null;
    return { code: null, detail: null, result };
  };
  return {
    init: () => kind.init(),
    look,
    apply: (state, command) => {
      const answer = look(state, command);
      return [kind.apply(state, command, context) ?? state, answer];
    },
    isSame: (one, other) => isDeepStrictEqual(one, other),
  };
}

/**
 * Callers are not told where a refusal was decided. It gets the first seq at which it is right, not
 * before any answer that was given before it was asked: if that contradicts others, every place does.
 */
function placeRefusals(
  model: Model<unknown, unknown, Answer>,
  events: readonly EventEntry[],
  outcomes: readonly Outcome[],
): Map<Outcome, number> {
  const seqs = new Map<Outcome, number>();
  let waiting = withFloors(outcomes);
  let state = model.init();
  for (let seq = 0; seq <= events.length; seq++) {
    const event = events[seq - 1]?.event;
    if (event !== undefined) [state] = model.apply(state, event);
    // By time of call: whoever was asked after an answer comes after that answer here.
    let firstReturn = Number.POSITIVE_INFINITY;
    let isPlaced = false;
    for (const { outcome, floor } of waiting) {
      if (floor > seq || outcome.calledAt > firstReturn) break;
      if (model.isSame(model.look(state, outcome.command), answerOf(outcome))) {
        seqs.set(outcome, seq);
        isPlaced = true;
      } else firstReturn = Math.min(firstReturn, outcome.returnedAt);
    }
    if (isPlaced) waiting = waiting.filter(({ outcome }) => !seqs.has(outcome));
  }
  return seqs;
}

interface Waiting {
  readonly outcome: Outcome;
  /** The highest seq that anybody had been told when this was asked. */
  readonly floor: number;
}

function withFloors(outcomes: readonly Outcome[]): Waiting[] {
  const returns = outcomes.toSorted((a, b) => a.returnedAt - b.returnedAt);
  const refused = outcomes.filter(({ accepted }) => accepted === null);
  let floor = 0;
  let at = 0;
  return refused
    .toSorted((a, b) => a.calledAt - b.calledAt)
    .map((outcome) => {
      for (let next = returns[at]; next && next.returnedAt < outcome.calledAt; next = returns[++at])
        floor = Math.max(floor, next.accepted?.seq ?? 0);
      return { outcome, floor };
    });
}
