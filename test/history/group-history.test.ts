import { describe, expect, it } from 'vitest';
import type { AnswerRun, Batch } from '../../replication/batch.js';
import { epoch, seq } from '../../replication/ids.js';
import { type TraceCommand, type TraceState, traceKind } from '../simulation/kind.js';
import { GroupHistory } from './group-history.js';

/** Neither rejected nor poison, and one event each, on any state: found by trying. */
function commandFor(state: TraceState): TraceCommand {
  for (let n = 1; ; n++) {
    const decision = traceKind.decide?.(state, { n, op: `c:${n}` }, { seq: 0, recordedAtMs: 0 });
    const { events } = decision as { events?: unknown[] };
    if (events?.length === 1) return { n, op: `c:${n}` };
  }
}

/** A session of one writer: three commands, one after the other, in the log and answered. */
function written() {
  const history = new GroupHistory();
  const state = traceKind.init();
  const states: TraceState[] = [structuredClone(state)];
  for (let number = 1; number <= 3; number++) {
    const command = commandFor(state);
    const batch = batchOf(number);
    history.called(batch, [command], number * 100);
    history.stored('c', number, { position: number, size: 1, command });
    history.answered(batch, [runOf(number, structuredClone(state.last))], number * 100 + 50);
    traceKind.apply(state, { n: command.n, part: 0 }, { seq: number, recordedAtMs: 0 });
    states.push(structuredClone(state));
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

  it('takes no command for done before it was called, though nobody was told', () => {
    const { history, states } = written();
    const command = commandFor(states[3] as TraceState);
    history.called(batchOf(4), [command], 1000);
    history.stored('c', 4, { position: 4, size: 1, command });
    expect(history.check()).toEqual({ ok: true });
    const after = structuredClone(states[3] as TraceState);
    traceKind.apply(after, { n: command.n, part: 0 }, { seq: 4, recordedAtMs: 0 });
    history.saw(readAt([...states, after], 4), 500, 600);
    expect(history.check()).toMatchObject({ ok: false, id: 'c/4' });
  });
});
