import { headers, type Msg } from 'nats';
import { expect, it } from 'vitest';
import { position } from '../../../replication/ids.js';
import { replay } from '../../../src/nats/replay.js';
import type { OnReply, Reply } from '../../../src/nats/requests.js';

interface Sent {
  readonly at: number;
  readonly previous: number;
}

function recordReply({ at, previous }: Sent): Reply {
  const fields = headers();
  fields.set('Nats-Sequence', String(at));
  fields.set('Nats-Last-Sequence', String(previous));
  return { kind: 'message', message: { data: Uint8Array.of(at), headers: fields } as Msg };
}

const status = (code: number, description: string): Reply => ({
  kind: 'message',
  message: { data: new Uint8Array(0), headers: headers(code, description) } as Msg,
});
const endOfBatch = status(204, 'EOB');
const notFound = status(404, 'Message Not Found');
const chained = (...positions: number[]): Reply[] =>
  positions.map((at, i) => recordReply({ at, previous: positions[i - 1] ?? 0 }));

interface Run {
  readonly positions: number[];
  readonly failure: string | null;
  /** Where each request wanted to start. */
  readonly asked: number[];
  /** What the reader said to the last reply of each request. */
  readonly verdicts: string[];
}

/** Replays (0, through] from answers prepared for one request after the other. */
function run(through: number, answers: readonly (readonly Reply[])[]): Promise<Run> {
  const asked: number[] = [];
  const verdicts: string[] = [];
  const positions: number[] = [];
  const send = (_subject: string, query: Uint8Array | string, onReply: OnReply) => {
    const replies = answers[asked.length] ?? [notFound];
    asked.push((JSON.parse(query as string) as { seq: number }).seq);
    setImmediate(() => {
      let verdict = '';
      for (const reply of replies) if (verdict !== 'done') verdict = onReply(reply);
      verdicts.push(verdict);
    });
  };
  const options = { stream: 's', subject: 'g', patienceMs: 150, after: position(0) };
  return new Promise((done) => {
    const sink = {
      records: (batch: readonly { readonly position: number }[]) =>
        void positions.push(...batch.map((record) => record.position)),
      end: (failure: string | null) =>
        setImmediate(() => done({ positions, failure, asked, verdicts })),
    };
    replay({ bulk: { send, isClosed: false }, ...options, through: position(through), sink });
  });
}

it('goes on where a batch ended', async () => {
  const result = await run(9, [[...chained(2, 5), endOfBatch], chained(7, 9)]);
  expect(result).toMatchObject({ positions: [2, 5, 7, 9], failure: null, asked: [1, 6] });
});

it('asks again for what was lost on the way, at the start and in the middle', async () => {
  const [, second, third, fourth] = chained(1, 2, 3, 4) as [Reply, Reply, Reply, Reply];
  const result = await run(4, [
    [second, third, fourth, endOfBatch],
    [...chained(1, 2), fourth],
    chained(3, 4),
  ]);
  expect(result).toMatchObject({ positions: [1, 2, 3, 4], failure: null, asked: [1, 1, 3] });
});

it('tries again while a replica lags, then says how far it got', async () => {
  const caughtUp = await run(2, [
    [notFound],
    [...chained(1), endOfBatch],
    [endOfBatch],
    chained(2),
  ]);
  expect(caughtUp).toMatchObject({ positions: [1, 2], failure: null, asked: [1, 1, 2, 2] });
  const never = await run(2, [[...chained(1), endOfBatch]]);
  expect(never.positions).toEqual([1]);
  expect(never.failure).toContain('at position 1 of 2');
});

it('keeps nothing past the end, and lets the rest of the batch through', async () => {
  const result = await run(3, [chained(1, 3, 4, 5)]);
  expect(result).toMatchObject({ positions: [1, 3], failure: null, verdicts: ['more'] });
  const whole = await run(3, [[...chained(1, 3, 4), endOfBatch]]);
  expect(whole.verdicts).toEqual(['done']);
});

it('ends where the end is skipped: a later record proves that there is no more', async () => {
  expect(await run(3, [chained(1, 4)])).toMatchObject({ positions: [1], failure: null });
});

it('fails at once when positions do not increase', async () => {
  const wrong = recordReply({ at: 5, previous: 5 });
  const result = await run(9, [[...chained(2, 5), wrong]]);
  expect(result.positions).toEqual([2, 5]);
  expect(result.failure).toContain('positions must increase');
});
