import { describe, expect, it } from 'vitest';
import { position } from '../../../replication/ids.js';
import { natsLog } from '../../../src/nats/log.js';
import { paceLimits } from '../../../src/nats/pace.js';
import type { OnReply, Reply, Requests, Urgency } from '../../../src/nats/requests.js';
import { answered, lost, noResponders } from './fake-replies.js';

const { soonestMs, latestMs } = paceLimits;

/** A log whose requests are answered by hand, each with the next of these. */
function logWith(replies: Reply[]) {
  const sent: { readonly subject: string; readonly urgency: Urgency | undefined }[] = [];
  const send = (subject: string, _payload: unknown, onReply: OnReply, ...more: unknown[]) => {
    sent.push({ subject, urgency: more[1] as Urgency | undefined });
    onReply(replies.shift() as Reply);
  };
  const control = { send, isClosed: false } as unknown as Requests;
  const tail = { subscribe: () => never(), isClosed: () => false };
  const names = { stream: 's', subject: 'g', tailSubject: 't' };
  return { sent, log: natsLog({ control, bulk: control, tail, ...names }) };
}

const never = (): never => {
  throw new Error('nobody follows it here');
};

const record = answered({ message: { subject: 'g', seq: 7, data: 'eA==' } });
const info = answered({ state: { last_seq: 7 } });
const none = answered({ error: { code: 404, err_code: 10037 } });
const stored = answered({ stream: 's', seq: 8 });
const busy = answered({ error: { code: 400, err_code: 10164 } });
describe('a log that does not answer', () => {
  it('is asked again for what is read, at the same pace for as long as nobody answers', () => {
    const { log, sent } = logWith([lost, lost, noResponders, record, none]);
    const outcomes: string[] = [];
    const note = ({ kind }: { readonly kind: string }) => void outcomes.push(kind);
    for (let i = 0; i < 3; i++) log.next(position(3), note);
    log.last(note);
    log.at(position(9), note);
    expect(outcomes).toEqual(['failed', 'failed', 'failed', 'record', 'none']);
    expect(sent.map(({ urgency }) => urgency)).toEqual(
      Array.from({ length: 5 }, () => ({ againAfterMs: soonestMs })),
    );
  });

  it('is asked again in both parts of a proof', () => {
    const { log, sent } = logWith([info, record]);
    log.prove(position(7), () => {});
    expect(sent).toEqual([
      { subject: '$JS.API.STREAM.INFO.s', urgency: { againAfterMs: soonestMs } },
      { subject: '$JS.API.STREAM.MSG.GET.s', urgency: { againAfterMs: soonestMs } },
    ]);
  });

  it('leaves an append unknown: soon at first, then later, until one is acknowledged', () => {
    const { log, sent } = logWith([lost, lost, busy, lost, stored, stored]);
    const outcomes: string[] = [];
    for (let i = 0; i < 6; i++) {
      log.append(new Uint8Array(8), position(7), ({ kind }) => void outcomes.push(kind));
    }
    expect(outcomes).toEqual(['unknown', 'unknown', 'busy', 'unknown', 'stored', 'stored']);
    expect(sent.map(({ urgency }) => urgency)).toEqual(
      [soonestMs, 2 * soonestMs, latestMs, latestMs, latestMs, soonestMs].map((lostAfterMs) => ({
        lostAfterMs,
      })),
    );
  });
});
