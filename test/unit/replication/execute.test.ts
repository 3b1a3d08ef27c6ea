import { describe, expect, it, vi } from 'vitest';
import type { Input } from '../../../replication/effects.js';
import { execute, type Ports, type Running, stopAll } from '../../../replication/execute.js';
import { position } from '../../../replication/ids.js';
import type { ReplaySink, TailedRecord } from '../../../replication/ports.js';

/** A log that only replays and is followed, and how often each of both was stopped. */
function setUp() {
  const stops = { replay: vi.fn(), tail: vi.fn() };
  const sinks: { replay?: ReplaySink; tail?: (record: TailedRecord) => void } = {};
  const log = {
    replay: (_after: unknown, _through: unknown, sink: ReplaySink) => {
      sinks.replay = sink;
      return stops.replay;
    },
    tail: (sink: (record: TailedRecord) => void) => {
      sinks.tail = sink;
      return stops.tail;
    },
  };
  const ports = { log, snapshots: {} } as unknown as Ports;
  const running: Running = new Map();
  const fed: Input[] = [];
  const feed = (input: Input) => void fed.push(input);
  const replay = { kind: 'replay', call: 3, after: position(1), through: position(9) } as const;
  expect(execute(replay, ports, running, feed)).toBeNull();
  expect(execute({ kind: 'tail', call: 4 }, ports, running, feed)).toBeNull();
  const stop = (call: number) => execute({ kind: 'stop', call }, ports, running, feed);
  return { stops, sinks, running, fed, stop };
}

describe('a replay and a tail', () => {
  it('hand over what comes, each with its call', () => {
    const { sinks, fed } = setUp();
    const record = { position: position(2), previous: position(1), bytes: Uint8Array.of(1) };
    sinks.replay?.records([record]);
    sinks.tail?.(record);
    expect(fed).toEqual([
      { kind: 'replayed', call: 3, records: [record] },
      { kind: 'tailed', call: 4, record },
    ]);
  });

  it('are stopped one by one, and once', () => {
    const { stops, stop } = setUp();
    stop(4);
    expect([stops.replay.mock.calls.length, stops.tail.mock.calls.length]).toEqual([0, 1]);
    stop(4);
    stop(3);
    stop(99);
    expect([stops.replay.mock.calls.length, stops.tail.mock.calls.length]).toEqual([1, 1]);
  });

  it('are both stopped with the member', () => {
    const { stops, running } = setUp();
    stopAll(running);
    stopAll(running);
    expect([stops.replay.mock.calls.length, stops.tail.mock.calls.length]).toEqual([1, 1]);
  });

  it('are not stopped after their end', () => {
    const { stops, sinks, running, fed, stop } = setUp();
    sinks.replay?.end(null);
    expect(fed).toEqual([{ kind: 'replay-ended', call: 3, failure: null }]);
    stop(3);
    stopAll(running);
    expect([stops.replay.mock.calls.length, stops.tail.mock.calls.length]).toEqual([0, 1]);
  });
});

it('what is not for the ports comes back', () => {
  const effect = { kind: 'close' } as const;
  expect(execute(effect, {} as Ports, new Map(), () => undefined)).toBe(effect);
});
