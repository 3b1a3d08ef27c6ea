import { describe, expect, it } from 'vitest';
import type { AnswerRun, Batch } from '../../replication/batch.js';
import { epoch, seq } from '../../replication/ids.js';
import { Rejection } from '../../replication/kind.js';
import { freshTrace, type TraceCommand, type TraceState, traceKind } from '../simulation/kind.js';
import { GroupHistory } from './group-history.js';

const decide = (state: TraceState, command: TraceCommand) =>
  traceKind.decide?.(state, command, { seq: 0, recordedAtMs: 0 });

function stateAfter(state: TraceState, { n }: TraceCommand): TraceState {
  const next = structuredClone(state);
  traceKind.apply(next, { n, part: 0 }, { seq: 0, recordedAtMs: 0 });
  return next;
}

/** A command that yields one event in this state; found by trying. */
function commandFor(state: TraceState, isFit = (_: TraceCommand) => true): TraceCommand {
  for (let n = 1; ; n++) {
    const command = { n, op: `c:${n}` };
    const { events } = decide(state, command) as { events?: unknown[] };
    if (events?.length === 1 && isFit(command)) return command;
  }
}

/** A session of one writer: three commands, one after the other, in the log and answered. */
function written() {
  const history = new GroupHistory();
  let state = freshTrace();
  const states: TraceState[] = [state];
  for (let number = 1; number <= 3; number++) {
    const command = commandFor(state);
    const batch = batchOf(number);
    history.called(batch, [command], number * 100);
    history.stored('c', number, { position: number, size: 1, command });
    history.answered(batch, [runOf(number, state.last)], number * 100 + 50);
    state = stateAfter(state, command);
    states.push(state);
  }
  return { history, states };
}

function batchOf(first: number): Batch {
  return { session: 'c', floor: 1, first, count: 1, keys: null, blob: new Uint8Array(0) };
}

function runOf(number: number, result: unknown): AnswerRun {
  return {
    first: number,
    count: 1,
    epoch: 1,
    baseSeq: number - 1,
    eventCounts: null,
    results: [result],
    rejections: null,
    duplicate: false,
  };
}

function readAt(states: readonly TraceState[], at: number) {
  return { ok: true as const, value: states[at], seq: seq(at), epoch: epoch(1) };
}

describe('the history of a simulated group', () => {
  it('holds when reads show what had been answered', () => {
    const { history, states } = written();
    history.saw(readAt(states, 2), 260, 290);
    history.saw(readAt(states, 3), 400, 420);
    expect(history.check()).toEqual({ ok: true });
  });

  it('shows a read that is older than an answer before it', () => {
    const { history, states } = written();
    history.saw(readAt(states, 1), 260, 290);
    expect(history.check()).toMatchObject({ ok: false, id: 'read 3' });
  });

  it('shows a read of a state that never was', () => {
    const { history, states } = written();
    const state = { ...(states[2] as TraceState), events: 7 };
    history.saw(readAt([state, state, state], 2), 260, 290);
    expect(history.check()).toMatchObject({ ok: false, id: 'read 3' });
  });

  it('shows an answer to what the log lacks', () => {
    const { history, states } = written();
    const command = commandFor(states[3] as TraceState);
    history.called(batchOf(4), [command], 400);
    history.answered(batchOf(4), [runOf(4, states[3]?.last)], 450);
    expect(history.check()).toMatchObject({ ok: false, id: 'c/4' });
  });

  it('takes a copy of a command without a session for another command', () => {
    const { history, states } = written();
    const state = states[3] as TraceState;
    const isRefusedNext = (each: TraceCommand) =>
      decide(stateAfter(state, each), each) instanceof Rejection;
    const command = commandFor(state, isRefusedNext);
    const batch = { ...batchOf(9), session: null };
    history.called(batch, [command], 400);
    history.stored(null, 9, { position: 4, size: 1, command });
    const rejections = [[0, 'unlucky', '']] as const;
    history.answered(batch, [{ ...runOf(5, null), first: 9, rejections }], 460);
    history.answered(batch, [{ ...runOf(4, state.last), first: 9 }], 470);
    expect(history.check()).toEqual({ ok: true });
  });

  it('takes no command for done before it was called, though nobody was told', () => {
    const { history, states } = written();
    const command = commandFor(states[3] as TraceState);
    history.called(batchOf(4), [command], 1000);
    history.stored('c', 4, { position: 4, size: 1, command });
    expect(history.check()).toEqual({ ok: true });
    const state = stateAfter(states[3] as TraceState, command);
    history.saw(readAt([...states, state], 4), 500, 600);
    expect(history.check()).toMatchObject({ ok: false, id: 'c/4' });
  });
});
