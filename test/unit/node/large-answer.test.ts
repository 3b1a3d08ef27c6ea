/** An answer that the broker would not take must cost its caller an error, and the member nothing. */
import type { Msg, NatsConnection } from 'nats';
import { describe, expect, test } from 'vitest';
import {
  type Batch,
  type BatchAnswer,
  decodeAnswer,
  encodeBatch,
  encodeValue,
} from '../../../replication/batch.js';
import { namesFor } from '../../../src/nats/subjects.js';
import { Intake } from '../../../src/node/intake.js';
import type { MemberDriver } from '../../../src/node/member-driver.js';

const maxPayload = 1000;

const large: BatchAnswer = {
  ok: true,
  runs: [
    {
      first: 1,
      count: 1,
      epoch: 1,
      baseSeq: 0,
      eventCounts: null,
      results: ['x'.repeat(maxPayload)],
      rejections: null,
      duplicate: false,
    },
  ],
};

/** Hands one request to an intake whose member answers `large`; returns what was sent back. */
function answerTo(data: Uint8Array): Uint8Array {
  let onDeliver: ((error: null, message: Msg) => void) | undefined;
  const connection = {
    subscribe(subject: string, { callback }: { callback: typeof onDeliver }) {
      if (subject === 'understudy.deliver.g') onDeliver = callback;
      return { unsubscribe: () => undefined };
    },
  } as unknown as NatsConnection;
  const driver = {
    deliver: (_batch: Batch, answer: (answer: BatchAnswer) => void) => answer(large),
  } as unknown as MemberDriver;
  new Intake(connection, namesFor('understudy'), 'g', 0, driver);
  const sent: Uint8Array[] = [];
  const respond = (answer: Uint8Array | string) => {
    const bytes = Buffer.from(answer as string);
    if (bytes.length > maxPayload) throw new Error('max_payload size exceeded');
    sent.push(bytes);
    return true;
  };
  onDeliver?.(null, { data, respond } as unknown as Msg);
  expect(sent).toHaveLength(1);
  return sent[0] as Uint8Array;
}

describe('an answer that is larger than a message', () => {
  test('to a batch is refused as too large', () => {
    const blob = encodeValue({ by: 1 });
    const batch = { session: 's', floor: 1, first: 1, count: 1, keys: null, blob };
    const answer = decodeAnswer(answerTo(encodeBatch(batch)));
    expect(answer).toMatchObject({ ok: false, code: 'too-large' });
    expect(answer).toHaveProperty('detail', expect.stringMatching(/commands are done/));
  });

  test('to a JSON event is refused as too large', () => {
    const answer = answerTo(Buffer.from('{"by":1}'));
    expect(JSON.parse(Buffer.from(answer).toString())).toMatchObject({ code: 'too-large' });
  });
});
