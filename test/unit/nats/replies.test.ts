import { headers, type Msg } from 'nats';
import { describe, expect, it } from 'vitest';
import { position } from '../../../replication/ids.js';
import { appendOutcome, failureOf, plain } from '../../../src/nats/replies.js';
import type { Reply } from '../../../src/nats/requests.js';

const answered = (body: unknown): Reply => {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return { kind: 'message', message: { data: new TextEncoder().encode(text) } as Msg };
};
const refused = (code: number, description = 'why') =>
  answered({ error: { code: 400, err_code: code, description }, stream: 's', seq: 0 });
const noResponders: Reply = {
  kind: 'message',
  message: { data: new Uint8Array(0), headers: headers(503, 'No Responders') } as Msg,
};

describe('the outcome of an append', () => {
  it('is the position when acknowledged', () => {
    const outcome = appendOutcome(answered({ stream: 's', seq: 7 }));
    expect(outcome).toEqual({ kind: 'stored', position: position(7) });
  });

  it.each<[string, Reply, string]>([
    ['a wrong last sequence', refused(10071), 'wrong-last'],
    ['a conflict in flight', refused(10164), 'busy'],
    ['no responders', noResponders, 'not-stored'],
    ['never sent', { kind: 'not-sent', reason: 'x' }, 'not-stored'],
    ['no answer', { kind: 'lost', reason: 'x' }, 'unknown'],
    ['a missing permission', { kind: 'denied', reason: 'x' }, 'refused'],
    ['a full store', refused(10077, 'maximum bytes exceeded'), 'refused'],
    ['a failing disk', refused(10077, 'no space left on device'), 'unknown'],
    ['insufficient storage', refused(10047), 'refused'],
    ['insufficient resources', refused(10023), 'refused'],
    ['a message that is too large', refused(10054), 'refused'],
    ['an error nobody has classified', refused(10999), 'unknown'],
    ['an acknowledgement without a position', answered({ stream: 's' }), 'unknown'],
    ['something that is not JSON', answered('what?'), 'unknown'],
  ])('of %s', (_name, reply, kind) => {
    expect(appendOutcome(reply).kind).toBe(kind);
  });

  it('says why it was refused', () => {
    expect(appendOutcome(refused(10077, 'maximum bytes exceeded'))).toEqual({
      kind: 'refused',
      reason: 'maximum bytes exceeded (10077)',
    });
  });
});

it('tells a failure from an answer', () => {
  expect(failureOf(answered({}))).toBeNull();
  expect(failureOf(noResponders)).toContain('no responders');
  expect(failureOf({ kind: 'lost', reason: 'too late' })).toBe('too late');
});

it('hands over bytes whose slice is a copy', () => {
  const bytes = plain(Buffer.from('abc'));
  bytes.slice()[0] = 0;
  expect(new TextDecoder().decode(bytes)).toBe('abc');
});
