/** What the rounds of a run say of a cluster that does not come back, and what is collected from it. */
import { expect, test } from 'vitest';
import { Chance } from '../../../src/chaos/chance.js';
import { type History, newHistory, nowMs } from '../../../src/chaos/history.js';
import { collect } from '../../../src/chaos/judge.js';
import { type Played, Rounds } from '../../../src/chaos/rounds.js';
import { smoke, smokeNames } from '../../../src/chaos/scenarios/index.js';
import type { Fault } from '../../../src/chaos/stage.js';
import { shippedLoads } from '../../../src/chaos/workload/groups.js';
import type { AdminClient } from '../../../src/client/admin.js';

/** Nothing takes time on it. */
function stageOf(heal: () => Promise<void> = () => Promise.resolve()): Played {
  const faults: Fault[] = [];
  const wait = () => Promise.resolve();
  return { faults, losses: [], heal, wait, chance: new Chance(1, 'faults') };
}

/** Answered when it is asked for, again and again. */
function serving(): History {
  const history = newHistory('g');
  const outcome = { kind: 'accepted', seq: 1, epoch: 1, result: null } as const;
  const deliveries = {
    findLast: (is: (call: object) => boolean) => {
      const call = { ...{ calledAt: Number.MAX_VALUE, returnedAt: 0 }, outcome };
      return is(call) ? call : undefined;
    },
  };
  return { ...history, deliveries: deliveries as unknown as History['deliveries'] };
}

const wellAgain = () => Promise.resolve(true);

function played(more: Partial<ConstructorParameters<typeof Rounds>[0]>) {
  const said: string[] = [];
  const { stage = stageOf() } = more;
  const round = () => {
    stage.faults.push({ what: 'killed', target: 'n', fromMs: nowMs(), toMs: nowMs() });
    return Promise.resolve();
  };
  const rounds = new Rounds({
    ...{ stage, round, leastRounds: 1, histories: [serving()], boundMs: 0 },
    ...{ isWhole: wellAgain, say: (line: string) => void said.push(line), ...more },
  });
  return rounds.play(0).then((violations) => ({ violations, said }));
}

const liveness = (detail: RegExp) => [
  { check: 'liveness', group: null, detail: expect.stringMatching(detail) },
];

test('a group that answers nothing within the bound is a violation that names the faults', async () => {
  const { violations } = await played({ histories: [serving(), newHistory('silent')] });
  expect(violations).toEqual(
    liveness(/^after n killed: not within 0 ms: every group serves again/),
  );
});

test('what was asked before the fault was over shows nothing', async () => {
  const history = newHistory('g');
  const outcome = { kind: 'accepted', seq: 1, epoch: 1, result: null } as const;
  const who = { client: 'c', door: 'http', tries: 1, id: 'k', command: {}, outcome } as const;
  history.deliveries.push({ ...who, calledAt: nowMs() - 1000, returnedAt: nowMs() });
  expect((await played({ histories: [history] })).violations).toHaveLength(1);
});

test('a group that serves and is not whole is a violation, with what it said last', async () => {
  const isWhole = () => Promise.reject(new Error('nobody answers'));
  const { violations, said } = await played({ isWhole });
  expect(violations).toEqual(liveness(/every group serves again; last: nobody answers/));
  expect(said).toEqual([]);
});

test('a round that cannot be played, or mended, is a violation', async () => {
  const round = () => Promise.reject(new Error('no such node'));
  const failed = await played({ round });
  expect(failed.violations).toEqual(liveness(/a round of faults failed: no such node/));
  const stage = stageOf(() => Promise.reject(new Error('does not start')));
  const unhealed = await played({ stage });
  expect(unhealed.violations).toEqual(liveness(/a round of faults failed: does not start/));
});

test('there are as many rounds as there have to be, however late it is', async () => {
  const { violations, said } = await played({ leastRounds: 3 });
  expect(violations).toEqual([]);
  expect(said).toEqual(
    Array(3).fill(expect.stringMatching(/^n killed; whole again after \d+ ms$/)),
  );
  expect((await played({})).said).toHaveLength(1);
});

test('the smoke run has a round for each of its scenarios', () => {
  expect(smoke().leastRounds).toBe(smokeNames.length);
});

test('a cluster that nothing can be had from is a violation for each group, and waited for once', async () => {
  const admin = { sync: () => Promise.reject(new Error('nobody is there')) };
  const loads = shippedLoads.slice(0, 2);
  const histories = loads.map(({ name }) => newHistory(name));
  const cluster = { admin: admin as unknown as AdminClient, clientUrls: [] };
  const { evidence, violations } = await collect(cluster, loads, histories, 100);
  expect(evidence).toEqual([]);
  expect(violations).toEqual(
    loads.map(({ name: group }, i) => ({
      ...{ check: 'liveness', group },
      detail: `the checks could not be done: not within ${i === 0 ? 100 : 0} ms: ${group} syncs; last: nobody is there`,
    })),
  );
});
