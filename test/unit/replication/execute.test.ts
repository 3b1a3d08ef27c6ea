import { describe, expect, it, vi } from 'vitest';
import type { Effect, Input } from '../../../replication/effects.js';
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
  const ports = { log } as unknown as Ports;
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

describe('chunks', () => {
  const [hash, bytes] = [Uint8Array.of(1), Uint8Array.of(2, 3)];

  /** Ports that note every call, and answer it with what is told. */
  function chunkPorts() {
    const calls: unknown[][] = [];
    const answers: ((answer: never) => void)[] = [];
    const port =
      (name: string) =>
      (...args: unknown[]) => {
        const done = args.at(-1);
        const hasAnswer = typeof done === 'function';
        if (hasAnswer) answers.push(done as (answer: never) => void);
        calls.push([name, ...(hasAnswer ? args.slice(0, -1) : args)]);
      };
    const ports = {
      chunks: {
        announce: port('announce'),
        put: port('put'),
        pin: port('pin'),
        get: port('store'),
        dropBefore: port('drop'),
      },
      cache: { get: port('cache'), keep: port('keep') },
      askPeer: port('peer'),
    } as unknown as Ports;
    return { calls, answers, ports };
  }

  const fetched = { call: 7, generation: 'g/1/2' };
  it.each<[Effect, unknown[], unknown, Input]>([
    [
      { kind: 'announce', call: 7, id: '1-2-3', reused: [hash] },
      ['announce', '1-2-3', [hash]],
      { standing: ['1-1-1'] },
      { kind: 'announced', call: 7, result: { standing: ['1-1-1'] } },
    ],
    [
      { kind: 'put-chunk', call: 7, hash, bytes },
      ['put', hash, bytes],
      'no space left',
      { kind: 'chunk-put', call: 7, failure: 'no space left' },
    ],
    [
      { kind: 'pin', call: 7, id: '1-2-3', chunks: [hash] },
      ['pin', '1-2-3', [hash]],
      null,
      { kind: 'pinned', call: 7, failure: null },
    ],
    [
      { kind: 'fetch', ...fetched, source: { kind: 'cache' }, hash },
      ['cache', hash],
      { kind: 'none' },
      { kind: 'fetched', ...fetched, result: { kind: 'none' } },
    ],
    [
      { kind: 'fetch', ...fetched, source: { kind: 'store' }, hash },
      ['store', hash],
      { kind: 'chunk', bytes },
      { kind: 'fetched', ...fetched, result: { kind: 'chunk', bytes } },
    ],
    [
      { kind: 'fetch', ...fetched, source: { kind: 'peer', node: 'n5' }, hash },
      ['peer', 'n5', hash],
      { kind: 'failed', reason: 'no responders' },
      { kind: 'fetched', ...fetched, result: { kind: 'failed', reason: 'no responders' } },
    ],
  ])(
    '$kind goes to its port, and the answer comes with its call',
    (effect, call, answer, input) => {
      const { calls, answers, ports } = chunkPorts();
      const fed: Input[] = [];
      expect(execute(effect, ports, new Map(), (each) => void fed.push(each))).toBeNull();
      expect([calls, fed]).toEqual([[call], []]);
      answers[0]?.(answer as never);
      expect(fed).toEqual([input]);
    },
  );

  it.each<[Effect, unknown[]]>([
    [{ kind: 'keep-chunk', hash, bytes }, ['keep', hash, bytes]],
    [{ kind: 'drop-snapshots', before: '1-2-3' }, ['drop', '1-2-3']],
  ])('$kind goes to its port, which answers nothing', (effect, call) => {
    const { calls, ports } = chunkPorts();
    expect(execute(effect, ports, new Map(), () => undefined)).toBeNull();
    expect(calls).toEqual([call]);
  });
});

it('what is not for the ports comes back', () => {
  const effect = { kind: 'close' } as const;
  expect(execute(effect, {} as Ports, new Map(), () => undefined)).toBe(effect);
});
