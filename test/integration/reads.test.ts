/** Reads from any member: what each consistency promises, and what a token carries along (P11). */
import { connect } from 'nats';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import type { GroupDocument } from '../../cluster/documents.js';
import { createClient } from '../../src/client/client.js';
import type { GroupClient } from '../../src/client/group.js';
import type { counter } from '../../src/kinds/counter.js';
import { clusterOfFile } from '../support/cluster.js';
import { CommandProcess } from '../support/command.js';
import { until } from '../support/until.js';

type Counter = GroupClient<typeof counter>;

const standby = { consistency: 'standby' } as const;
/** Longer than a hot standby waits before it says that it does not have the seq. */
const timeoutMs = 1500;
const consistencies = ['linearizable', 'local', 'standby'] as const;

const shared = clusterOfFile();
let count = 0;
/** A hot group of its own for each test. */
let group: GroupDocument;
let name: string;

beforeEach(async () => {
  name = `hot-${++count}`;
  group = await shared().createGroup({ name, kind: 'counter', standby: 'hot' });
});

/** A client that has seen nothing. */
async function freshClient(): Promise<Counter> {
  const client = await createClient({ servers: shared().broker.url });
  onTestFinished(() => client.close(0));
  return client.group<typeof counter>(name);
}

const standbyIndexes = () =>
  group.members.map(({ index }) => index).filter((index) => index !== group.activeIndex);

test('the standbys of a hot group share the reads, and each says which state it saw', async () => {
  expect(group.standby).toBe('hot');
  const writer = await freshClient();
  await writer.deliver({ by: 5 });
  const answered = new Set<number>();
  await until('both standbys have answered', async () => {
    const answer = await writer.query('get', undefined, standby);
    expect(answer).toMatchObject({ value: { total: 5, count: 1 }, seq: 1, epoch: 1 });
    answered.add(answer.member);
    return answered.size === 2;
  });
  expect([...answered].sort()).toEqual(standbyIndexes());
});

test('a client sees each of its own writes at once, whichever member answers', async () => {
  const writer = await freshClient();
  for (let n = 1; n <= 200; n++) {
    const { seq } = await writer.deliver({ by: 1 });
    const consistency = n % 2 === 0 ? 'standby' : 'local';
    const { value, seq: seen } = await writer.query('get', undefined, { consistency });
    expect(seen).toBeGreaterThanOrEqual(seq);
    expect(value).toEqual({ total: seen, count: seen });
  }
});

test('a token carries what was seen into another process, over NATS, HTTP and the command', async () => {
  const writer = await freshClient();
  for (let n = 1; n <= 50; n++) {
    await writer.deliver({ by: 1 });
    const reader = await freshClient();
    const read = { ...standby, after: writer.token };
    const { value, seq } = await reader.query('get', undefined, read);
    expect(seq).toBeGreaterThanOrEqual(n);
    expect(value.total).toBe(seq);
  }
  const url = shared().nodes[0]?.adminUrl as string;
  const delivery = await fetch(`${url}/v1/groups/${name}/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"by":1}',
  });
  const token = delivery.headers.get('understudy-token') as string;
  const other = shared().nodes[1]?.adminUrl as string;
  const state = await fetch(`${other}/v1/groups/${name}/state?consistency=standby`, {
    headers: { 'understudy-token': token },
  });
  const whole = (await state.json()) as { seq: number; member: number; value: unknown };
  expect(whole).toMatchObject({ value: { total: 51 }, seq: 51 });
  expect(standbyIndexes()).toContain(whole.member);
  const args = ['query', name, 'get', '--consistency', 'standby', '--after', token, '--json'];
  const command = new CommandProcess(['--url', other, ...args]);
  await command.exited;
  expect(JSON.parse(command.stdout)).toMatchObject({ value: { total: 51 }, seq: 51, token });
});

test.each(consistencies)('a %s read waits for a seq that is not there yet', async (consistency) => {
  const reader = await freshClient();
  const read = { consistency, minSeq: 1 };
  const early = reader.query('get', undefined, { ...read, timeoutMs });
  await expect(early).rejects.toMatchObject({ code: 'not-ready', advice: 'retry' });
  const patient = reader.query('get', undefined, { ...read, timeoutMs: 20_000 });
  await (await freshClient()).deliver({ by: 7 });
  expect(await patient).toMatchObject({ value: { total: 7 }, seq: 1 });
});

test.each(consistencies)(
  'a %s read after a token of another log is not answered with older data',
  async (consistency) => {
    await (await freshClient()).deliver({ by: 1 });
    // The same seqs in an epoch that never was, and a seq that never was in an epoch of ours.
    const early = ['1.9.1', '1.1.9'].flatMap((after) => {
      const read = { consistency, after, timeoutMs };
      const reading = freshClient().then((reader) => reader.query('get', undefined, read));
      return [reading, shared().admin.state(name, read)];
    });
    // All at once: each waits until its time is over.
    const refused = { status: 'rejected', reason: { code: 'not-ready' } };
    expect(await Promise.allSettled(early)).toMatchObject([refused, refused, refused, refused]);
    const past = shared().admin.state(name, { at: 1, after: '1.9.1' });
    await expect(past).rejects.toMatchObject({ code: 'not-ready' });
    expect(await shared().admin.state(name, { at: 1, after: '1.1.1' })).toMatchObject({ seq: 1 });
  },
);

test('plain requests: the active answers standby reads too, standbys answer nothing else', async () => {
  await (await freshClient()).deliver({ by: 3 });
  const connection = await connect({ servers: shared().broker.url });
  onTestFinished(() => connection.close());
  const ask = async (subject: string, body: object) => {
    const answer = await connection.request(subject, JSON.stringify(body), { timeout: 5000 });
    return answer.json();
  };
  const atActive = { name: 'get', consistency: 'standby', minSeq: 1 };
  const answer = { value: { total: 3 }, seq: 1, epoch: 1 };
  expect(await ask(`understudy.query.${name}`, atActive)).toMatchObject({
    ...answer,
    member: group.activeIndex,
  });
  const fromStandby = await ask(`understudy.read.${name}`, { name: 'get', after: '1.1.1' });
  expect(fromStandby).toMatchObject(answer);
  expect(standbyIndexes()).toContain((fromStandby as { member: number }).member);
  const wrong = await ask(`understudy.read.${name}`, { name: 'get', consistency: 'local' });
  expect(wrong).toMatchObject({ code: 'bad-request', detail: expect.stringMatching(/local/) });
  for (const bad of [{ after: 'x' }, { after: 7 }, { minSeq: -1 }, { minSeq: '1' }]) {
    const refused = await ask(`understudy.query.${name}`, { name: 'get', ...bad });
    expect(refused).toMatchObject({ code: 'bad-request' });
  }
});

test('without a standby that holds a state, reads say so and name the way out', async () => {
  const cluster = shared();
  const spec = { name: 'two', kind: 'counter', memberCount: 2, standby: 'hot' } as const;
  const two = await cluster.createGroup(spec);
  await Promise.all(cluster.standbysOf(two).map((node) => node.kill()));
  const alone = (await cluster.client()).group<typeof counter>('two');
  const nobody = alone.query('get', undefined, { ...standby, timeoutMs: 500 });
  await expect(nobody).rejects.toMatchObject({
    code: 'not-ready',
    message: expect.stringMatching(/no standby of .* serves reads.*consistency local/),
  });
  expect(await alone.query('get', undefined, { consistency: 'local' })).toMatchObject({ seq: 0 });
});

test('through a failover no reader goes back in time, and none misses its own writes', async () => {
  const cluster = shared();
  const seen: number[][] = [];
  let stopping = false;
  const work = async (consistency: 'local' | 'standby') => {
    const mine = (await cluster.client()).group<typeof counter>(name);
    const seqs: number[] = [];
    seen.push(seqs);
    while (!stopping) {
      const { seq } = await mine.deliver({ by: 1 });
      const answer = await mine.query('get', undefined, { consistency });
      expect(answer.seq).toBeGreaterThanOrEqual(seq);
      expect(answer.value).toEqual({ total: answer.seq, count: answer.seq });
      seqs.push(seq, answer.seq);
    }
  };
  const workers = Promise.all([work('local'), work('standby'), work('standby')]);
  const more = (least: number) =>
    until('more reads', () => seen.length === 3 && seen.every(({ length }) => length > least));
  await Promise.race([more(100), workers]);
  await cluster.activeOf(group).kill();
  await cluster.after(name, group.epoch);
  const most = Math.max(...seen.map(({ length }) => length));
  await Promise.race([more(most + 100), workers]);
  stopping = true;
  await workers;
  for (const seqs of seen) expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
}, 60_000);
