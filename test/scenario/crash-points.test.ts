/** A client that repeats its batch after the death of whoever had it, wherever that death came between. */
import { describe, expect, it, test } from 'vitest';
import {
  type Batch,
  type BatchAnswer,
  type CommandAnswer,
  eachValue,
  unpackRun,
} from '../../replication/batch.js';
import type { LogRecord, RecordedRun } from '../../replication/record.js';
import type { TraceCommand } from '../simulation/kind.js';
import { type Shape, Stage, type StageOptions } from './stage.js';

interface Scene {
  readonly stage: Stage;
  readonly batches: readonly Batch[];
  /** The answers that reached the client, by batch. */
  readonly answers: (readonly CommandAnswer[])[][];
}

/** Three events, of which the standbys have two from a snapshot, and a batch or several to be sent. */
function scene(shapes: readonly (readonly Shape[])[], options: StageOptions = {}): Scene {
  const stage = new Stage(options);
  stage.events(2);
  stage.sync();
  stage.events(1);
  const whole = stage.batch(...shapes.flat());
  const batches = cut(
    whole,
    shapes.map(({ length }) => length),
  );
  return { stage, batches, answers: batches.map(() => []) };
}

/** One batch as several that a client has on their way together. */
function cut({ blob, first, ...rest }: Batch, counts: readonly number[]): Batch[] {
  const ends = [0];
  eachValue(blob, (_, __, end) => ends.push(end));
  let done = 0;
  return counts.map((count) => {
    const part = blob.slice(ends[done], ends[done + count]);
    const batch = { ...rest, first: first + done, count, blob: part };
    done += count;
    return batch;
  });
}

/** In order, to whoever is the active now; if nobody is, they are lost. */
function send({ stage, batches, answers }: Scene): void {
  for (const [i, batch] of batches.entries()) {
    const { active } = stage;
    if (active === null) return;
    stage.host(active).deliver(stage.group, batch, (answer: BatchAnswer) => {
      if (answer.ok) answers[i]?.push(answer.runs.flatMap(unpackRun));
    });
  }
}

/** Sends the very same again and again until all of it is answered once more. */
function repeat(scene: Scene): (readonly CommandAnswer[])[] {
  const had = scene.answers.map(({ length }) => length);
  const isAnswered = () => scene.answers.every(({ length }, i) => length > (had[i] ?? 0));
  for (let tries = 0; !isAnswered() && tries < 200; tries++) {
    send(scene);
    scene.stage.run(50);
  }
  return scene.answers.map((each) => each.at(-1) ?? []);
}

/** What is the same whenever it was decided: all but the epoch, and that it was known. */
function saidIn(answers: readonly (readonly CommandAnswer[])[]): unknown[] {
  return answers.flat().map((answer) => {
    const { ok, duplicate, ...said } = answer;
    return { ...said, epoch: null };
  });
}

function keyed(scene: Scene, keys: readonly string[]): Scene {
  return { ...scene, batches: scene.batches.map((batch) => ({ ...batch, keys })) };
}

/** The same commands with the same keys, from a client that has lost its session. */
function underAnotherSession({ stage, batches }: Scene, keys: readonly string[]): Scene {
  const checker = stage.world.checker(stage.group);
  const session = 'another';
  const others = batches.map((batch) => {
    let number = 1;
    eachValue(batch.blob, (command) => {
      checker.noteSent(session, number, command as TraceCommand, keys[number - 1]);
      number += 1;
    });
    return { ...batch, session, floor: 1, first: 1 };
  });
  return { stage, batches: others, answers: others.map(() => []) };
}

function runsInLog(stage: Stage): RecordedRun[] {
  return stage.records().flatMap(({ body }) => (body.type === 'events' ? body.runs : []));
}

function keysInLog({ stage }: Scene): (string | null)[] {
  return runsInLog(stage).flatMap(({ keys }) => keys ?? []);
}

/** How often each number of the batches is in the log. */
function timesInLog({ stage, batches }: Scene): number[] {
  const recorded = runsInLog(stage);
  return batches.flatMap(({ session, first, count }) =>
    Array.from({ length: count }, (_, i) => {
      const holds = (run: RecordedRun) =>
        run.session === session && run.first <= first + i && first + i < run.first + run.count;
      return recorded.filter(holds).length;
    }),
  );
}

/** What the client is told if nobody dies. */
function undisturbed(shapes: readonly (readonly Shape[])[]): unknown[] {
  return saidIn(repeat(scene(shapes)));
}

/** After the failover: the first answer if there was one, else the one that there would have been. */
function expectOnce(scene: Scene, expected: unknown[]): void {
  const before = scene.answers.map((each) => each[0]);
  const stored = timesInLog(scene);
  const again = repeat(scene);
  expect(saidIn(again)).toEqual(expected);
  for (const [i, first] of before.entries()) {
    if (first !== undefined) {
      expect(again[i]).toEqual(first.map((each) => ({ ...each, duplicate: true })));
    }
  }
  expect(again.flat().map(({ duplicate }) => duplicate)).toEqual(stored.map((times) => times > 0));
  expect(timesInLog(scene)).toEqual(stored.map(() => 1));
  expect(saidIn(repeat(scene))).toEqual(expected);
}

/** Counts what was found at the points, so that a test knows that it has seen all sorts. */
class Points {
  readonly all: string[] = [];

  note(scene: Scene): void {
    const stored = timesInLog(scene).filter((times) => times > 0).length;
    const answered = scene.answers.filter(({ length }) => length > 0).length;
    const how = stored > 0 ? 'stored' : 'lost';
    this.all.push(answered > 0 ? 'answered' : how);
  }

  get kinds(): string[] {
    return [...new Set(this.all)];
  }
}

/** More than any story has. */
const mostPoints = 200;

/** Tells the story again and again, each time with a death one effect later, until nobody dies of it. */
function atEveryPoint(tell: (effects: number) => { died: boolean; scene: Scene }, check: Check) {
  const points = new Points();
  for (let effects = 0; effects < mostPoints; effects++) {
    const { died, scene } = tell(effects);
    if (!died) return points;
    points.note(scene);
    check(scene);
  }
  throw new Error(`after ${mostPoints} effects it was not over`);
}

type Check = (scene: Scene) => void;

const deliveries: [string, Shape[][]][] = [
  ['one event', [[1]]],
  ['several events', [[3, 1, 3]]],
  ['no event', [[0]]],
  ['events and rejections', [['refused', 1, 'refused', 3, 0]]],
  ['a rejection alone', [['refused']]],
  ['poison', [[1, 'poison', 3]]],
  ['batches that come together', [[1, 3], ['refused', 0], [1], [3, 'poison']]],
];

describe.each(['warm', 'hot'] as const)('with %s standbys', (standby) => {
  describe('the active may die after any effect of a delivery', () => {
    test.each(deliveries)('of %s', (_, shapes) => {
      const expected = undisturbed(shapes);
      const tell = (effects: number) => {
        const each = scene(shapes, { standby });
        const died = each.stage.killAfter(each.stage.active ?? '', effects);
        send(each);
        each.stage.run(200);
        return { died: died(), scene: each };
      };
      const points = atEveryPoint(tell, (each) => {
        each.stage.promoted(2);
        expectOnce(each, expected);
      });
      expect(points.kinds).toEqual(['lost', 'stored', 'answered']);
    });

    test.each(deliveries)('of %s, around a snapshot', (_, shapes) => {
      const expected = undisturbed(shapes);
      const tell = (effects: number) => {
        const each = scene(shapes, { standby });
        const { stage } = each;
        const host = stage.host(stage.active ?? '');
        const died = stage.killAfter(host.name, effects);
        send(each);
        host.input(stage.group, { kind: 'sync', request: host.expect(stage.group) });
        stage.run(200);
        return { died: died(), scene: each };
      };
      const snapshots = new Set<number>();
      const points = atEveryPoint(tell, (each) => {
        each.stage.promoted(2);
        const isOld = ({ body, epoch }: LogRecord) => body.type === 'snapshot' && epoch === 1;
        snapshots.add(each.stage.records().filter(isOld).length);
        expectOnce(each, expected);
      });
      expect(points.kinds).toEqual(['lost', 'stored', 'answered']);
      expect(snapshots.size).toBe(2);
    });
  });

  it('the active may die after any effect, and the keys are sent again under another session', () => {
    const shapes: Shape[][] = [[1, 3, 'refused', 0, 1]];
    const keys = ['a', 'b', 'c', 'd', 'a'];
    const expected = saidIn(repeat(keyed(scene(shapes), keys)));
    const tell = (effects: number) => {
      const each = keyed(scene(shapes, { standby }), keys);
      const died = each.stage.killAfter(each.stage.active ?? '', effects);
      send(each);
      each.stage.run(200);
      return { died: died(), scene: each };
    };
    const points = atEveryPoint(tell, (each) => {
      each.stage.promoted(2);
      const [first] = each.answers[0] ?? [];
      const [again] = repeat(underAnotherSession(each, keys));
      expect(saidIn([again ?? []])).toEqual(expected);
      if (first) expect(again).toEqual(first.map((answer) => ({ ...answer, duplicate: true })));
      expect(saidIn(repeat(each))).toEqual(expected);
      expect(keysInLog(each).sort()).toEqual(['a', 'b', 'c', 'd']);
    });
    expect(points.kinds).toEqual(['lost', 'stored', 'answered']);
  });

  describe('the candidate may die after any effect of its promotion', () => {
    test.each(deliveries)('after a delivery of %s', (_, shapes) => {
      const expected = undisturbed(shapes);
      for (const before of [0, 1]) {
        const tell = (effects: number) => {
          const each = scene(shapes, { standby });
          const { stage } = each;
          const first = stage.active ?? '';
          stage.killAfter(first, before);
          send(each);
          stage.until('the active is dead', () => !stage.host(first).alive);
          const died = stage.killAfter('n1', effects);
          for (let i = 0; i < 20 && !died(); i++) {
            send(each);
            stage.run(50);
          }
          return { died: died(), scene: each };
        };
        const points = atEveryPoint(tell, (each) => {
          each.stage.until('the last member leads', () => each.stage.active === 'n2');
          expectOnce(each, expected);
        });
        expect(points.all.length).toBeGreaterThan(5);
        expect(points.kinds).toContain('answered');
      }
    });
  });
});
