import { expect, test } from 'vitest';
import type { Kind } from '../../../replication/kind.js';
import type { Decided } from '../../../src/chaos/check/log.js';
import { modelOf, refused } from '../../../src/chaos/check/model.js';
import { harmless, trialKind } from '../../../src/chaos/kinds/trial.js';

const model = modelOf(trialKind(harmless) as Kind);

function answerTo(command: object) {
  const decided: Decided = {
    ...{ id: 'k', seq: 0, epoch: 1, recordedAtMs: 0, events: [], result: undefined },
    rejection: 'apply-failed',
  };
  return model.look(model.init(), { kind: 'command', command, decided });
}

test('a command that cannot be applied is rightly refused, and one that can is not', () => {
  const poison = answerTo({ by: 1, poison: 'everywhere' });
  expect(model.isSame(poison, refused('apply-failed'))).toBe(true);
  const harmlessOne = answerTo({ by: 1 });
  expect(model.isSame(harmlessOne, refused('apply-failed'))).toBe(false);
});

test('the trial stalls and throws only where its hands say so', () => {
  const spun: number[] = [];
  const kind = trialKind({ spin: (ms) => void spun.push(ms), isPoisoned: () => true });
  const context = { seq: 1, recordedAtMs: 0 };
  const state = kind.init();
  expect(kind.decide?.(state, { by: 1, spinMs: 5 }, context)).toEqual([{ by: 1, spinMs: 5 }]);
  expect(spun).toEqual([5]);
  expect(() => kind.apply(state, { by: 1, poison: 'here' }, context)).toThrow('poison');
  trialKind(harmless).apply(state, { by: 3, poison: 'here' }, context);
  expect(state).toEqual({ total: 3, count: 1 });
});
