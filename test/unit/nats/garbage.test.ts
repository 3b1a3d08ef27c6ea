import { describe, expect, it } from 'vitest';
import { type Position, position } from '../../../replication/ids.js';
import type { Pin } from '../../../replication/ports.js';
import { natsGarbage } from '../../../src/nats/garbage.js';
import { decodePin, encodePin, type PinKind } from '../../../src/nats/pins.js';
import type { OnReply, Reply } from '../../../src/nats/requests.js';
import { namesFor } from '../../../src/nats/subjects.js';
import { sampleSize } from '../../support/sample.js';
import { type Random, seededRandom } from '../../support/scheduler.js';
import { answered, lost, message, status } from './fake-replies.js';

const names = namesFor('u');
type Send = (subject: string, payload: Uint8Array | string, onReply: OnReply) => void;
type Result = readonly Pin[] | { readonly failure: string };

const readPins = (
  send: Send,
  through: number,
  options: { readonly staleAfterMs?: number; readonly patienceMs?: number } = {},
  isClosed = false,
) =>
  new Promise<Result>((done) => {
    const garbage = natsGarbage({ bulk: { send, isClosed }, names, patienceMs: 300, ...options });
    garbage.pins(position(through), done);
  });

interface Stored {
  readonly at: number;
  readonly previous: number;
  readonly kind?: PinKind;
  readonly storedAtMs?: number;
}

function pinReply({ at, previous, kind = 'whole', storedAtMs = Date.now() }: Stored): Reply {
  return message(encodePin({ kind, chunks: [Uint8Array.of(at)] }), {
    'Nats-Sequence': at,
    'Nats-Last-Sequence': previous,
    'Nats-Subject': `u.pin.g.1-${at}-1.open`,
    'Nats-Time-Stamp': new Date(storedAtMs).toISOString(),
  });
}

const end = (previous: number, pending = 0) =>
  status(204, 'EOB', { 'Nats-Last-Sequence': previous, 'Nats-Num-Pending': pending });
const notFound = status(404, 'Message Not Found');
const chained = (...positions: readonly number[]): Reply[] =>
  positions.map((at, i) => pinReply({ at, previous: positions[i - 1] ?? 0 }));

/** Answers prepared for one request to read after the other; marks are stored at 100, 101 … */
function prepared(...answers: readonly (readonly Reply[])[]) {
  const asked: number[] = [];
  const other: { readonly subject: string; readonly payload: Uint8Array | string }[] = [];
  const send: Send = (subject, payload, onReply) => {
    if (!subject.includes('DIRECT.GET')) {
      other.push({ subject, payload });
      const reply = answered({ stream: 's', seq: 99 + other.length });
      return void setImmediate(() => void onReply(reply));
    }
    const replies = answers[asked.length] ?? [notFound];
    asked.push((JSON.parse(payload as string) as { seq: number }).seq);
    setImmediate(() => {
      let verdict = 'more';
      for (const reply of replies) if (verdict === 'more') verdict = onReply(reply);
    });
  };
  return { send, asked, other };
}

const places = (result: Result) => ('failure' in result ? result : result.map(({ at }) => at));

describe('reading the pins', () => {
  it('takes one answer that shows the mark and ends with nothing behind it', async () => {
    const { send, asked, other } = prepared([...chained(2, 5, 9), end(9)]);
    expect(places(await readPins(send, 9))).toEqual([2, 5, 9]);
    expect([asked, other]).toEqual([[1], []]);
  });

  it('leaves another mark if it took several answers, and reads on until one is enough', async () => {
    const { send, asked, other } = prepared(
      [...chained(2, 5), end(5, 2)],
      [...chained(7, 9), end(9)],
      [pinReply({ at: 100, previous: 0, kind: 'mark' }), end(100)],
    );
    expect(places(await readPins(send, 9))).toEqual([2, 5, 7, 9]);
    expect(asked).toEqual([1, 6, 10]);
    expect(other.map(({ subject }) => subject)).toEqual(['u.pin.mark']);
  });

  it('reads on where a server that lags has ended, and counts that for nothing', async () => {
    const { send, asked, other } = prepared(
      [notFound],
      [...chained(2, 5), end(5)],
      [lost],
      [...chained(9), end(9)],
    );
    expect(places(await readPins(send, 9))).toEqual([2, 5, 9]);
    expect([asked, other]).toEqual([[1, 1, 6, 6], []]);
  });

  it('throws away an answer of which a part is missing', async () => {
    const [first, , third] = chained(2, 5, 9) as [Reply, Reply, Reply];
    const { send, asked } = prepared(
      [first, third],
      [...chained(2, 5), end(9)],
      [...chained(2, 5, 9), end(9)],
    );
    expect(places(await readPins(send, 9))).toEqual([2, 5, 9]);
    expect(asked).toEqual([1, 1, 1]);
  });

  it('gives up if it gets no further, if it never gets to an end, or at what it cannot read', async () => {
    expect(await readPins(prepared([...chained(2), end(2)]).send, 9)).toEqual({
      failure: expect.stringContaining('at position 2, the mark is at 9'),
    });
    const closed = readPins(prepared().send, 9, { patienceMs: 600_000 }, true);
    expect(await closed).toHaveProperty('failure');
    let at = 0;
    let reads = 0;
    const endless: Send = (subject, _payload, onReply) => {
      at += 1;
      const isMark = subject === names.pinMark;
      if (!isMark) reads += 1;
      const replies = isMark
        ? [answered({ stream: 's', seq: at })]
        : [pinReply({ at, previous: 0 }), end(at, reads % 2)];
      setImmediate(() => {
        for (const reply of replies) onReply(reply);
      });
    };
    expect(await readPins(endless, 1)).toEqual({
      failure: expect.stringContaining('replaced faster'),
    });
    const strange = message(Uint8Array.of(77, 0), { 'Nats-Sequence': 3, 'Nats-Last-Sequence': 2 });
    expect(await readPins(prepared([...chained(2), strange, end(3)]).send, 3)).toEqual({
      failure: expect.stringContaining('the pin at 3 cannot be read'),
    });
  });

  it('gives up an announcement of long ago, where it stands and nowhere else', async () => {
    const [open, hourMs] = ['open' as const, 3_600_000];
    const { send, other } = prepared([
      pinReply({ at: 2, previous: 0, kind: open, storedAtMs: Date.now() - 2 * hourMs }),
      pinReply({ at: 5, previous: 2, kind: open }),
      pinReply({ at: 9, previous: 5, kind: 'whole', storedAtMs: 0 }),
      end(9),
    ]);
    expect(places(await readPins(send, 9, { staleAfterMs: hourMs }))).toEqual([2, 5, 9]);
    await new Promise((done) => setImmediate(done));
    await new Promise((done) => setImmediate(done));
    expect(other.map(({ subject }) => subject)).toEqual([
      'u.pin.g.1-2-1.open',
      '$JS.API.STREAM.PURGE.u_snapshots',
    ]);
    expect(decodePin(other[0]?.payload as Uint8Array)?.kind).toBe('retired');
  });
});

interface Op {
  readonly subject: string;
  /** Null: what is there is removed. */
  readonly at: number | null;
}

/**
 * Three servers that apply the same operations, each as far as it has come, and that go on doing so while
 * they answer. Every group's pin is replaced again and again: the new one first, then the old one goes.
 */
class Servers {
  readonly ops: Op[] = [];
  readonly #applied = [0, 0, 0];
  readonly #pinOf = new Map<number, string>();
  #last = 0;
  #churnLeft = 60;

  constructor(private readonly random: Random) {
    for (let group = 0; group < 5; group++) this.#replace(group);
  }

  #replace(group: number): void {
    const old = this.#pinOf.get(group);
    const subject = `u.pin.${group}.1-${this.#last}-1.whole`;
    this.store(subject);
    this.#pinOf.set(group, subject);
    if (old !== undefined) this.ops.push({ subject: old, at: null });
  }

  store(subject: string): number {
    this.#last += 1;
    this.ops.push({ subject, at: this.#last });
    return this.#last;
  }

  standing(count: number): { readonly subject: string; readonly at: number }[] {
    const standing = new Map<string, number>();
    for (const { subject, at } of this.ops.slice(0, count)) {
      standing.delete(subject);
      if (at !== null) standing.set(subject, at);
    }
    return [...standing].map(([subject, at]) => ({ subject, at })).toSorted((a, b) => a.at - b.at);
  }

  /** Anything may happen between two parts of an answer. */
  #goOn(server: number): void {
    const { random } = this;
    if (random.chance(0.4) && this.#churnLeft-- > 0) this.#replace(random.below(5));
    const behind = this.ops.length - (this.#applied[server] as number);
    if (random.chance(0.7)) (this.#applied[server] as number) += random.below(behind + 1);
  }

  #after(server: number, front: number) {
    this.#goOn(server);
    return this.standing(this.#applied[server] as number).filter(({ at }) => at > front);
  }

  readonly send: Send = (subject, payload, onReply) => {
    setImmediate(() => {
      if (subject === names.pinMark) {
        onReply(answered({ stream: 's', seq: this.store(subject) }));
      } else this.#answer((JSON.parse(payload as string) as { seq: number }).seq - 1, onReply);
    });
  };

  #answer(front: number, onReply: OnReply): void {
    const server = this.random.below(3);
    const most = 1 + this.random.below(6);
    let previous = 0;
    for (let sent = 0; sent < most; sent++) {
      const [next] = this.#after(server, Math.max(front, previous));
      if (next === undefined) break;
      const kind = next.subject === names.pinMark ? 'mark' : 'whole';
      onReply(pinReply({ at: next.at, previous, kind }));
      previous = next.at;
    }
    if (previous === 0) onReply(notFound);
    else onReply(end(previous, this.#after(server, previous).length));
  }
}

describe('reading the pins from three servers while they are replaced', () => {
  it('hands over all that stood at one moment after the mark', async () => {
    const count = sampleSize(300, 100);
    const runs = Array.from({ length: count }, async (_, seed) => {
      const servers = new Servers(seededRandom(`pins ${seed}`));
      const mark = servers.store(names.pinMark);
      const marked = servers.ops.length;
      const result = await readPins(servers.send, mark, { patienceMs: 10_000 });
      if ('failure' in result) throw new Error(result.failure);
      const seen = new Set<Position>(result.map(({ at }) => at));
      const states = Array.from({ length: servers.ops.length + 1 - marked }, (_each, i) =>
        servers.standing(marked + i).filter(({ subject }) => subject !== names.pinMark),
      );
      return states.some((state) => state.every(({ at }) => seen.has(position(at))));
    });
    expect(await Promise.all(runs)).toEqual(Array(count).fill(true));
  });
});
