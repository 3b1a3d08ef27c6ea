import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { UnderstudyError } from '../../replication/errors.js';
import { type Carrier, Courier, type Refusal } from '../../src/client/courier.js';
import { Timeout } from '../../src/client/errors.js';
import type { Correspondent, LinkProblem } from '../../src/client/link.js';
import { Request } from '../../src/client/request.js';

interface Fine {
  readonly ok: true;
  readonly text: string;
}

/** Records what is sent; the test replies by hand. */
class FakeCarrier implements Carrier {
  up = true;
  problem: LinkProblem | undefined;
  /** `<payload's text>#<attempt>`, in order. */
  sent: string[] = [];
  readonly #ids = new Map<string, number>();
  correspondent: Correspondent | undefined;

  join(correspondent: Correspondent): number {
    this.correspondent = correspondent;
    return 0;
  }

  send(_from: number, id: number, attempt: number, _subject: string, payload: Uint8Array) {
    if (this.problem) return this.problem;
    const text = Buffer.from(payload).toString();
    this.#ids.set(text, id);
    this.sent.push(`${text}#${attempt}`);
    return undefined;
  }

  reply(to: string, attempt: number, reply: Fine | Omit<Refusal, 'ok'> | null): void {
    const id = this.#ids.get(to) ?? 0;
    const data = reply && Buffer.from(JSON.stringify({ ok: false, ...reply }));
    this.correspondent?.onReply(id, attempt, data);
  }

  /** What was sent since the last look. */
  news(): string[] {
    return this.sent.splice(0);
  }
}

const moved = { code: 'moved', detail: 'not here' } as const;
const fine: Fine = { ok: true, text: 'done' };

let carrier: FakeCarrier;
let courier: Courier<Fine>;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  carrier = new FakeCarrier();
  courier = new Courier(carrier, 'deliver.g', (data) => JSON.parse(Buffer.from(data).toString()));
});

afterEach(() => {
  vi.useRealTimers();
});

function carry(text: string, { repeatable = true, timeoutMs = 30_000 } = {}): Promise<Fine> {
  const request = new Request<Fine>(Buffer.from(text), repeatable, timeoutMs);
  // Whoever expects a failure looks at it later.
  request.answer.catch(() => {});
  courier.carry(request);
  return request.answer;
}

async function failureOf(answer: Promise<Fine>): Promise<UnderstudyError> {
  return (await answer.then(
    () => expect.fail('was answered'),
    (error: unknown) => error,
  )) as UnderstudyError;
}

test('sends again after 2, 3, 4 and 5 seconds without an answer, each time the same', async () => {
  const answer = carry('a', { timeoutMs: 60_000 });
  const sendTimes: number[] = [];
  for (let second = 0; second < 25; second++) {
    sendTimes.push(...carrier.news().map(() => second));
    vi.advanceTimersByTime(1000);
  }
  expect(sendTimes).toEqual([0, 2, 5, 9, 14, 19, 24]);
  carrier.reply('a', 1, fine);
  expect(await answer).toEqual(fine);
});

test('a refusal that took nothing makes all that follow wait, and they go out in order', () => {
  void carry('a');
  carrier.reply('a', 1, moved);
  void carry('b');
  void carry('c');
  expect(carrier.news()).toEqual(['a#1']);
  vi.advanceTimersByTime(5);
  expect(carrier.news()).toEqual(['a#2', 'b#1', 'c#1']);
});

test('one resend for each attempt: repeated and stale refusals count for nothing', () => {
  void carry('a');
  carrier.reply('a', 1, moved);
  carrier.reply('a', 1, moved);
  vi.advanceTimersByTime(5);
  expect(carrier.news()).toEqual(['a#1', 'a#2']);
  carrier.reply('a', 1, moved);
  vi.advanceTimersByTime(1000);
  expect(carrier.news()).toEqual([]);
});

test('without an active it asks less and less often, in the end every 125 to 250 ms', () => {
  void carry('a');
  let asked = 0;
  for (let ms = 0; ms < 10_000; ms++) {
    for (const _ of carrier.news()) carrier.reply('a', ++asked, null);
    vi.advanceTimersByTime(1);
  }
  expect(asked).toBeGreaterThanOrEqual(10_000 / 250);
  expect(asked).toBeLessThanOrEqual(10_000 / 125 + 7);
});

test('a notice that an active has opened ends the wait at once', () => {
  courier.opened(3);
  void carry('a');
  void carry('b');
  carrier.reply('a', 1, null);
  carrier.reply('b', 1, null);
  carrier.news();
  courier.opened(3);
  expect(carrier.news()).toEqual(['a#2', 'b#2']);
});

test('a higher epoch sends again what an earlier active may hold, the same epoch does not', () => {
  courier.opened(3);
  void carry('a');
  void carry('b');
  carrier.news();
  courier.opened(3);
  expect(carrier.news()).toEqual([]);
  courier.opened(4);
  expect(carrier.news()).toEqual(['a#2', 'b#2']);
  courier.opened(2);
  expect(carrier.news()).toEqual([]);
});

test('the answer of any attempt counts, and only the first', async () => {
  courier.opened(1);
  const answer = carry('a');
  courier.opened(2);
  carrier.reply('a', 2, moved);
  carrier.reply('a', 1, fine);
  carrier.reply('a', 2, { code: 'internal', detail: 'too late to matter' });
  expect(await answer).toEqual(fine);
  carrier.news();
  vi.advanceTimersByTime(60_000);
  expect(carrier.news()).toEqual([]);
});

test('while the connection is down nothing is sent; when it is back everything is, in order', () => {
  void carry('a');
  carrier.up = false;
  void carry('b');
  vi.advanceTimersByTime(20_000);
  expect(carrier.news()).toEqual(['a#1']);
  carrier.up = true;
  courier.onReconnect();
  expect(carrier.news()).toEqual(['a#2', 'b#1']);
});

test('a timeout says whether anybody can have received it', async () => {
  const unheard = carry('unheard', { timeoutMs: 100 });
  carrier.reply('unheard', 1, null);
  carrier.up = false;
  vi.advanceTimersByTime(100);
  carrier.up = true;
  const heard = carry('heard', { timeoutMs: 100 });
  carrier.reply('heard', 1, moved);
  vi.advanceTimersByTime(100);
  const [first, second] = [await failureOf(unheard), await failureOf(heard)];
  expect(first).toBeInstanceOf(Timeout);
  expect(first).toMatchObject({ code: 'timeout', advice: 'retry', outcome: 'not-taken' });
  expect(second).toMatchObject({ code: 'timeout', outcome: 'unknown' });
  expect(second.message).toContain('moved: not here');
});

test('what would count twice is sent again only if nobody was there', async () => {
  const answer = carry('once', { repeatable: false });
  carrier.reply('once', 1, null);
  vi.advanceTimersByTime(5);
  expect(carrier.news()).toEqual(['once#1', 'once#2']);
  courier.opened(7);
  courier.onReconnect();
  vi.advanceTimersByTime(20_000);
  expect(carrier.news()).toEqual([]);
  carrier.reply('once', 2, moved);
  expect(await failureOf(answer)).toMatchObject({ code: 'not-ready' });
});

test('a final refusal does not hide that an earlier attempt may have been taken', async () => {
  const clear = carry('clear');
  carrier.reply('clear', 1, { code: 'quarantined', detail: 'poison at 7' });
  expect(await failureOf(clear)).toMatchObject({
    code: 'quarantined',
    details: { outcome: 'not-taken' },
  });
  const doubtful = carry('doubtful');
  vi.advanceTimersByTime(2000);
  carrier.reply('doubtful', 2, { code: 'quarantined', detail: 'poison at 7' });
  expect(await failureOf(doubtful)).toMatchObject({ details: { outcome: 'unknown' } });
});

test('a reply that cannot be read, a message that cannot be sent', async () => {
  const garbled = carry('garbled');
  carrier.correspondent?.onReply(1, 1, Buffer.from('{'));
  expect(await failureOf(garbled)).toMatchObject({ code: 'internal' });
  carrier.problem = { code: 'too-large', detail: 'raise max_payload' };
  expect(await failureOf(carry('big'))).toMatchObject({
    code: 'too-large',
    details: { outcome: 'not-taken' },
  });
});

test('closing fails what is left', async () => {
  const sent = carry('sent');
  carrier.up = false;
  const held = carry('held');
  courier.close();
  expect(await failureOf(sent)).toMatchObject({ code: 'timeout', outcome: 'unknown' });
  expect(await failureOf(held)).toMatchObject({ code: 'timeout', outcome: 'not-taken' });
});

describe('reads', () => {
  const behind = { code: 'not-ready', detail: 'at seq 1, asked for 2' } as const;

  beforeEach(() => {
    courier = new Courier(carrier, 'read.g', (data) => JSON.parse(Buffer.from(data).toString()), {
      unordered: true,
      late: ({ code, detail }) => (code === 'not-ready' ? new UnderstudyError(code, detail) : null),
    });
  });

  test('one that asks for what is not there yet waits alone', async () => {
    const early = carry('early');
    carrier.reply('early', 1, behind);
    const other = carry('other');
    expect(carrier.news()).toEqual(['early#1', 'other#1']);
    carrier.reply('other', 1, fine);
    expect(await other).toEqual(fine);
    vi.advanceTimersByTime(10);
    expect(carrier.news()).toEqual(['early#2']);
    carrier.reply('early', 2, fine);
    expect(await early).toEqual(fine);
  });

  test('it asks less and less often, in the end every 125 to 250 ms', () => {
    void carry('early', { timeoutMs: 60_000 });
    let asked = 0;
    for (let ms = 0; ms < 10_000; ms++) {
      for (const _ of carrier.news()) carrier.reply('early', ++asked, behind);
      vi.advanceTimersByTime(1);
    }
    expect(asked).toBeGreaterThanOrEqual(10_000 / 250);
    expect(asked).toBeLessThanOrEqual(10_000 / 125 + 7);
  });

  test('where nobody is there, all wait together', () => {
    void carry('a');
    carrier.reply('a', 1, null);
    void carry('b');
    expect(carrier.news()).toEqual(['a#1']);
    vi.advanceTimersByTime(5);
    expect(carrier.news()).toEqual(['a#2', 'b#1']);
  });

  test('a known reason goes before a timeout', async () => {
    const early = carry('early', { timeoutMs: 100 });
    carrier.reply('early', 1, behind);
    const silent = carry('silent', { timeoutMs: 100 });
    vi.advanceTimersByTime(100);
    expect(await failureOf(early)).toMatchObject({ code: 'not-ready', message: behind.detail });
    expect(await failureOf(silent)).toMatchObject({ code: 'timeout' });
  });
});
